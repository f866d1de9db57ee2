"""All rules for traced steps: those of torch's layers and ours, and the lowerings of plug-ins."""

from functools import lru_cache
from inspect import signature
from typing import Any

from runtime.lowering import (
    activation_rules,
    arithmetic_rules,
    arranging_rules,
    layer_rules,
    max_rules,
    mean_rules,
    norm_rules,
    part_rules,
    resizing_rules,
    shape_rules,
    window_rules,
)
from runtime.lowering.base import kind_served, lowerings
from runtime.lowering.rulebook import Rule, rules
from search_spaces.errors import InvalidInput

OPERATORS = {"iadd", "imul", "isub", "itruediv", "truediv", "getitem", "getattr"}
"""Functions of Python's that nobody calls by name."""

__all__ = [
    "activation_rules",
    "arithmetic_rules",
    "arranging_rules",
    "kind_with_rule",
    "layer_rules",
    "max_rules",
    "mean_rules",
    "norm_rules",
    "part_rules",
    "resizing_rules",
    "rule_of",
    "rules",
    "shape_rules",
    "window_rules",
    "without_kernel",
]


def kind_with_rule(kind: type) -> type | None:
    """The class itself, or the nearest that it is derived from, whose layers have a rule; None if none do.

    Raises:
        InvalidInput: a plug-in has a lowering that does not serve.
    """
    added = _added(tuple(lowerings))
    return next((each for each in kind.__mro__ if each in rules or each in added), None)


def rule_of(key: object) -> Rule | None:
    """The rule of a class of layers, a function, or a name of a tensor's method."""
    return rules.get(key) or _added(tuple(lowerings)).get(key)


def without_kernel(key: Any) -> str:
    """What an error says of a class of layers, a function or a method without a rule: what has one."""
    if not isinstance(key, type):
        name = getattr(key, "__name__", key)
        return f"{name} has no kernel; choose among {', '.join(_functions())}, or a layer that does it"
    is_torchs = key.__module__.startswith("torch.nn.modules")
    name = key.__name__ if is_torchs else f"{key.__module__}.{key.__name__}"
    alike = sorted(k.__name__ for k in rules if isinstance(k, type) and k.__module__ == key.__module__)
    return f"{name} has no kernel; choose among {', '.join(alike) or 'the layers of docs/torch-models.md'}"


def _functions() -> list[str]:
    """Functions and methods that have a rule, by the names that they have beside those in place."""
    names = {str(getattr(key, "__name__", key)) for key in rules if not isinstance(key, type)}
    return sorted(name for name in names if not name.endswith("_") and name not in OPERATORS)


@lru_cache(1)
def _added(names: tuple[str, ...]) -> dict[object, Rule]:
    """Rules by class, of the lowerings of these names."""
    found: dict[object, Rule] = {}
    for name in names:
        lowering = lowerings.get(name)
        kind = kind_served(lowering)
        if kind is None:
            problem = f"'{name}' is no object of a Lowering whose 'layer' is a class of torch modules"
            raise InvalidInput("lowering", problem, "derive its class from runtime.lowering.base.Lowering")
        if kind in rules or kind in found:
            problem = f"'{name}' is for {kind.__name__}, which has a lowering already"
            raise InvalidInput("lowering", problem, "write one for a class of your own")
        found[kind] = Rule(lowering.lower, (), lowering.is_view, signature(lowering.lower))
    return found

"""Which modules are layers with a rule of their own, and whether they compute what their class does."""

import sys
from collections.abc import Iterator
from functools import cache
from inspect import getattr_static
from types import FunctionType
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from runtime.lowering.rules import kind_with_rule, rules
from search_spaces.errors import UnsupportedLayerError

OVERRIDABLE_NAMES = frozenset(
    (
        *("__init__", "__new__", "__doc__", "__module__", "__dict__", "__weakref__", "__annotations__"),
        *("__constants__", "__repr__", "__str__", "__dir__", "__deepcopy__", "__getstate__", "__setstate__"),
        *("__reduce__", "__reduce_ex__", "__slots__", "__parameters__", "__orig_bases__", "__hash__"),
        *("__init_subclass__", "__subclasshook__", "__class__", "__class_getitem__", "__sizeof__"),
        *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__format__", "__qualname__"),
        *("extra_repr", "reset_parameters", "_get_name", "_version", "dump_patches", "training"),
        *("call_super_init", "state_dict", "load_state_dict", "_load_from_state_dict", "train", "eval"),
        *("_save_to_state_dict", "get_extra_state", "set_extra_state", "clip", "start_from"),
        *("forward_arguments", "_compiled_call_impl", "T_destination", "__static_attributes__"),
        "__firstlineno__",
    )
)
"""What a subclass may have of its own and still compute as its class does."""

WEIGHT_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)
"""Hooks that only make a layer's weight, before its forward."""

PARAMETRIZE_MODULE = "torch.nn.utils.parametrize"  # where the classes of parametrized modules are made
FORWARD_METHODS = ("forward", "_conv_forward", "_call_impl", "_wrapped_call_impl", "__call__")
WRAPPERS = {
    "torch._dynamo.eval_frame": "_orig_mod",
    "torch.nn.parallel.data_parallel": "module",
    "torch.nn.parallel.distributed": "module",
}
"""Where modules are defined that compute what another one does, which is this attribute."""


def behind_wrapper(module: nn.Module) -> nn.Module:
    """The module that a compiled or a parallel one computes; any other one itself."""
    inner = wrapped(module)
    return module if inner is None else behind_wrapper(inner)


def wrapped(module: nn.Module) -> nn.Module | None:
    """The module that a compiled or a parallel one calls; None for any other one."""
    name = WRAPPERS.get(type(module).__module__)
    inner = getattr(module, name, None) if name else None
    return inner if isinstance(inner, nn.Module) else None


def kind_of(module: nn.Module) -> Any:
    """The class with a rule that a module is of; None where there is none."""
    return kind_with_rule(type(module))


def is_leaf(module: nn.Module, name: str) -> bool:
    """Whether a rule computes the module; one that has replaced what its class does is traced into.

    Raises:
        UnsupportedLayerError: a layer of torch's that computes otherwise than its class
    """
    kind = kind_of(module)
    if kind is None:
        return False
    if computes_as_its_kind(module):
        if kind in rules:  # torch's and ours, which others may have changed since
            _require_original(kind, name)
        return True
    own = next(each for each in type(module).__mro__ if each.__module__ != PARAMETRIZE_MODULE)
    if own.__module__.startswith("torch.") and _is_changed(own, kind):
        raise UnsupportedLayerError(
            f"layer '{name}': {own.__module__}.{own.__name__} computes otherwise than {kind.__name__}, "
            "and has no kernel; replace it by a layer that has one"
        )
    return False


def computes_as_its_kind(module: nn.Module) -> bool:
    """Whether a class of the module has a rule, and nothing in the module replaces what that class does."""
    kind = kind_of(module)
    return kind is not None and not _is_changed(type(module), kind) and not any(_replaced(module))


def _is_changed(own: type, kind: type) -> bool:
    """Whether a subclass has something else where its class has something that a forward pass may use."""
    added = (each for each in own.__mro__ if each not in kind.__mro__)
    names = {
        name for each in added for name in vars(each) if name not in OVERRIDABLE_NAMES and hasattr(kind, name)
    }
    return any(getattr_static(own, name) is not getattr_static(kind, name) for name in names)


def _replaced(module: nn.Module) -> Iterator[str]:
    """Methods that the module has replaced by attributes of its own."""
    kind = type(module)
    for name in vars(module):
        if callable(getattr(kind, name, None)) and name not in OVERRIDABLE_NAMES:
            yield name


def _require_original(kind: type, name: str) -> None:
    """Refuse a class whose methods were replaced after it was made."""
    for method in FORWARD_METHODS:
        function = getattr(kind, method, None)
        if method == "__call__" or not isinstance(function, FunctionType):
            continue  # __call__ is another while fx traces; see ``require_no_global_changes``
        if not _is_of_class(function, kind):
            raise UnsupportedLayerError(
                f"layer '{name}': {kind.__name__}.{method} was replaced; only torch's own is computed"
            )


@cache
def _is_of_class(function: Any, kind: type) -> bool:
    """Whether a method was written where the class, or one that it is derived from, was."""
    files = {getattr(sys.modules.get(each.__module__), "__file__", None) for each in kind.__mro__}
    return function.__code__.co_filename in files


def require_no_global_changes() -> None:
    """Refuse what changes all modules: their hooks, or another ``Module.__call__``.

    Raises:
        UnsupportedLayerError: there is such a thing.
    """
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise UnsupportedLayerError(
            "model: the hooks that torch calls for every module are not computed; remove them"
        )
    if not _is_of_class(nn.Module.__call__, nn.Module):
        raise UnsupportedLayerError("model: torch.nn.Module.__call__ was replaced; put torch's own back")


def require_plain(layer: nn.Module, name: str) -> None:
    """Refuse a layer that does more than its forward.

    Raises:
        UnsupportedLayerError: it has hooks, or stays in training mode when it is put into evaluation mode.
    """
    before = [hook for hook in layer._forward_pre_hooks.values() if not isinstance(hook, WEIGHT_HOOKS)]
    if layer._forward_hooks or before:
        raise UnsupportedLayerError(f"layer '{name}': its hooks are not computed; remove them")
    if layer.training:
        raise UnsupportedLayerError(
            f"layer '{name}': it stays in training mode when eval() is called; that is not computed"
        )

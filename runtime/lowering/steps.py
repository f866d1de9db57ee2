"""The steps of a recorded forward pass, each with its rule and its arguments."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import fx, nn
from torch.fx.node import Node, map_arg

from runtime.graph import Value
from runtime.lowering.arrangement import Arranged
from runtime.lowering.builder import MAX_ELEMENTS, GraphBuilder
from runtime.lowering.recording import ROOT, Recorder, changes_in_place, size_of
from runtime.lowering.rulebook import At, HeldWeight, Rule, place_of, torch_shape
from runtime.lowering.rules import kind_with_rule, rule_of, without_kernel
from search_spaces.errors import UnsupportedLayerError


@dataclass(frozen=True)
class Step:
    """One step of a forward pass.

    Attributes:
        node: of fx, whose arguments are other steps' nodes or plain values.
        rule: lowers it; None where it computes with sizes.
        layer: that it calls, or whose weight it takes, if it does so.
        given: its arguments by the rule's names for them.
        in_place: whether it changes its first argument.
    """

    node: Node
    rule: Rule | None
    layer: nn.Module | None
    given: Mapping[str, Any]
    in_place: bool

    @property
    def name(self) -> str:
        """The layer's, or the operation's."""
        return str(self.node.target) if self.node.op == "call_module" else self.node.name

    @property
    def is_view(self) -> bool:
        """Whether its result may be of the same memory as its first argument."""
        return self.rule is not None and self.rule.is_view

    def run(self, builder: GraphBuilder, values: Mapping[Node, Any]) -> Any:
        """Lower it; what it gives is a value of the graph, or a number."""
        if self.rule is None:
            return self.weight() if self.layer is not None else self._number(values)
        given = {name: resolved(argument, values) for name, argument in self.given.items()}
        at = At(builder, self.name, self.layer, within(self.node))
        found = self.rule.apply(at, given)
        changed = next(iter(given.values()))
        is_same = not self.in_place or (
            isinstance(changed, Value | Arranged) and torch_shape(found) == torch_shape(changed)
        )
        at.require(is_same, "it changes a tensor in place by one of another shape, which torch refuses too")
        parts = found if isinstance(found, tuple) else (found,)
        for each in (part for part in parts if isinstance(part, Value | Arranged)):
            fits = prod(each.shape) <= MAX_ELEMENTS
            at.require(fits, f"its output of shape {each.shape} is too large for a kernel")
        return found

    def weight(self) -> HeldWeight:
        """The parameter that it takes, where it is no more than that."""
        name = str(self.node.target)
        return HeldWeight(name.removeprefix(f"{ROOT}."), getattr(self.layer, name.rpartition(".")[2]))

    def _number(self, values: Mapping[Node, Any]) -> Any:
        args = resolved(self.node.args, values)
        try:
            return size_of(self.node, args, resolved(self.node.kwargs, values))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            problem = f"{_place(self.node)}: {error}, for the shape that it is compiled for"
            raise UnsupportedLayerError(problem) from error


def resolved(argument: Any, values: Mapping[Node, Any]) -> Any:
    """An argument with values in place of nodes."""
    return values[argument] if isinstance(argument, Node) else map_arg(argument, lambda n: values[n])


def steps_of(recorder: Recorder, graph: fx.Graph, modules: Mapping[str, nn.Module]) -> Iterator[Step]:
    """The steps between the input and the output, in order.

    Raises:
        UnsupportedLayerError: one has no rule, or arguments that its rule does not know.
    """
    for node in graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        layer = modules[owner(node)] if node.op in ("call_module", "get_attr") else None
        is_number = node in recorder.kinds
        rule = None if is_number or node.op == "get_attr" else _find_rule(node, layer)
        given = {} if rule is None else _given(node, rule, layer)
        yield Step(node, rule, layer, given, not is_number and changes_in_place(node, layer))


def owner(node: Node) -> str:
    """The name of the module that a step calls, or whose weight it takes."""
    if node.op == "call_module":
        return str(node.target)
    return str(node.target).rpartition(".")[0].removeprefix(ROOT).removeprefix(".")


def _given(node: Node, rule: Rule, layer: nn.Module | None) -> dict[str, Any]:
    """The arguments of a step by the names that its rule has for them."""
    kwargs = dict(node.kwargs)
    if layer is None:
        return rule.bind(_place(node), node.args, kwargs)
    images = [*node.args, *(kwargs.pop(key) for key in ("input", "x") if key in kwargs)]
    if len(images) != 1 or kwargs:
        more = f", and leave out {', '.join(kwargs)}" if kwargs else f", not {len(images)}"
        raise UnsupportedLayerError(f"{_place(node)}: pass it one tensor{more}")
    return {"input": images[0]}


def _find_rule(node: Node, layer: nn.Module | None) -> Rule:
    """The rule for a module's type, a function, or a tensor method's name."""
    key: Any = node.target if layer is None else kind_with_rule(type(layer)) or type(layer)
    found = rule_of(key)
    if found is None:
        raise UnsupportedLayerError(f"{_place(node)}: {without_kernel(key)}")
    return found


def _place(node: Node) -> str:
    """How an error names a step."""
    is_layer = node.op == "call_module"
    return place_of(str(node.target)) if is_layer else place_of(node.name, within(node))


def within(node: Node) -> str:
    """The path of the module whose forward calls a function; empty for the model's own, and for a layer."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack and node.op != "call_module" else ""

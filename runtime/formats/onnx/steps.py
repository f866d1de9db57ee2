"""From the steps of a traced model to an ONNX graph."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from torch import nn

from runtime.formats.onnx.codes import PackedCodes
from runtime.formats.onnx.graph import INPUT, OnnxGraph, Tensor
from runtime.formats.onnx.rulebook import At, Exporter, Norm
from runtime.formats.onnx.rules import exporter_of, without_form
from runtime.formats.onnx.shapes import Shapes
from runtime.lowering import lower, trace
from runtime.lowering.folding import BatchNorm
from runtime.lowering.leaves import behind_wrapper
from runtime.lowering.steps import Step, resolved, within

if TYPE_CHECKING:
    from onnx import GraphProto
    from torch import fx

    from runtime.lowering import Trace

NORMS = nn.BatchNorm2d, nn.BatchNorm1d


def written(module: nn.Module, input_shape: tuple[int, ...]) -> "GraphProto":
    """The ONNX graph of a model in evaluation mode.

    Raises:
        InvalidInput: the shape is not one.
        UnsupportedLayerError: a layer that has no form in ONNX, or a model made for one number of images.
    """
    lower(module, input_shape)  # refuses what is not computed, or is not what it seems
    return _Writer(module, trace(module), tuple(int(size) for size in input_shape[1:])).graph()


class _Writer:
    """Writes the steps of one model, one after the other."""

    def __init__(self, module: nn.Module, traced: "Trace", image: tuple[int, ...]) -> None:
        self._name, self._traced, self._image = type(behind_wrapper(module)).__name__, traced, image
        self._graph = OnnxGraph()
        self._codes = PackedCodes(self._graph)
        self._rules = {step.node: self._rule(step) for step in traced.steps if step.rule is not None}
        self._shapes = Shapes(module, traced, image)
        self._norms = self._folded_norms()

    def graph(self) -> "GraphProto":
        """The whole graph."""
        values: dict[Any, Any] = {self._traced.input: Tensor(INPUT, self._shapes.of(self._traced.input))}
        for step in self._traced.steps:
            values[step.node] = self._value(step, values)
        result = values[self._traced.output]
        return self._graph.finish(result, self._image, self._codes.nodes(), self._name)

    def _at(self, step: Step, shape: Any = (), norm: Norm | None = None) -> At:
        return At(self._graph, self._codes, step.name, shape, step.layer, within(step.node), norm)

    def _rule(self, step: Step) -> Exporter:
        """The rule that writes a step."""
        assert step.rule is not None  # noqa: S101 - of a step that computes with tensors
        found = exporter_of(step.rule, step.layer)
        if found is None:
            raise self._at(step).refused(without_form(step))
        return found

    def _value(self, step: Step, values: dict[Any, Any]) -> Any:
        """What a step gives: tensors, a weight, or numbers."""
        if step.rule is None:
            return step.weight() if step.layer is not None else self._shapes.of(step.node)
        before = next(iter(step.node.all_input_nodes))
        if before in self._norms and step.layer is self._norms[before]:
            return values[before]
        rule, norm = self._rules[step.node], self._norms.get(step.node)
        at = self._at(step, self._shapes.of(step.node), None if norm is None else Norm(**BatchNorm(norm)()))
        told_apart = rule.is_view or not self._shapes.varying.intersection(step.node.all_input_nodes)
        at.require(
            told_apart, "it computes with the number of images, and ONNX has any number; leave that out"
        )
        given = {name: resolved(argument, values) for name, argument in step.given.items()}
        found = rule.apply(at, step.rule, given)
        if isinstance(found, tuple):
            return tuple(Tensor(*each) for each in zip(found, at.shape, strict=True))
        return Tensor(found, at.shape)

    def _folded_norms(self) -> "dict[fx.Node, nn.Module]":
        """The batch norm of each step that computes it, being read by nothing else."""
        readers = Counter(node for step in self._traced.steps for node in step.node.all_input_nodes)
        readers[self._traced.output] += 1
        return {
            before: step.layer
            for step in self._traced.steps
            for before in step.node.all_input_nodes
            if isinstance(step.layer, NORMS) and before in self._rules
            if self._rules[before].folds and readers[before] == 1 and self._fits(before)
        }

    def _fits(self, node: "fx.Node") -> bool:
        """Whether a batch norm is of the outputs of the layer: of images or rows."""
        return len(self._shapes.of(node)) in (2, 4)

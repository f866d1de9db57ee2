"""The register of rules: how a traced step, a layer, a function or a tensor's method, becomes operators."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from inspect import BoundArguments, signature
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.formats.onnx.codes import PackedCodes
from runtime.formats.onnx.graph import OnnxGraph, Operand, Tensor
from runtime.lowering.rulebook import place_of
from runtime.lowering.rules import rules
from search_spaces.errors import UnsupportedLayerError
from search_spaces.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from runtime.lowering.rulebook import Rule


class Norm(NamedTuple):
    """A batch norm that follows a layer and is computed with it: ``y * scale + bias``, (O,) float64 each."""

    scale: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass(frozen=True)
class At:
    """Where a rule works.

    Attributes:
        graph: what was written so far.
        codes: weights of few bits.
        name: of the step: the layer's path in the model, or the function's name.
        shape: of what the step gives in torch; of several tensors, the shapes.
        layer: that it calls, if it calls one.
        within: the path of the module whose forward calls a function; empty for the model's own.
        norm: the batch norm that follows, where the rule folds.
    """

    graph: OnnxGraph
    codes: PackedCodes
    name: str
    shape: Any
    layer: Any = None
    within: str = ""
    norm: Norm | None = None

    def op(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """The only output of an operator."""
        return self.graph.op(kind, *inputs, **attributes)

    def main(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """The output of the operator that has the weights of the layer, and so its name."""
        path = f"{self.within}.{self.name}" if self.within else self.name
        return self.graph.op(kind, *inputs, name=path, **attributes)

    def reshaped(self, value: Operand, *sizes: int) -> str:
        """The tensor of any number of images under another shape; ``sizes`` are without that number."""
        return self.op("Reshape", value, np.array([0, *sizes], np.int64))

    def require(self, condition: Any, problem: str) -> None:
        """Refuse the step unless the condition holds."""
        if not condition:
            raise self.refused(problem)

    def refused(self, problem: str) -> UnsupportedLayerError:
        """The error that refuses the step."""
        return UnsupportedLayerError(f"{place_of(self.name, self.within)}: {problem}")


@dataclass(frozen=True)
class Exporter:
    """How one kind of step is written.

    Attributes:
        function: of ``At``, the step's first argument, and those others that it names as the lowering's rule
            does; what a call leaves out has the default of that rule.
        folds: whether it computes a batch norm that follows.
        is_view: whether an argument may depend on the number of images, as that of ``view`` does.
    """

    function: Callable[..., Any]
    folds: bool = False
    is_view: bool = False

    def apply(self, at: At, rule: "Rule", given: dict[str, Any]) -> Any:
        """Write a step whose arguments are those by name, and whose options are its layer's."""
        options = {} if at.layer is None else {each: getattr(at.layer, each) for each in rule.options}
        bound = BoundArguments(rule.parameters, {**given, **options})
        bound.apply_defaults()
        named = [*signature(self.function).parameters][2:]
        return self.function(
            at, next(iter(given.values())), **{name: bound.arguments[name] for name in named}
        )


exporters: dict[Callable[..., Any], Exporter] = {}
"""By the function that lowers such a step: all layers and functions that it serves are written alike."""

Written = TypeVar("Written", bound=Callable[..., Any])


def exporter(*keys: Any, folds: bool = False, is_view: bool = False) -> Callable[[Written], Written]:
    """Register a rule for steps that are lowered as those of these layers, functions or methods."""

    def register(function: Written) -> Written:
        found = Exporter(function, folds, is_view)
        exporters.update({rules[key].function: found for key in keys})
        return function

    return register


class OnnxLayer(ABC):
    """Writes the layers of one class, such as a plug-in's; beside a ``runtime.lowering.base.Lowering``::

    class SquaredReluOnnx(OnnxLayer):
        layer = SquaredRelu

        def write(self, at, input):
            rectified = at.op("Relu", input)
            return at.op("Mul", rectified, rectified)

    onnx_layers.add("squared_relu", SquaredReluOnnx())
    """

    layer: "ClassVar[type[nn.Module]]"
    """The class of the layers, which has no other rule."""

    @abstractmethod
    def write(self, at: At, input: Tensor) -> str:
        """Add the operators of the layer ``at.layer``, and give the name of the tensor that the last gives.

        Args:
            at: where: the layer and its name, and ``op``, which adds an operator.
            input: what comes in, (N, C, H, W) or (N, F), as in torch.
        """


onnx_layers: Registry[OnnxLayer] = Registry("onnx_layer", "onnx_layers")

"""Builds an ONNX graph: equal constants are held once, and equal operations on equal inputs run once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from string import ascii_letters
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

INPUT, OUTPUT = "input", "output"
OPSET, IR_VERSION = 20, 9
"""Of January 2024: what reads files of that time reads ours."""

LARGEST = (1 << 31) - 1
"""Bytes of a file of protocol buffers."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        name: in the graph.
        shape: torch's; the first number is that of the images it was found with, in the graph any number.
    """

    name: str
    shape: tuple[int, ...]


Operand = str | Tensor | NDArray[Any] | np.generic
"""What an operator takes: a tensor, its name, or a constant."""


class OnnxGraph:
    """Collects operators and constants. Names are short, as small networks are not much larger than these."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._names = _short_names()
        self._known: dict[Any, tuple[str, ...]] = {}
        self._held: dict[Any, str] = {}
        self._operators: set[str] = set()

    def new_name(self) -> str:
        """A name that nothing has."""
        return next(self._names)

    def op(self, kind: str, *inputs: Operand, name: str = "", **attributes: Any) -> str:
        """The only output of an operator; attributes that are None are left out."""
        return self.ops(kind, *inputs, name=name, **attributes)[0]

    def ops(
        self, kind: str, *inputs: Operand, outputs: int = 1, name: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """The outputs of an operator.

        Args:
            kind: an operator of ONNX.
            inputs: tensors or constants, in order; an empty name for one that is left out.
            outputs: how many there are.
            name: of the operator, for who looks at the graph; most have none.
            attributes: of the operator; those that are None are left out.
        """
        from onnx import helper

        names = [self._name_of(each) for each in inputs]
        given = {key: value for key, value in attributes.items() if value is not None}
        same = kind, tuple(names), outputs, repr(sorted(given.items()))
        if same not in self._known:
            found = tuple(self.new_name() for _ in range(outputs))
            own = name if name not in self._operators else None  # a layer may have two, or be called twice
            self._operators.add(name)
            self.nodes.append(helper.make_node(kind, names, list(found), name=own or None, **given))
            self._known[same] = found
        return self._known[same]

    def kind_of(self, name: str) -> str:
        """The operator that gives a tensor; empty for the network's input."""
        return next((node.op_type for node in self.nodes if name in node.output), "")

    def constant(self, array: NDArray[Any] | np.generic) -> str:
        """The name of a constant."""
        from onnx import numpy_helper

        value = np.ascontiguousarray(array).reshape(np.shape(array))  # which makes numbers rows
        same = value.dtype.str, value.shape, value.tobytes()
        if same not in self._held:
            self._held[same] = self.new_name()
            self.constants.append(numpy_helper.from_array(value, self._held[same]))
        return self._held[same]

    def finish(
        self, result: Tensor, image: tuple[int, ...], first: "list[NodeProto]", name: str
    ) -> "GraphProto":
        """The graph whose result is a tensor.

        Args:
            result: what it gives.
            image: the shape of one image, (C, H, W).
            first: operators that come before all others.
            name: of the graph.
        """
        from onnx import TensorProto, helper

        last = helper.make_node("Identity", [result.name], [OUTPUT])
        nodes = _renamed([*first, *self.nodes], result.name) or [*first, *self.nodes, last]
        given = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", *image])
        found = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", *result.shape[1:]])
        return helper.make_graph(nodes, name, [given], [found], self.constants)

    def _name_of(self, operand: Operand) -> str:
        if isinstance(operand, Tensor):
            return operand.name
        return operand if isinstance(operand, str) else self.constant(operand)


def _renamed(nodes: "list[NodeProto]", result: str) -> "list[NodeProto]":
    """The operators with the output's name in place of the result's; none where no operator gives it."""
    if not any(result in node.output for node in nodes):
        return []
    for node in nodes:
        for names in (node.input, node.output):
            for index, each in enumerate(names):
                if each == result:
                    names[index] = OUTPUT
    return nodes


def _short_names() -> Iterator[str]:
    """a to Z, then aa to ZZ, and so on; four letters are more than any graph has."""
    for length in range(1, 5):
        yield from map("".join, product(ascii_letters, repeat=length))

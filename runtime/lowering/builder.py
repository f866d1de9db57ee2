"""Builds an operator graph node by node; equal steps on equal inputs become one node."""

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from runtime.graph import Graph, MakeConstants, Node, Value
from runtime.workload import Relu, Relu6, ToNchw, ToNhwc, Workload
from search_spaces.errors import UnsupportedLayerError

if TYPE_CHECKING:
    from torch import nn


MAX_ELEMENTS = 2**31 - 1
"""Numbers in a tensor: kernels count them in 32 bits."""


class GraphBuilder:
    """Collects nodes. Shapes are logical: (N, H, W, C) for images, (N, F) for rows."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.modules: Mapping[str, nn.Module] = {}
        """Those of the model whose steps are added, by name."""
        self.within = ""
        """What comes before the names of its steps, such as ``block0``."""
        self.batch, self.channels, self.height, self.width = input_shape
        self.nodes: list[Node] = []
        self.repeated: dict[int, Value] = {}
        """Of values that repeat the rows, columns or channels of an image: the image, by their index."""
        self._seen: dict[Any, Value] = {}
        self._input = Value(0, (self.batch, self.height, self.width, self.channels), "nchw")
        self._count = 1

    def input_image(self) -> Value:
        """The batch of images, in NHWC."""
        n, h, w, c = self._input.shape
        if c == 1 or h * w == 1:
            return Value(self._input.index, self._input.shape, "nhwc")
        return self.emit("input", ToNhwc(n, h, w, c), [self._input], self._input.shape)

    def emit(
        self,
        name: str,
        workload: Workload,
        inputs: list[Value],
        shape: tuple[int, ...],
        make_constants: MakeConstants = dict,
        constants_of: Hashable = None,
        layout: str = "",
    ) -> Value:
        """Add a node and return its output; layout is ``rows`` or ``nhwc`` by shape if not given.

        ``constants_of`` is what the constants are made of: where it is equal, so are they.
        """
        same = (workload, tuple(v.index for v in inputs), constants_of)
        if same in self._seen:  # perhaps under another shape: a view of the same input
            return Value(self._seen[same].index, shape, layout or ("rows" if len(shape) == 2 else "nhwc"))
        output = Value(self._count, shape, layout or ("rows" if len(shape) == 2 else "nhwc"))
        self._count += 1
        self.nodes.append(
            Node(f"{self.within}.{name}" if self.within else name, workload, inputs, make_constants, [output])
        )
        self._seen[same] = output
        return output

    def view(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The same memory under another shape."""
        return Value(value.index, shape, "rows" if len(shape) == 2 else "nhwc")

    def relu(self, name: str, value: Value) -> Value:
        """max(x, 0); ``fuse_relu`` moves it into its producer where it can."""
        before = self.producer(value)
        if before is not None and isinstance(before.workload, Relu | Relu6):
            return value
        size = math.prod(value.shape)
        return self.emit(f"{name}.relu", Relu(self.batch, size), [value], value.shape)

    def rows(self, name: str, value: Value) -> Value:
        """An image as rows of features in torch's order (C, H, W)."""
        if len(value.shape) == 2:
            return value
        n, h, w, c = value.shape
        if h * w > 1 and c > 1:
            value = self.emit(f"{name}.to_nchw", ToNchw(n, h, w, c), [value], value.shape, layout="nchw")
        return self.view(value, (n, h * w * c))

    def producer(self, value: Value) -> Node | None:
        """The node that made a value; none made the input."""
        return next((node for node in self.nodes if node.output.index == value.index), None)

    def finish(self, value: Value) -> Graph:
        """The graph whose result is ``value``, as torch would give it: (N, F), (N, C, H, W) or others."""
        if value.index == self._input.index:
            raise UnsupportedLayerError("model: it returns its input; there is nothing to compile")
        if len(value.shape) == 4 and value.layout != "rows":
            n, h, w, c = value.shape
            if h * w > 1 and c > 1:
                value = self.emit("output", ToNchw(n, h, w, c), [value], value.shape, layout="nchw")
            value = Value(value.index, (n, c, h, w), "nchw")
        shape = (self.batch, self.channels, self.height, self.width)
        return Graph(Value(self._input.index, shape, "nchw"), value, self._needed(value))

    def _needed(self, value: Value) -> list[Node]:
        """The nodes that a value is made by; a forward pass may do what nothing reads."""
        wanted, found = {value.index}, []
        for node in reversed(self.nodes):
            if node.output.index in wanted:
                wanted.update(read.index for read in node.inputs)
                found.append(node)
        return found[::-1]

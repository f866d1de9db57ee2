"""Weights as bytes of -127 to 127 with one scale for each output channel, as dot products take them."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer
from runtime.kernels.weight_layouts.base import (
    Args,
    LayerWeights,
    Quads,
    Shape,
    Taps,
    WeightLayout,
    weight_layouts,
)
from runtime.tvm_types import Tensor
from search_spaces.weight_codes import CodeSet, Inputs

BYTES = frozenset(range(-127, 128))


class ByteTaps(Taps):
    """A byte a weight."""

    scales_by_integers = True
    lowest: ClassVar[int | None] = -127

    def buffers(self, shape: Shape) -> list[Buffer]:
        """Of ``shape``."""
        return [Buffer("weight", "constant", shape, "int8")]

    def stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """The bytes that stand for whole numbers."""
        return values

    def pack(self, weights: LayerWeights, width: int, step: float) -> Constants:
        """Vectors of output channels last."""
        arranged = packing.lane_layout(self.stored(weights.values), width)
        return {"weight": arranged, **weights.scaled(width, step)}


class ByteQuads(Quads):
    """Four bytes of neighbouring channels in a word."""

    is_bytewise, per_word = True, 1

    def buffer(self, shape: Shape) -> Buffer:
        """Of ``shape``."""
        return Buffer("weight", "constant", shape, "int8")

    def words(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """The same memory, seen as words."""
        from tvm import te

        args["weight"] = te.placeholder(shape[:-1], "int32", name="weight")
        return args["weight"]

    def bytes(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """As they are."""
        return args["weight"]

    def stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """The bytes that stand for whole numbers."""
        return values

    def pack(self, weights: LayerWeights, width: int, step: float) -> Constants:
        """Channels filled up to whole quads."""
        return {
            "weight": packing.pack_quads(self.stored(weights.values), width),
            "offset": byte_offset(weights, width, int(self.is_odd)),
            **weights.scaled(width, step),
        }


def byte_offset(weights: LayerWeights, width: int, absent: int = 0) -> NDArray[np.int32]:
    """What a sum lacks for each step that stands for zero, (O / lanes, lanes).

    ``absent`` is what the weights stand for that fill up quads; they meet inputs of zero.
    """
    _, depth, *window = weights.values.shape
    filled = (packing.quads(depth) * packing.QUAD - depth) * math.prod(window) * absent
    sums = weights.values.astype(np.int64).sum(axis=(1, 2, 3)) + filled
    found: NDArray[np.int32] = packing.lane_vectors((-sums).astype(np.int32), width)
    return found


class Int8(WeightLayout):
    """Any whole numbers that are bytes."""

    name, bits, taps, quads = "int8", 8, ByteTaps(), ByteQuads()

    def fits(self, codes: CodeSet, inputs: Inputs) -> bool:
        """-127 to 127 with one scale, and byte inputs."""
        is_bytes = codes.values is not None and codes.values <= BYTES
        return inputs == "bytes" and is_bytes and not codes.has_two_scales


weight_layouts.add("int8", Int8())

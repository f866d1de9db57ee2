"""Weights of -1, 0 and +1 in two bits."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer
from runtime.kernels.packing import QUAD
from runtime.kernels.weight_layouts.base import (
    Args,
    LayerWeights,
    Lookup,
    Planes,
    Quads,
    Shape,
    WeightLayout,
    weight_layouts,
)
from runtime.kernels.weight_layouts.int8 import byte_offset
from runtime.kernels.weight_layouts.packed_taps import PackedTaps
from runtime.tvm_types import Expr, Tensor, TirBuffer
from runtime.workload import BitserialConv2d, BitserialDense
from search_spaces.weight_codes import CodeSet, Inputs

VALUES = frozenset({-1, 0, 1})


class TernaryQuads(Quads):
    """Sixteen weights in a word, decoded to bytes once a call."""

    highest, is_bytewise, is_decoded, per_word = 1, True, True, packing.QUAD

    def buffer(self, shape: Shape) -> Buffer:
        """(O / lanes, words, lanes)."""
        vectors, rows, columns, quads, width, _ = shape
        words = packing.quads(rows * columns * quads)
        return Buffer("weight", "constant", (vectors, words, width), "uint32")

    def scratch(self, shape: Shape) -> list[Buffer]:
        """The bytes."""
        return [Buffer("decoded", "scratch", shape, "int8")]

    def word(self, packed: Tensor | TirBuffer, o: Expr, position: Expr, lane: Expr) -> Expr:
        """Two bits of each of its bytes, as a byte."""
        from tvm import tirx

        shift = (position % QUAD * 2).astype("uint32")
        codes = (packed[o, position // QUAD, lane] >> shift) & tirx.const(0x03030303, "uint32")
        # 3 stands for -1: its second bit fills the six above
        signs = codes & tirx.const(0x02020202, "uint32")
        above = (signs << tirx.const(7, "uint32")) - (signs << tirx.const(1, "uint32"))
        return tirx.reinterpret("int32", codes | above)

    def words(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """Decoded a word at a time."""
        from tvm import te

        _, _, columns, depth, _, _ = shape

        def decoded(o: Expr, ky: Expr, kx: Expr, q: Expr, i: Expr) -> Expr:
            return self.word(args["weight"], o, (ky * columns + kx) * depth + q, i)

        scratch["decoded"] = te.compute(shape[:-1], decoded, name="decoded")
        return scratch["decoded"]

    def bytes(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """Decoded one by one."""
        scratch["decoded"] = decode_ternary_bytes(args["weight"], shape)
        return scratch["decoded"]

    def pack(self, weights: LayerWeights, width: int, step: float) -> Constants:
        """Four quads in a word."""
        return {
            "weight": packing.pack_ternary_quads(weights.values, width),
            "offset": byte_offset(weights, width),
            **weights.scaled(width, step),
        }


class TernaryPlanes(Planes):
    """Two planes of bits: where +1 and where -1, or, with one scale, where not 0 and where -1."""

    def is_symmetric(self, codes: CodeSet) -> bool:
        """Whether one scale serves both signs, so that one sum does."""
        return not codes.has_two_scales

    def stored(self, workload: BitserialConv2d) -> int:
        """Two."""
        return 2

    def sums(self, workload: BitserialConv2d) -> int:
        """One for each sign that has a scale."""
        return 1 if workload.symmetric else 2

    def differing(
        self,
        workload: BitserialConv2d,
        sum_index: Expr,
        data: Callable[[Expr], Expr],
        weight: Callable[[Expr], Expr],
    ) -> Expr:
        """Among those that are not 0 where signs differ; or among those of one sign where the input is -1."""
        if workload.symmetric:
            return (data(0) ^ weight(1)) & weight(0)
        return data(0) & weight(sum_index)

    def lookups(self, workload: BitserialConv2d, sum_index: Expr) -> list[Lookup]:
        """Inputs of -1 where weights are +1; with one scale, also those of +1 where weights are -1.

        The latter are all weights of -1 but for those where inputs are -1.
        """
        if workload.symmetric:
            return [Lookup("and", 0, 0), Lookup("and", 0, 1, lacks_total=True)]
        return [Lookup("and", 0, sum_index)]

    def looked_up_in(self, workload: BitserialConv2d, weight: NDArray[Any]) -> NDArray[Any]:
        """Where +1 and where -1."""
        if not workload.symmetric:
            return weight
        nonzero, negative = weight[..., 0, :], weight[..., 1, :]
        return np.stack([nonzero & ~negative, negative], axis=-2)

    def products(self, workload: BitserialConv2d, dots: list[Expr]) -> list[Expr]:
        """With two scales, the product with the codes, and that with their sizes."""
        return dots if workload.symmetric else [dots[0] - dots[1], dots[0] + dots[1]]

    def negated(self, workload: BitserialConv2d, weight: NDArray[Any]) -> NDArray[Any]:
        """Where not 0, the sign changes."""
        nonzero, negative = weight[..., 0, :], weight[..., 1, :]
        return np.stack([nonzero, nonzero & ~negative], axis=-2)

    def pack(
        self, workload: BitserialConv2d | BitserialDense, weights: LayerWeights, width: int
    ) -> Constants:
        """As the scales ask for."""
        values, vectors = weights.values, weights.vectors(width)
        positive, negative, bias = vectors.values()
        if workload.symmetric:
            nonzero = (values != 0).sum(axis=(1, 2, 3)).astype(np.int32)
            total = packing.lane_vectors(nonzero, width)[:, None]
            packed = packing.pack_bitserial_symmetric(values, width)
            return {"weight": packed, "total": total, "scale": positive[:, None], "bias": bias}
        counts = [packing.lane_vectors((values == s).sum(axis=(1, 2, 3)), width) for s in (1, -1)]
        scales = [(positive + negative) / 2, (positive - negative) / 2]
        return {
            "weight": packing.pack_bitserial_ternary(values, width),
            "total": np.stack(counts, axis=1).astype(np.int32),
            "scale": np.stack(scales, axis=1),
            "bias": bias,
        }


class Ternary(WeightLayout):
    """-1, 0 and +1."""

    name, bits, taps, quads, planes = "ternary", 2, PackedTaps(2), TernaryQuads(), TernaryPlanes()

    def fits(self, codes: CodeSet, inputs: Inputs) -> bool:
        """All of them; with bytes those that have one scale, and zeros: signs alone are bytes, undecoded."""
        if codes.values is None or not codes.values <= VALUES:
            return False
        return inputs != "bytes" or (0 in codes.values and not codes.has_two_scales)


def decode_ternary_bytes(packed: Tensor, taps: Shape) -> Tensor:
    """Packed codes (O/lanes, words, lanes) -> bytes (O/lanes, K, K, quads, lanes, 4)."""
    from tvm import te, tirx

    _, _, columns, depth, _, _ = taps

    def decoded(o: Expr, ky: Expr, kx: Expr, q: Expr, i: Expr, byte: Expr) -> Expr:
        position = (ky * columns + kx) * depth + q
        shift = (position % QUAD * 2 + byte * 8).astype("uint32")
        code = ((packed[o, position // QUAD, i] >> shift) & tirx.const(3, "uint32")).astype("int32")
        return ((code ^ tirx.const(2, "int32")) - tirx.const(2, "int32")).astype("int8")

    return te.compute(taps, decoded, name="decoded")


weight_layouts.add("ternary", Ternary())

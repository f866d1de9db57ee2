"""Weights of one or two bits in words that are decoded into floats once a call."""

import numpy as np

from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer, ByChannel
from runtime.kernels.weight_layouts.base import Args, LayerWeights, Shape, Taps
from runtime.tvm_types import Expr, Tensor


class PackedTaps(Taps):
    """``bits`` of them: 2 for {0, +1, -1}, which are coded as 0, 1, 2, and 1 for {+1, -1}, as 0, 1."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def buffers(self, shape: Shape) -> list[Buffer]:
        """(O / lanes, words, lanes), and the scales of both signs (O / lanes, lanes)."""
        vectors, rows, columns, depth, width = shape
        words = packing.words(rows * columns * depth, self.bits)
        weight = Buffer("weight", "constant", (vectors, words, width), "uint32")
        return [
            weight,
            *(Buffer(n, "constant", (vectors, width), "float32") for n in ("positive", "negative")),
        ]

    def scratch(self, shape: Shape) -> list[Buffer]:
        """The floats."""
        return [Buffer("decoded", "scratch", shape, "float32")]

    def decoded(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """0, +W^p or -W^n."""
        found = decode_codes(args["weight"], args["positive"], args["negative"], self.bits, shape)
        scratch["decoded"] = found
        return found

    def by_channel(self, shape: Shape) -> ByChannel:
        """As bits of words."""
        vectors, rows, columns, depth, width = shape
        words = packing.words(rows * columns * depth, self.bits)
        return ByChannel((vectors, words, width, packing.WORD), (0, 2), of_bits=True)

    def pack(self, weights: LayerWeights, width: int, step: float) -> Constants:
        """Codes in words; only the inputs' step is left to scale by."""
        arranged = packing.lane_layout(weights.values, width)
        codes = packing.ternary_codes(arranged) if self.bits == 2 else arranged < 0
        vectors = weights.vectors(width)
        scale = np.full_like(vectors["bias"], step)
        return {**vectors, "weight": packing.pack_lane_codes(codes, self.bits), "scale": scale}


def decode_codes(packed: Tensor, positive: Tensor, negative: Tensor, bits: int, taps: Shape) -> Tensor:
    """Packed codes (O/lanes, words, lanes) -> float weights of shape ``taps`` (O/lanes, K, K, C, lanes).

    Two-bit codes 0, 1, 2 stand for 0, +W^p, -W^n (TTQ, equation 1); one-bit codes 0, 1 for the latter two.
    """
    from tvm import te, tirx

    _, _, columns, depth, _ = taps
    per_word = 32 // bits

    def decoded(o: Expr, ky: Expr, kx: Expr, c: Expr, i: Expr) -> Expr:
        position = (ky * columns + kx) * depth + c
        shifted = packed[o, position // per_word, i] >> (position % per_word * bits).astype("uint32")
        code = shifted & tirx.const((1 << bits) - 1, "uint32")
        is_one, plus, minus = code == tirx.const(1, "uint32"), positive[o, i], -negative[o, i]
        if bits == 1:
            return tirx.Select(is_one, minus, plus)
        unless_plus = tirx.Select(code == tirx.const(2, "uint32"), minus, tirx.const(0, "float32"))
        return tirx.Select(is_one, plus, unless_plus)

    return te.compute(taps, decoded, name="decoded")

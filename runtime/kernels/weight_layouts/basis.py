"""Weights that are sums of a few numbers of their output channel with signs, a bit for each sign."""

import numpy as np

from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer, ByChannel
from runtime.kernels.weight_layouts.base import Args, LayerWeights, Shape, Taps, WeightLayout, weight_layouts
from runtime.kernels.weight_layouts.binary import BinaryPlanes
from runtime.tvm_types import Expr, Tensor
from runtime.workload import BitserialConv2d, BitserialDense
from search_spaces.weight_codes import CodeSet, Inputs

ALL_BITS = (2, 3)


class SignTaps(Taps):
    """``bits`` planes of words, decoded into floats once a call."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def buffers(self, shape: Shape) -> list[Buffer]:
        """(O / lanes, planes, words, lanes), and the basis (O / lanes, planes, lanes)."""
        vectors, *_, width = shape
        weight = (vectors, self.bits, _words(shape), width)
        return [
            Buffer("weight", "constant", weight, "uint32"),
            Buffer("basis", "constant", (vectors, self.bits, width), "float32"),
        ]

    def scratch(self, shape: Shape) -> list[Buffer]:
        """The floats."""
        return [Buffer("decoded", "scratch", shape, "float32")]

    def decoded(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """Sums of the basis; a set bit is a -1."""
        from tvm import te, tirx

        _, _, columns, depth, _ = shape

        def real(o: Expr, ky: Expr, kx: Expr, c: Expr, i: Expr) -> Expr:
            position = (ky * columns + kx) * depth + c
            found = tirx.const(0, "float32")
            for plane in range(self.bits):
                word, own = args["weight"][o, plane, position // packing.WORD, i], args["basis"][o, plane, i]
                bit = (word >> (position % packing.WORD).astype("uint32")) & tirx.const(1, "uint32")
                found = found + tirx.Select(bit == tirx.const(1, "uint32"), -own, own)
            return found

        scratch["decoded"] = te.compute(shape, real, name="decoded")
        return scratch["decoded"]

    def by_channel(self, shape: Shape) -> ByChannel:
        """As bits of words."""
        vectors, *_, width = shape
        return ByChannel((vectors, self.bits * _words(shape), width, packing.WORD), (0, 2), of_bits=True)

    def pack(self, weights: LayerWeights, width: int, step: float) -> Constants:
        """Signs in words, a plane after the other; only the inputs' step is left to scale by."""
        planes = packing.level_planes(weights.values, self.bits)  # (planes, O, C, K, K)
        packed = [packing.pack_lane_codes(packing.lane_layout(plane, width) < 0, 1) for plane in planes]
        bias = packing.lane_vectors(weights.bias, width)
        return {
            "weight": np.ascontiguousarray(np.stack(packed, axis=1)),
            "basis": basis_vectors(weights, self.bits, width),
            "scale": np.full_like(bias, step),
            "bias": bias,
        }


class BasisPlanes(BinaryPlanes):
    """A plane of signs for each number of the basis."""

    def __init__(self, bits: int) -> None:
        self.of_signs = bits

    def pack(
        self, workload: BitserialConv2d | BitserialDense, weights: LayerWeights, width: int
    ) -> Constants:
        """All weights count, in each plane."""
        scale = basis_vectors(weights, self.of_signs, width)
        return {
            "weight": packing.pack_bitserial_levels(weights.values, self.of_signs, width),
            "total": np.full_like(scale, np.prod(weights.values.shape[1:]), dtype=np.int32),
            "scale": scale,
            "bias": packing.lane_vectors(weights.bias, width),
        }


def basis_vectors(
    weights: LayerWeights, bits: int, width: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """What planes of signs are multiplied by, (O / lanes, planes, lanes)."""
    basis = weights.positive[:, None] * 2.0 ** np.arange(bits) if weights.basis is None else weights.basis
    lanes = [packing.lane_vectors(basis[:, plane].astype(np.float32), width) for plane in range(bits)]
    return np.ascontiguousarray(np.stack(lanes, axis=1))


def _words(shape: Shape) -> int:
    _, rows, columns, depth, _ = shape
    return packing.words(rows * columns * depth)


class Basis(WeightLayout):
    """Sums of so many numbers."""

    def __init__(self, bits: int) -> None:
        self.name, self.bits = f"lq{bits}", bits  # type: ignore[misc]  # a layout for each number of bits
        self.taps, self.planes = SignTaps(bits), BasisPlanes(bits)  # type: ignore[misc]

    def fits(self, codes: CodeSet, inputs: Inputs) -> bool:
        """Those of a basis, with real inputs or signs."""
        return codes.basis == self.bits and inputs != "bytes"


for _bits in ALL_BITS:
    weight_layouts.add(f"lq{_bits}", Basis(_bits))

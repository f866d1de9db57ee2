"""Weights of -1 and +1 in one bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.weight_layouts.base import LayerWeights, Lookup, Planes, WeightLayout, weight_layouts
from runtime.kernels.weight_layouts.packed_taps import PackedTaps
from runtime.tvm_types import Expr
from runtime.workload import BitserialConv2d, BitserialDense
from search_spaces.weight_codes import CodeSet, Inputs

SIGNS = frozenset({-1, 1})


class BinaryPlanes(Planes):
    """One plane of signs, or several for levels: each pair with the inputs' is a sum."""

    of_signs = 1

    def stored(self, workload: BitserialConv2d) -> int:
        """As the workload says."""
        return workload.weight_bits

    def sums(self, workload: BitserialConv2d) -> int:
        """One for each pair of bits."""
        return workload.input_bits * workload.weight_bits

    def differing(
        self,
        workload: BitserialConv2d,
        sum_index: Expr,
        data: Callable[[Expr], Expr],
        weight: Callable[[Expr], Expr],
    ) -> Expr:
        """Where signs differ."""
        bits = workload.weight_bits
        return data(sum_index // bits) ^ weight(sum_index % bits)

    def lookups(self, workload: BitserialConv2d, sum_index: Expr) -> list[Lookup]:
        """Those that differ."""
        return [Lookup("xor", sum_index // workload.weight_bits, sum_index % workload.weight_bits)]

    def negated(self, workload: BitserialConv2d, weight: NDArray[Any]) -> NDArray[Any]:
        """All bits that stand for channels change."""
        depth = workload.in_channels // workload.groups
        used = packing.pack_codes(np.ones(depth, np.uint32), 1)  # (words,)
        found: NDArray[Any] = weight ^ used[:, None, None]
        return found

    def pack(
        self, workload: BitserialConv2d | BitserialDense, weights: LayerWeights, width: int
    ) -> Constants:
        """All weights count."""
        vectors = weights.vectors(width)
        count = np.prod(weights.values.shape[1:])
        return {
            "weight": packing.pack_bitserial_binary(weights.values, width),
            "total": np.full_like(vectors["bias"], count, dtype=np.int32)[:, None],
            "scale": vectors["positive"][:, None],
            "bias": vectors["bias"],
        }


class Binary(WeightLayout):
    """-1 and +1."""

    name, bits, taps, planes = "binary", 1, PackedTaps(1), BinaryPlanes()

    def fits(self, codes: CodeSet, inputs: Inputs) -> bool:
        """Signs, with real inputs, or, if they have one scale, with signs."""
        is_signs = codes.values is not None and codes.values <= SIGNS
        return is_signs and (inputs == "real" or (inputs == "signs" and not codes.has_two_scales))


weight_layouts.add("binary", Binary())

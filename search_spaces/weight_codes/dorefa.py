"""DoReFa-Net's weights: n bits, whose evenly spaced levels are odd numbers, or signs (Zhou et al.)."""

from typing import TYPE_CHECKING

from search_spaces.weight_codes.base import Coded, CodeSet, Inputs, Scales, WeightCode, weight_codes
from search_spaces.weight_codes.binary import VALUES as SIGNS

if TYPE_CHECKING:
    from torch import Tensor

ALL_BITS = (*range(2, 9), 16)


class DoReFa(WeightCode):
    """Odd numbers from -(2^bits - 1) to 2^bits - 1, over 2^bits - 1.

    It is not idempotent: the tanh of equation 9 bends what was quantized once more.
    """

    def __init__(self, bits: int) -> None:
        self.name, self.bits, self.highest = f"dorefa{bits}", bits, 2**bits - 1
        self.storage = "int8" if self.highest <= 127 else "int16" if self.highest <= 32767 else "int32"

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """Equation 9; the gradient passes the rounding, and is that of the tanh."""
        from search_spaces.quantizers import dorefa_weight

        return dorefa_weight(weight, self.bits)

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The odd numbers."""
        import torch

        step = torch.ones((), dtype=weight.dtype, device=weight.device) / self.highest
        return Coded((self.quantize(weight, scales, inputs) * self.highest).round(), step, step)

    def code_set(self, inputs: Inputs) -> CodeSet:
        """The 2^bits odd numbers."""
        return CodeSet(frozenset(range(-self.highest, self.highest + 1, 2)))


class DoReFa1(WeightCode):
    """sign(w) times the mean of |w| of the layer (equation 8)."""

    name, bits = "dorefa1", 1

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """The gradient goes straight through."""
        from search_spaces.quantizers import dorefa_signs

        return dorefa_signs(weight)

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The signs and their scale."""
        from search_spaces.quantizers import sign

        scale = weight.abs().mean()
        return Coded(sign(weight), scale, scale)

    def code_set(self, inputs: Inputs) -> CodeSet:
        """-1 and 1."""
        return CodeSet(SIGNS)

    def computed_scales(self, outputs: int) -> int:
        """One for a layer."""
        return 1


weight_codes.add("dorefa1", DoReFa1())
for _bits in ALL_BITS:
    weight_codes.add(f"dorefa{_bits}", DoReFa(_bits))

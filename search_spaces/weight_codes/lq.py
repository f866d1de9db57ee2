"""LQ-Net's weights: sums of a few learned numbers of each output channel, with signs (Zhang et al.)."""

from typing import TYPE_CHECKING, ClassVar

from search_spaces.weight_codes.base import Coded, CodeSet, Inputs, Scales, WeightCode, weight_codes
from search_spaces.weight_codes.binary import VALUES as SIGNS

if TYPE_CHECKING:
    from torch import Tensor

ALL_BITS = range(1, 4)


class LearnedLevels(WeightCode):
    """The nearest of the 2^n levels ``+-v_0 +- v_1 ...`` of an output channel.

    The basis v follows the latent weights: before each forward pass of a training they are coded anew, and v
    is the least squares solution for these codes, one alternation of the paper's algorithm 1.
    """

    is_fitted: ClassVar[bool] = True

    def __init__(self, bits: int) -> None:
        self.name, self.bits = f"lq{bits}", bits

    def scales(self, weight: "Tensor") -> dict[str, "Tensor"]:
        """The basis (O, n), fitted."""
        from search_spaces.learned_levels import first_basis

        return {"basis": first_basis(weight.detach().flatten(1), self.bits, -1)}

    def refitted(self, weight: "Tensor", scales: Scales) -> dict[str, "Tensor"]:
        """One alternation."""
        from search_spaces.learned_levels import refit

        return {"basis": refit(weight.detach().flatten(1), scales["basis"], -1)}

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """The nearest levels; the gradient goes straight through."""
        from search_spaces.learned_levels import quantize_rows

        return quantize_rows(weight, scales["basis"])

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The signs as odd numbers; of one bit, the signs and their scales."""
        import torch

        from search_spaces.learned_levels import levels_of, nearest_rows

        basis = scales["basis"]
        levels = levels_of(basis, -1)
        powers = 2.0 ** torch.arange(self.bits, device=weight.device)
        odd = (levels.digits * powers.to(basis)).sum(-1)  # (O, 2^n)
        values = odd.gather(1, nearest_rows(weight.flatten(1), levels)).view_as(weight)
        if self.bits == 1:
            return Coded(values, basis[:, 0], basis[:, 0])
        one = weight.new_ones(())
        return Coded(values, one, one)

    def basis(self, scales: Scales) -> "Tensor | None":
        """Of two bits or more."""
        return scales["basis"] if self.bits > 1 else None

    def code_set(self, inputs: Inputs) -> CodeSet:
        """Signs, or sums of a basis."""
        return CodeSet(SIGNS) if self.bits == 1 else CodeSet(None, basis=self.bits)

    def computed_scales(self, outputs: int) -> int:
        """The basis of each output channel."""
        return self.bits * outputs


for _bits in ALL_BITS:
    weight_codes.add(f"lq{_bits}", LearnedLevels(_bits))

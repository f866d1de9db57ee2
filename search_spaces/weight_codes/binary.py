"""Binary weights: signs, times a scale per output channel that is learned or fits best, or times none."""

from typing import TYPE_CHECKING, ClassVar

from search_spaces.weight_codes.base import (
    LATENT_START,
    Coded,
    CodeSet,
    Inputs,
    Scale,
    Scales,
    Term,
    WeightCode,
    along_outputs,
    weight_codes,
)

if TYPE_CHECKING:
    from torch import Tensor

VALUES = frozenset({-1, 1})


class UnscaledBinary(WeightCode):
    """sign(w) (Courbariaux et al., BNN and BinaryConnect)."""

    name, bits = "binary", 1
    decays: ClassVar[bool] = False
    """A latent weight is nothing but a sum of gradients that a sign is taken of; decay would flip signs."""

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """The gradient goes straight through where |w| <= 1, else it is 0."""
        from search_spaces.quantizers import sign

        return sign(weight)

    def clip(self, weight: "Tensor") -> None:
        """To [-1, 1]: beyond, latent weights get no gradient (BNN, algorithm 1)."""
        weight.clamp_(-1, 1)

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The signs, times 1."""
        return self._signs(weight, weight.new_ones(()))

    def code_set(self, inputs: Inputs) -> CodeSet:
        """-1 and 1."""
        return CodeSet(VALUES)

    @staticmethod
    def _signs(weight: "Tensor", factor: "Tensor") -> Coded:
        from search_spaces.quantizers import sign

        return Coded(sign(weight), factor, factor)


class Binary(UnscaledBinary):
    """sign(w) times a learned scale of each output channel (Bulat and Tzimiropoulos, equation 3)."""

    start: ClassVar[float] = LATENT_START

    def under(self, scale: Scale) -> WeightCode | None:
        """XNOR-Net's where they are analytic, BNN's without."""
        return {"learned": self, "analytic": ANALYTIC, "none": UNSCALED}[scale]

    def scales(self, weight: "Tensor") -> dict[str, "Tensor"]:
        """From here, ±1 inputs give outputs of variance 1, with or without a batch norm behind."""
        return {"scale": weight.new_full(weight.shape[:1], weight[0].numel() ** -0.5)}

    def fitted(self, weight: "Tensor") -> dict[str, "Tensor"]:
        """XNOR-Net's scales."""
        from search_spaces.quantizers import output_scales

        return {"scale": output_scales(weight)}

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """The signs, times their scales."""
        return super().quantize(weight, scales, inputs) * along_outputs(scales["scale"], weight.dim() - 1)

    def terms(self, weight: "Tensor", scales: Scales, inputs: Inputs, training: bool) -> list[Term]:
        """The scale is of the output: sums of signs stay exact integers, in training, too."""
        return [Term(super().quantize(weight, scales, inputs), scales["scale"])]

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The signs and their scales."""
        return self._signs(weight, scales["scale"])


class AnalyticBinary(UnscaledBinary):
    """sign(w) times the mean of |w| of its output channel (Rastegari et al., equations 4 and 6)."""

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """With the gradient of section 3.1."""
        from search_spaces.quantizers import binarize_analytically

        return binarize_analytically(weight)

    def terms(self, weight: "Tensor", scales: Scales, inputs: Inputs, training: bool) -> list[Term]:
        """Once trained, the scale is of the output; in training it has a gradient of its own."""
        if training:
            return [Term(self.quantize(weight, scales, inputs))]
        signs, factor, _ = self.stored(weight, scales, inputs)
        return [Term(signs, factor)]

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The signs and their scales."""
        from search_spaces.quantizers import output_scales

        return self._signs(weight, output_scales(weight))

    def computed_scales(self, outputs: int) -> int:
        """One for each output channel."""
        return outputs


ANALYTIC, UNSCALED = AnalyticBinary(), UnscaledBinary()
weight_codes.add("binary", Binary())

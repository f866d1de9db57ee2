"""Ternary weights: two learned scales for a layer (TTQ), or one that fits best (TWN)."""

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
    weight_codes,
)
from search_spaces.weight_codes.int8 import BYTES, STEPS

if TYPE_CHECKING:
    from torch import Tensor

VALUES = frozenset({-1, 0, 1})


class Ternary(WeightCode):
    """+W^p, 0 or -W^n, which are learned (Holesovsky and Maki, equations 1 to 5).

    Under integer inputs both scales are multiples of one step, and so are the stored weights: sums are
    integers. It is idempotent while no scale is less than a twentieth of the other.
    """

    name, bits = "ternary", 2
    start: ClassVar[float] = LATENT_START

    def under(self, scale: Scale) -> WeightCode | None:
        """TWN's where they are analytic."""
        return ANALYTIC if scale == "analytic" else super().under(scale)

    def scales(self, weight: "Tensor") -> dict[str, "Tensor"]:
        """W^p and W^n, one of each for a layer: 1."""
        return {"positive": weight.new_ones(()), "negative": weight.new_ones(())}

    def fitted(self, weight: "Tensor") -> dict[str, "Tensor"]:
        """The mean of the weights of each sign that are not coded as 0."""
        from search_spaces.quantizers import ternary_codes

        codes = ternary_codes(weight)
        chosen = {"positive": weight[codes > 0], "negative": -weight[codes < 0]}
        return {name: w.mean() if len(w) else weight.new_ones(()) for name, w in chosen.items()}

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """Equations 1 and 2, with the gradients of 3 to 5."""
        from search_spaces.quantizers import ternarize

        return ternarize(weight, *self._two_scales(scales, inputs))

    def terms(self, weight: "Tensor", scales: Scales, inputs: Inputs, training: bool) -> list[Term]:
        """With the codes t, ``x . w = (W^p + W^n) / 2 (x . t) + (W^p - W^n) / 2 (x . |t|)``."""
        from search_spaces.quantizers import ternary_codes

        if training or inputs != "signs":
            return super().terms(weight, scales, inputs, training)
        codes, (positive, negative) = ternary_codes(weight), self._two_scales(scales, inputs)
        return [Term(codes, (positive + negative) / 2), Term(codes.abs(), (positive - negative) / 2)]

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """-1, 0 and 1, or steps of the scales under integer inputs."""
        from search_spaces.quantizers import ternary_codes

        if inputs == "bytes":
            step = _step(scales)
            return Coded((self.quantize(weight, scales, inputs) * (1 / step)).round(), step, step)
        return Coded(ternary_codes(weight), scales["positive"], scales["negative"])

    def code_set(self, inputs: Inputs) -> CodeSet:
        """-1, 0 and 1, or any step under integer inputs."""
        return CodeSet(BYTES) if inputs == "bytes" else CodeSet(VALUES, has_two_scales=True)

    @staticmethod
    def _two_scales(scales: Scales, inputs: Inputs) -> "tuple[Tensor, Tensor]":
        """W^p and W^n, 0-dim; for integer inputs multiples of one step."""
        from search_spaces.quantizers import fake_quantize

        positive, negative = scales["positive"], scales["negative"]
        if inputs != "bytes":
            return positive, negative
        step = _step(scales)
        return fake_quantize(positive, step, *STEPS), fake_quantize(negative, step, *STEPS)


def _step(scales: Scales) -> "Tensor":
    """Of which both scales are multiples, 0-dim."""
    import torch

    largest = torch.maximum(scales["positive"].detach().abs(), scales["negative"].detach().abs())
    return largest.clamp_min(1e-8) / 127


class SymmetricTernary(WeightCode):
    """+a, 0 or -a with the a that fits the latent weights best (Li et al., equations 3, 5 and 6)."""

    name, bits = "ternary", 2

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """The gradient goes straight through."""
        from search_spaces.quantizers import ternarize_symmetrically

        return ternarize_symmetrically(weight)

    def terms(self, weight: "Tensor", scales: Scales, inputs: Inputs, training: bool) -> list[Term]:
        """The codes, times a: whole numbers of signs."""
        if training or inputs != "signs":
            return super().terms(weight, scales, inputs, training)
        codes, scale, _ = self.stored(weight, scales, inputs)
        return [Term(codes, scale)]

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """-1, 0 and 1."""
        from search_spaces.quantizers import symmetric_codes, symmetric_scale

        scale = symmetric_scale(weight)
        return Coded(symmetric_codes(weight), scale, scale)

    def code_set(self, inputs: Inputs) -> CodeSet:
        """-1, 0 and 1."""
        return CodeSet(VALUES)

    def computed_scales(self, outputs: int) -> int:
        """One for a layer."""
        return 1


ANALYTIC = SymmetricTernary()
weight_codes.add("ternary", Ternary())

"""Weights in int8, with one step for each output channel that its largest weight sets."""

from typing import TYPE_CHECKING

from search_spaces.weight_codes.base import (
    Coded,
    CodeSet,
    Inputs,
    Scales,
    WeightCode,
    along_outputs,
    weight_codes,
)

if TYPE_CHECKING:
    from torch import Tensor

STEPS = -127, 127
"""Lowest and highest step, which are symmetric."""

BYTES = frozenset(range(STEPS[0], STEPS[1] + 1))


class Int8(WeightCode):
    """``round(w / s) s`` with s = max|w| / 127 of an output channel."""

    name, bits = "int8", 8

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """Rounded to steps; the gradient goes straight through."""
        from search_spaces.quantizers import channel_scales, fake_quantize

        return fake_quantize(weight, along_outputs(channel_scales(weight), weight.dim() - 1), *STEPS)

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The steps."""
        from search_spaces.quantizers import channel_scales

        step = channel_scales(weight)
        return Coded((weight * (1 / along_outputs(step, weight.dim() - 1))).round(), step, step)

    def code_set(self, inputs: Inputs) -> CodeSet:
        """-127 to 127."""
        return CodeSet(BYTES)

    def computed_scales(self, outputs: int) -> int:
        """One for each output channel."""
        return outputs


weight_codes.add("int8", Int8())

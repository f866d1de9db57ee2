"""A weight code of your own: nas --plugin examples/weight_code.py train resnet20 --precision power2-int8 ...

Weights are powers of two times a step, or 0, after Zhou et al., *Incremental Network Quantization*. They
multiply bytes as int8 weights do, and so they compile; with float inputs they compile as real weights.
"""

import torch
from torch import Tensor

from search_spaces import Precision, precisions
from search_spaces.weight_codes import Coded, CodeSet, Inputs, WeightCode, weight_codes
from search_spaces.weight_codes.base import Scales, along_outputs

HIGHEST = 6  # 2^6 is the largest power that leaves both signs in a byte


class PowerOfTwo(WeightCode):
    """0, or +-2^e s with e of 0 to 6 and s = max|w| / 2^6 of an output channel."""

    name, bits = "power2", 4

    def quantize(self, weight: Tensor, scales: Scales, inputs: Inputs) -> Tensor:
        """The gradient goes straight through."""
        values, step, _ = self.stored(weight, scales, inputs)
        return weight - weight.detach() + values * along_outputs(step, weight.dim() - 1)

    def stored(self, weight: Tensor, scales: Scales, inputs: Inputs) -> Coded:
        """The nearest power on a logarithmic scale; 0 below half a step."""
        weight = weight.detach()
        step = weight.abs().flatten(1).amax(1).clamp_min(1e-8) / 2**HIGHEST
        steps = weight.abs() / along_outputs(step, weight.dim() - 1)
        powers = steps.clamp_min(1).log2().round().clamp_max(HIGHEST).exp2()
        return Coded(torch.where(steps < 0.5, 0, powers) * weight.sign(), step, step)

    def code_set(self, inputs: Inputs) -> CodeSet:
        """0 and the powers of both signs."""
        powers = [2**e for e in range(HIGHEST + 1)]
        return CodeSet(frozenset({0, *powers, *(-p for p in powers)}))

    def computed_scales(self, outputs: int) -> int:
        """One for each output channel."""
        return outputs


weight_codes.add("power2", PowerOfTwo())
precisions.add("power2", Precision("power2", weight="power2", activation="float"))
precisions.add("power2-int8", Precision("power2-int8", weight="power2", activation="int8"))

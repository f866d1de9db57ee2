"""Real weights, as they are."""

from typing import TYPE_CHECKING

from search_spaces.weight_codes.base import Coded, CodeSet, Inputs, Scales, WeightCode, weight_codes

if TYPE_CHECKING:
    from torch import Tensor


class Float(WeightCode):
    """float32."""

    name, bits, storage = "float", 32, "float32"

    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """The weights."""
        return weight

    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The weights, times 1."""
        one = weight.new_ones(())
        return Coded(weight, one, one)

    def code_set(self, inputs: Inputs) -> CodeSet:
        """Real numbers."""
        return CodeSet(None)


weight_codes.add("float", Float())

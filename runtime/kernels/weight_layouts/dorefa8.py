"""The 256 odd numbers of -255 to 255, as bytes: a byte b stands for 2 b + 1."""

from typing import Any

from numpy.typing import NDArray

from runtime.kernels.weight_layouts.base import WeightLayout, weight_layouts
from runtime.kernels.weight_layouts.int8 import BYTES, ByteQuads, ByteTaps
from runtime.tvm_types import Expr
from search_spaces.weight_codes import CodeSet, Inputs

ODD_NUMBERS = frozenset(range(-255, 256, 2))


class OddTaps(ByteTaps):
    """A byte a weight."""

    lowest = None

    def meant(self, tap: Expr) -> Expr:
        """The odd number."""
        return 2 * tap + 1

    def stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Half of each, rounded down."""
        return (values - 1) // 2


class OddQuads(ByteQuads):
    """Four bytes in a word; those that fill up a quad stand for 1."""

    highest, is_odd = 256, True
    """Twice a byte, before inputs are added."""

    def stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Half of each, rounded down."""
        return (values - 1) // 2


class DoReFa8(WeightLayout):
    """What does not fit a byte as it is."""

    name, bits, taps, quads = "dorefa8", 8, OddTaps(), OddQuads()

    def fits(self, codes: CodeSet, inputs: Inputs) -> bool:
        """Odd numbers with one scale, and byte inputs; those of int8 are better off there."""
        is_odd = codes.values is not None and codes.values <= ODD_NUMBERS and not codes.values <= BYTES
        return inputs == "bytes" and is_odd and not codes.has_two_scales


weight_layouts.add("dorefa8", DoReFa8())

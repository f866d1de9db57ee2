"""Precisions: how a layer codes its weights and its input, under the names that users know."""

from dataclasses import dataclass
from typing import Literal, cast

from search_spaces.errors import InvalidInput
from search_spaces.registry import Registry

WeightCode = Literal["float", "int8", "ternary", "binary"]
ActivationCode = Literal["float", "int8", "binary"]
Dither = Literal["2d", "3d"]

BITS = {"float": 32, "int8": 8, "ternary": 2, "binary": 1}
"""Bits that one stored weight of each code takes."""

ACTIVATION_CODES = ("float", "int8", "binary")
DITHERS = (None, "2d", "3d")


@dataclass(frozen=True)
class Precision:
    """The codes of one layer.

    Attributes:
        name: what users call it.
        weight: ``float``, ``int8`` (one scale per output channel), ``ternary`` (TTQ) or ``binary``
            (XNOR-Net++, case 1).
        activation: the code of the layer's input: ``float``, ``int8`` or ``binary``.
        dither: the mask added before a binary activation's sign: None, ``2d`` or ``3d``.

    Raises:
        InvalidInput: a code that is not one of these, or a dither without a binary activation.
    """

    name: str
    weight: WeightCode
    activation: ActivationCode
    dither: Dither | None = None

    def __post_init__(self) -> None:
        _one_of("precision.weight", self.weight, tuple(BITS))
        _one_of("precision.activation", self.activation, ACTIVATION_CODES)
        _one_of("precision.dither", self.dither, DITHERS)
        if self.dither is not None and self.activation != "binary":
            problem = f"'{self.dither}' needs a binary activation, not '{self.activation}'"
            raise InvalidInput("precision.dither", problem, "choose activation 'binary' or no dither")

    @property
    def weight_bits(self) -> int:
        """Bits that one stored weight takes: 32, 8, 2 or 1."""
        return BITS[self.weight]


def _one_of(parameter: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        fix = f"choose one of {', '.join(map(str, allowed))}"
        raise InvalidInput(parameter, f"unknown code '{value}'", fix)


precisions: Registry[Precision] = Registry("precision", "precisions")

_BUILT_IN = {
    # the five that users know
    "float": ("float", "float", None),
    "int8": ("int8", "int8", None),
    "ternary": ("ternary", "float", None),
    "binary": ("binary", "binary", None),
    "dithered": ("ternary", "binary", "2d"),
    # the other combinations that the paper on ternary weights and binary activations measures
    "dithered-3d": ("ternary", "binary", "3d"),
    "dithered-binary": ("binary", "binary", "2d"),
    "dithered-binary-3d": ("binary", "binary", "3d"),
    "ternary-binary": ("ternary", "binary", None),
}
for _name, (_weight, _activation, _dither) in _BUILT_IN.items():
    _codes = cast(WeightCode, _weight), cast(ActivationCode, _activation), cast(Dither | None, _dither)
    precisions.add(_name, Precision(_name, *_codes))

"""Precisions: how a layer codes its weights and its input, under the names that users know."""

from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import InvalidInput
from search_spaces.registry import Registry
from search_spaces.weight_codes import WeightCode, weight_codes
from search_spaces.weight_codes.base import Scale

ActivationCode = str
"""``float``, ``int8``, ``int7``, ``binary``, ``dorefa1`` to ``8`` and ``16``, or ``lq1`` to ``lq3``."""

Dither = Literal["2d", "3d"]

LEVEL_BITS = {f"dorefa{bits}": bits for bits in (*range(1, 9), 16)}
"""Bits of DoReFa's activation codes, whose levels are evenly spaced."""

LEARNED_BITS = {f"lq{bits}": bits for bits in range(1, 4)}
"""Bits of LQ-Net's codes, whose levels are learned."""

BYTE_CODES = ("int8", "int7")
"""Activation codes that follow the range of a layer's inputs, in 8 bits or 7."""

ACTIVATION_CODES = ("float", *BYTE_CODES, "binary", *LEVEL_BITS, *LEARNED_BITS)
DITHERS = (None, "2d", "3d")
SCALES: tuple[Scale, ...] = ("learned", "analytic", "none")


@dataclass(frozen=True)
class Precision:
    """The codes of one layer.

    Attributes:
        name: what users call it.
        weight: the name of a weight code: ``float``, ``int8`` (one scale per output channel), ``ternary``,
            ``binary``, ``dorefa1`` to ``dorefa8``, ``dorefa16``, ``lq1`` to ``lq3``, or one that a plug-in
            brings.
        activation: the code of the layer's input: ``float``, ``int8``, ``int7`` (in 7 bits), ``binary``, or
            one of DoReFa's or LQ-Net's.
        dither: the mask added before a binary activation's sign: None, ``2d`` or ``3d``.
        scale: where the scales of ternary and binary weights come from. ``learned``: two for a layer (TTQ),
            one per output channel (XNOR-Net++, case 1). ``analytic``: those that fit the latent weights best,
            one for a layer (TWN), one per output channel (XNOR-Net). ``none``: binary weights are +-1 (BNN).

    Raises:
        InvalidInput: a code that is not one of these, or a dither or a scale that does not go with the codes.
    """

    name: str
    weight: str
    activation: ActivationCode
    dither: Dither | None = None
    scale: Scale = "learned"

    def __post_init__(self) -> None:
        _one_of("precision.activation", self.activation, ACTIVATION_CODES)
        _one_of("precision.dither", self.dither, DITHERS)
        _one_of("precision.scale", self.scale, SCALES)
        if self.dither is not None and self.activation != "binary":
            problem = f"'{self.dither}' needs a binary activation, not '{self.activation}'"
            raise InvalidInput("precision.dither", problem, "choose activation 'binary' or no dither")
        _ = self.weight_code

    @property
    def weight_code(self) -> WeightCode:
        """What is done to the weights.

        Raises:
            InvalidInput: no code has that name, or it has no scales of that kind.
        """
        try:
            code = weight_codes.get_early(self.weight)
        except InvalidInput as error:
            raise error.of("precision.weight") from error
        found = code.under(self.scale)
        if found is None:
            known = " or ".join(f"'{scale}'" for scale in SCALES if code.under(scale) is not None)
            problem = f"'{self.scale}' does not go with '{self.weight}' weights"
            raise InvalidInput("precision.scale", problem, f"choose {known}")
        return found

    @property
    def suits_all_layers(self) -> bool:
        """Whether it is for layers that else stay real, too: the first, and those that see one pixel."""
        return self.weight == "int8" and self.activation in BYTE_CODES

    @property
    def weight_bits(self) -> int:
        """Bits that one stored weight takes: 32 to 1."""
        return self.weight_code.bits


def _one_of(parameter: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        fix = f"choose one of {', '.join(map(str, allowed))}"
        raise InvalidInput(parameter, f"unknown code '{value}'", fix)


precisions: Registry[Precision] = Registry("precision", "precisions")

_BUILT_IN: dict[str, tuple[str, ActivationCode, Dither | None, Scale]] = {
    # the five that users know
    "float": ("float", "float", None, "learned"),
    "int8": ("int8", "int8", None, "learned"),
    "ternary": ("ternary", "float", None, "learned"),
    "binary": ("binary", "binary", None, "learned"),
    "dithered": ("ternary", "binary", "2d", "learned"),
    # int8 whose products of two sum up in 16 bits, for CPUs without dot products of bytes
    "int8-7": ("int8", "int7", None, "learned"),
    # the other combinations that the paper on ternary weights and binary activations measures
    "dithered-3d": ("ternary", "binary", "3d", "learned"),
    "dithered-binary": ("binary", "binary", "2d", "learned"),
    "dithered-binary-3d": ("binary", "binary", "3d", "learned"),
    "ternary-binary": ("ternary", "binary", None, "learned"),
    "ternary-int8": ("ternary", "int8", None, "learned"),
    # ternary weight networks: one scale in closed form
    "twn": ("ternary", "float", None, "analytic"),
    "twn-int8": ("ternary", "int8", None, "analytic"),
    "twn-binary": ("ternary", "binary", None, "analytic"),
    # binary weights: BNN's and BinaryConnect's are +-1, XNOR-Net's and BWN's have a scale per channel
    "bnn": ("binary", "binary", None, "none"),
    "xnor": ("binary", "binary", None, "analytic"),
    "bwn": ("binary", "float", None, "analytic"),
    "binaryconnect": ("binary", "float", None, "none"),
    "bwn-int8": ("binary", "int8", None, "analytic"),
    # DoReFa-Net: n bits for weights and inputs; two wider inputs
    **{name: (name, name, None, "learned") for name in LEVEL_BITS},
    "dorefa2-4": ("dorefa2", "dorefa4", None, "learned"),
    "dorefa4-8": ("dorefa4", "dorefa8", None, "learned"),
    # LQ-Net: n bits with learned levels for both, more bits for inputs, or for weights or inputs alone
    **{name: (name, name, None, "learned") for name in LEARNED_BITS},
    "lq2-3": ("lq2", "lq3", None, "learned"),
    **{f"{name}-float": (name, "float", None, "learned") for name in LEARNED_BITS},
    **{f"float-{name}": ("float", name, None, "learned") for name in LEARNED_BITS},
}
for _name, _codes in _BUILT_IN.items():
    precisions.add(_name, Precision(_name, *_codes))

"""A plan: which precision each kind of layer of a published network has, from one name that users type."""

from dataclasses import dataclass, replace

from search_spaces.errors import InvalidInput
from search_spaces.precision import Precision, precisions

ONLY_1X1 = "-1x1"
"""Ends the name of a plan that leaves all but the 1x1 convolutions and the classifier in float."""

SCALE_CASES = {f"binary-case{case}": case for case in (2, 3, 4)}
"""Plans whose binary convolutions have a learned scale of that shape (XNOR-Net++); case 1 is ``binary``."""


@dataclass(frozen=True)
class Plan:
    """The precisions of a network's layers.

    The first convolution, which sees the image, is in float, but where all is int8: no float is left then.

    Attributes:
        name: what users call it.
        spatial: of convolutions with windows of more than one pixel over all channels, and of dense layers.
        depthwise: of convolutions of each channel by itself.
        pointwise: of 1x1 convolutions.
        classifier: of the last layer.
        has_own_classifier: whether the last layer's precision was asked for by itself.
        scale_case: the shape of the learned scales of +-1 convolutions, 2 to 4, where they have such ones.
    """

    name: str
    spatial: Precision
    depthwise: Precision
    pointwise: Precision
    classifier: Precision
    has_own_classifier: bool = False
    scale_case: int | None = None

    @property
    def first(self) -> Precision:
        """Of the first convolution."""
        return self.spatial if self.spatial.suits_all_layers else precisions.get("float")

    @property
    def is_binary(self) -> bool:
        """Whether inputs of layers are signs: a ReLU before one would leave nothing but +1."""
        return self.pointwise.activation == "binary"

    @property
    def shortcut(self) -> Precision:
        """Of a projection in a shortcut, which networks with binary inputs keep real (Bi-Real, XNOR-Net)."""
        return precisions.get("float") if self.is_binary else self.pointwise

    @property
    def attention(self) -> Precision:
        """Of the two layers of a squeeze-and-excitation: they see one pixel an image, and are few."""
        return self.pointwise if self.pointwise.suits_all_layers else precisions.get("float")

    @property
    def hidden(self) -> Precision:
        """Of a dense layer between the means over an image and the classifier: no batch norm follows it."""
        return precisions.get("float") if self.is_binary else _for_last(self.pointwise)

    @property
    def classifies_signs(self) -> bool:
        """Whether the last layer takes signs, as it does only where that was asked for."""
        return self.has_own_classifier and self.classifier.activation == "binary"

    @property
    def before(self) -> "Plan":
        """The plan with masks before the first half of a depthwise-separable convolution, not within it."""
        return replace(self, pointwise=_plain(self.pointwise))

    @property
    def behind(self) -> "Plan":
        """The plan with masks behind the first half of a depthwise-separable convolution."""
        return replace(self, depthwise=_plain(self.depthwise))

    @property
    def undithered(self) -> "Plan":
        """The plan for all layers but those that the paper dithers (Holesovsky and Maki, section 3.3)."""
        wide, deep, point = _plain(self.spatial), _plain(self.depthwise), _plain(self.pointwise)
        last = _plain(self.classifier)
        return replace(self, spatial=wide, depthwise=deep, pointwise=point, classifier=last)


def plan(name: str, classifier: str | None = None) -> Plan:
    """The plan called ``name``: a precision, one followed by ``-1x1``, or one of ``SCALE_CASES``.

    Args:
        name: ``ternary`` puts all layers but the first in ternary, ``ternary-1x1`` the 1x1 convolutions and
            the classifier only.
        classifier: the precision of the last layer, if another is wanted.

    Raises:
        InvalidInput: there is no precision of that name, or the classifier would see nothing but +1.
    """
    full = precisions.get("float")
    if name in SCALE_CASES:
        unscaled, last = plan("bnn", classifier), plan("binary", classifier).classifier
        return replace(unscaled, name=name, classifier=last, scale_case=SCALE_CASES[name])
    is_partial = name not in precisions and name.endswith(ONLY_1X1)
    chosen = _named(name.removesuffix(ONLY_1X1) if is_partial else name, "precision", name)
    wide = full if is_partial else chosen
    last = _for_last(chosen) if classifier is None else _named(classifier, "classifier", classifier)
    if last.activation == "binary" != chosen.activation:
        problem = f"'{last.name}' takes signs, which are all +1 behind the ReLUs of '{name}'"
        raise InvalidInput(
            "classifier", problem, "choose one that takes numbers, or a precision that takes signs, too"
        )
    return Plan(name, wide, wide, chosen, last, classifier is not None)


def _for_last(precision: Precision) -> Precision:
    """Weights of +-1 need a batch norm behind them, and logits have none: they get a scale."""
    is_unscaled = precision.scale == "none" and precision.activation != "binary"
    return precisions.get("bwn") if is_unscaled else precision


def _named(name: str, parameter: str, typed: str) -> Precision:
    """The precision called ``name``; an error names ``typed``, as plans are no precisions."""
    try:
        return precisions.get(name)
    except InvalidInput as error:
        also = f", one of these followed by {ONLY_1X1}, or {', '.join(SCALE_CASES)}"
        also = also if parameter == "precision" else ""
        fix = precisions.instead_of(name, also)
        raise InvalidInput(parameter, f"unknown name '{typed}'", fix) from error


def _plain(precision: Precision) -> Precision:
    """The precision of the same codes without a mask."""
    if precision.dither is None:
        return precision
    plain = replace(precision, name="", dither=None)
    candidates = (precisions.get(name) for name in precisions)
    return next((p for p in candidates if replace(p, name="") == plain), plain)

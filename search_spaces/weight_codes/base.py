"""What a weight code is: how real weights become few numbers, how these learn, and how they are stored."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from search_spaces.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Scale = Literal["learned", "analytic", "none"]
"""Where the scales of weights come from; see ``Precision.scale``."""

Inputs = Literal["real", "bytes", "signs"]
"""What a layer multiplies its weights by."""

Scales = Mapping[str, "Tensor"]
"""A layer's learned scales, by name; they are its parameters, and have these names in its state."""

LATENT_START = 0.1
"""Factor on the latent weights that codes with learned scales start from. The codes do not depend on it, but
near 0 the first steps flip signs, where a short training would otherwise keep most of the random ones."""


class CodeSet(NamedTuple):
    """Which numbers a code stores.

    Attributes:
        values: whole numbers; None where they are real.
        has_two_scales: whether negative numbers have a scale of their own.
        basis: how many numbers of each output channel make its weights, as sums of them with signs; 0 where
            weights are codes times a scale. What is stored are then the signs: see ``WeightCode.basis``.
    """

    values: frozenset[int] | None
    has_two_scales: bool = False
    basis: int = 0


class Coded(NamedTuple):
    """Weights as codes: ``values * positive`` where values > 0, ``values * negative`` where values < 0.

    Attributes:
        values: whole numbers in the shape (O, ...) of the weight, or the real weights.
        positive: the scale of positive values: 0-dim, or (O,).
        negative: that of negative ones.
    """

    values: "Tensor"
    positive: "Tensor"
    negative: "Tensor"


class Term(NamedTuple):
    """A part of a layer's sums: the input convolved with ``weight``, times ``factor``.

    Attributes:
        weight: (O, ...).
        factor: of the output: 0-dim, (O,), or None for 1.
    """

    weight: "Tensor"
    factor: "Tensor | None" = None


@dataclass(frozen=True)
class StoredWeights:
    """A layer's weights as they are stored: small codes and two scales per output channel.

    The real weight is ``values * positive`` where values > 0 and ``values * negative`` where values < 0,
    the scales running along the first axis. Scales may be negative: they are learned.

    Attributes:
        code: the name of the weight code.
        values: shape of the weight, in the code's ``storage``.
        positive: (O,) float32.
        negative: (O,) float32.
        basis: (O, n) float32 where weights are sums of it: see ``WeightCode.basis``; else None.
    """

    code: str
    values: "NDArray[Any]"
    positive: "NDArray[np.float32]"
    negative: "NDArray[np.float32]"
    basis: "NDArray[np.float32] | None" = None


class WeightCode(ABC):
    """What a precision does to the weights of a layer. It holds no state: that is the layer's.

    A layer has latent weights (O, ...) and the learned scales that the code names. It calls ``scales`` once,
    when it is made, ``quantize`` or ``terms`` in each forward pass, ``clip`` after each step of an optimizer
    and ``stored`` when it is compiled. All tensors are on the layer's device and in its type; calls may come
    from several threads. ``search_spaces.testing.WeightCodeConformance`` checks all of it::

        class Signs(WeightCode):
            name, bits = "signs", 1

            def quantize(self, weight, scales, inputs):
                return quantizers.sign(weight)

            def stored(self, weight, scales, inputs):
                return Coded(quantizers.sign(weight), torch.tensor(1.0), torch.tensor(1.0))

            def code_set(self, inputs):
                return CodeSet(frozenset({-1, 1}))

        weight_codes.add("signs", Signs())
        precisions.add("signs-int8", Precision("signs-int8", weight="signs", activation="int8"))

    Attributes:
        name: what a ``Precision`` calls it.
        bits: that one stored weight takes, for the size of networks.
        start: factor on the random weights that a layer starts from.
        decays: whether weight decay is good for the latent weights.
        is_fitted: whether its scales are no parameters, but fitted to the latent weights by ``refitted``,
            before each forward pass of a training.
        storage: the numpy type that holds ``CodeSet.values``.
    """

    name: str
    bits: int
    start: ClassVar[float] = 1.0
    decays: ClassVar[bool] = True
    is_fitted: ClassVar[bool] = False
    storage: str = "int8"

    def under(self, scale: Scale) -> "WeightCode | None":
        """The code whose scales follow a rule; None where there is none. It is this one if they are learned,
        or if there is nothing to choose."""
        return self if scale == "learned" else None

    def scales(self, weight: "Tensor") -> dict[str, "Tensor"]:
        """The learned scales at the start, for latent weights (O, ...), by name; none if all is computed."""
        return {}

    def fitted(self, weight: "Tensor") -> dict[str, "Tensor"]:
        """The learned scales that fit real weights (O, ...) best, by the names of ``scales``."""
        return self.scales(weight)

    def refitted(self, weight: "Tensor", scales: Scales) -> dict[str, "Tensor"]:
        """The scales of one that ``is_fitted``, a step closer to what fits latent weights (O, ...) best."""
        return dict(scales)

    @abstractmethod
    def quantize(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> "Tensor":
        """The real weights (O, ...) that a layer computes with, with gradients for weight and scales.

        Quantizing the result again gives the result, up to rounding errors, unless the class says why not.
        """

    def terms(self, weight: "Tensor", scales: Scales, inputs: Inputs, training: bool) -> list[Term]:
        """The same as a sum of convolutions, where factors of the output keep sums of codes exact.

        Sums of signs times signs are whole numbers: a zero must be a zero for the next sign as it is in the
        compiled kernel.
        """
        return [Term(self.quantize(weight, scales, inputs))]

    def clip(self, weight: "Tensor") -> None:  # noqa: B027 - most have nothing to do
        """Bring latent weights back, in place, to where they learn."""

    @abstractmethod
    def stored(self, weight: "Tensor", scales: Scales, inputs: Inputs) -> Coded:
        """The weights as they are stored; they stand for what ``quantize`` gives."""

    def basis(self, scales: Scales) -> "Tensor | None":
        """The numbers v (O, n) of which weights are ``v_0 s_0 + v_1 s_1 + ...``; None where they are none.

        The stored values are then ``s_0 + 2 s_1 + ...`` of the signs s, odd numbers, and the scales are 1.
        """
        return None

    @abstractmethod
    def code_set(self, inputs: Inputs) -> CodeSet:
        """What ``stored`` may give, whatever the weights are: a kernel is chosen by it."""

    def computed_scales(self, outputs: int) -> int:
        """How many scales of a layer are stored and are no parameters: computed ones."""
        return 0


weight_codes: Registry[WeightCode] = Registry("weight_code", "weight_codes", ("search_spaces.weight_codes",))


def along_outputs(scale: "Tensor", dims: int) -> "Tensor":
    """A scale (O,) as (O, 1, ...) with ``dims`` ones; a 0-dim one as it is."""
    return scale.view(-1, *[1] * dims) if scale.dim() else scale

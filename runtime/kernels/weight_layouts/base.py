"""What a weight layout is: how weights of a code lie in memory, and what kernels do with them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer, ByChannel
from runtime.tvm_types import Expr, Tensor, Tensors, TirBuffer
from runtime.workload import BitserialConv2d, BitserialDense
from search_spaces.errors import InvalidInput
from search_spaces.registry import Registry
from search_spaces.weight_codes import CodeSet, Inputs

Shape = tuple[int, ...]
Args = Tensors
"""TE tensors by the names of their buffers."""


@dataclass(frozen=True)
class LayerWeights:
    """A layer's weights: codes (O, C/G, K, K), scales of positive and of negative codes (O,), bias (O,).

    With a basis (O, n), codes are odd numbers whose signs it is multiplied by: see ``WeightCode.basis``.
    """

    values: NDArray[Any]
    positive: NDArray[np.float32]
    negative: NDArray[np.float32]
    bias: NDArray[np.float32]
    basis: NDArray[np.float32] | None = None

    def of(self, channels: NDArray[np.int64]) -> "LayerWeights":
        """Those of output channels in another order, some of them more than once."""
        arrays = (self.values, self.positive, self.negative, self.bias)
        basis = None if self.basis is None else self.basis[channels]
        values, positive, negative, bias = (array[channels] for array in arrays)
        return LayerWeights(values, positive, negative, bias, basis)

    def vectors(self, width: int) -> Constants:
        """Scales and bias as (O / lanes, lanes)."""
        names = ("positive", "negative", "bias")
        return {name: packing.lane_vectors(getattr(self, name), width) for name in names}

    def scaled(self, width: int, step: float) -> Constants:
        """One scale for inputs and weights, and the bias, (O / lanes, lanes)."""
        vectors = self.vectors(width)
        scale = (vectors["positive"] * np.float32(step)).astype(np.float32)
        return {"scale": scale, "bias": vectors["bias"]}


class Taps(ABC):
    """Weights one by one, for kernels that multiply real numbers, and for depthwise ones of any input.

    ``shape`` is (O / lanes, K, K, C, lanes).
    """

    scales_by_integers: ClassVar[bool] = False
    """Whether a depthwise kernel can scale its sums of bytes without a float."""

    lowest: ClassVar[int | None] = None
    """The lowest of weights that are bytes as they are, with one scale; None if they are something else."""

    @abstractmethod
    def buffers(self, shape: Shape) -> list[Buffer]:
        """The constants that weights are given in: ``weight``, and what decodes it."""

    def scratch(self, shape: Shape) -> list[Buffer]:
        """Memory for decoded weights."""
        return []

    def decoded(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """The weights as a TE tensor of ``shape``; what is decoded is put into ``scratch``."""
        return args["weight"]

    def meant(self, tap: Expr) -> Expr:
        """What a weight of that tensor stands for, but for its scale."""
        return tap

    def by_channel(self, shape: Shape) -> ByChannel:
        """How ``weight`` lies: as elements, lanes last, unless the class says otherwise."""
        return ByChannel(shape, (0, len(shape) - 1))

    @abstractmethod
    def pack(self, weights: LayerWeights, width: int, step: float) -> Constants:
        """The constants, with ``scale`` and ``bias``; ``step`` is that of the inputs."""


class Quads(ABC):
    """Weights by fours, for products of bytes; ``shape`` is (O / lanes, K, K, quads, lanes, 4)."""

    highest: ClassVar[int] = 127
    """What a weight counts at most in a sum that must fit 32 bits."""

    is_odd: ClassVar[bool] = False
    """Whether a byte b stands for 2 b + 1, so that twice a sum of products lacks the sum of the inputs; such
    bytes may be -128."""

    is_bytewise: ClassVar[bool] = False
    """Whether the constant's last axes are words of lanes, of which each byte alone makes the bytes in its
    place of the weights: then a CPU may have them in another order."""

    per_word: ClassVar[int] = 0
    """Quads in such a word, one after the other, each in as many bits of every byte, the lowest first: then a
    CPU may mix the lanes of two. 0 where they lie otherwise."""

    is_decoded: ClassVar[bool] = False
    """Whether ``word`` gives one word after the other of what is packed."""

    @abstractmethod
    def buffer(self, shape: Shape) -> Buffer:
        """The constant ``weight``."""

    def scratch(self, shape: Shape) -> list[Buffer]:
        """Memory for decoded weights."""
        return []

    def word(self, packed: Tensor | TirBuffer, o: Expr, position: Expr, lane: Expr) -> Expr:
        """Four weights as an int32, of those packed; positions go through (K, K, quads)."""
        raise NotImplementedError

    @abstractmethod
    def words(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """The weights as int32 words of four: a TE tensor of ``shape`` without its last axis."""

    @abstractmethod
    def bytes(self, args: Args, scratch: Args, shape: Shape) -> Tensor:
        """The weights as bytes: a TE tensor of ``shape``."""

    @abstractmethod
    def pack(self, weights: LayerWeights, width: int, step: float) -> Constants:
        """``weight``, ``scale``, ``bias`` and ``offset``; ``step`` is that of the inputs."""


@dataclass(frozen=True)
class Lookup:
    """Bits of weights, looked up in tables that the inputs choose: see ``runtime.kernels.lookups``.

    Attributes:
        kind: of the table.
        data: the plane of the inputs.
        weight: the plane of the weights, as ``Planes.looked_up_in`` gives them.
        lacks_total: whether what is looked up is subtracted, so that the sum lacks the number of bits that
            are set in the plane.
    """

    kind: str
    data: Expr
    weight: Expr
    lacks_total: bool = False


class Planes(ABC):
    """Weights as planes of bits, for kernels that count those that differ from the inputs' signs.

    Attributes:
        of_signs: planes of signs that make a weight, each with a factor; 0 where planes mean something else.
            Such weights may meet inputs of several planes, too.
    """

    of_signs: int = 0

    def is_symmetric(self, codes: CodeSet) -> bool:
        """What ``symmetric`` is in the workload of such weights."""
        return False

    @abstractmethod
    def stored(self, workload: BitserialConv2d) -> int:
        """Bits of one weight."""

    @abstractmethod
    def sums(self, workload: BitserialConv2d) -> int:
        """Counts that are kept apart."""

    @abstractmethod
    def differing(
        self,
        workload: BitserialConv2d,
        sum_index: Expr,
        data: Callable[[Expr], Expr],
        weight: Callable[[Expr], Expr],
    ) -> Expr:
        """The word of bits that count for one of the sums; ``data`` and ``weight`` give words of a plane."""

    def lookups(self, workload: BitserialConv2d, sum_index: Expr) -> list[Lookup]:
        """What adds up to one of the sums where bits are looked up; nothing if they cannot be."""
        return []

    def looked_up_in(self, workload: BitserialConv2d, weight: NDArray[Any]) -> NDArray[Any]:
        """Packed weights (..., planes, lanes) as planes for ``lookups``."""
        return weight

    def products(self, workload: BitserialConv2d, dots: list[Expr]) -> list[Expr]:
        """What the scales multiply, from ``total - 2 count`` of each sum."""
        return dots

    @abstractmethod
    def negated(self, workload: BitserialConv2d, weight: NDArray[Any]) -> NDArray[Any]:
        """Packed weights (O / lanes, K, K, words, planes, lanes) negated, where there is one sum."""

    @abstractmethod
    def pack(
        self, workload: BitserialConv2d | BitserialDense, weights: LayerWeights, width: int
    ) -> Constants:
        """``weight``, ``total`` (O / lanes, sums, lanes), ``scale`` of the same shape, and ``bias``."""


class WeightLayout(ABC):
    """How kernels take weights. Parts that are None are kernels that there are not.

    Attributes:
        name: what workloads call it: it is a part of their keys.
        bits: that one weight takes; of layouts that fit, the one of the fewest is used.
        taps: for kernels of real inputs, and depthwise ones.
        quads: for kernels of bytes.
        planes: for kernels of signs.
    """

    name: ClassVar[str]
    bits: ClassVar[int]
    taps: ClassVar[Taps]
    quads: ClassVar[Quads | None] = None
    planes: ClassVar[Planes | None] = None

    @abstractmethod
    def fits(self, codes: CodeSet, inputs: Inputs) -> bool:
        """Whether kernels of such inputs take weights of such codes in this layout, depthwise ones, too."""


weight_layouts: Registry[WeightLayout] = Registry(
    "layout", "weight_layouts", ("runtime.kernels.weight_layouts",)
)


def layout_for(codes: CodeSet, inputs: Inputs) -> WeightLayout | None:
    """The layout in which kernels take weights of a code; None where there is none."""
    known = map(weight_layouts.get, weight_layouts)
    return min((each for each in known if each.fits(codes, inputs)), key=lambda each: each.bits, default=None)


def taps_of(workload: Any) -> Taps:
    """How a kernel takes weights one by one."""
    return weight_layouts.get(workload.weight).taps


def quads_of(workload: Any) -> Quads:
    """How a kernel takes weights by fours.

    Raises:
        InvalidInput: it does not.
    """
    found = weight_layouts.get(workload.weight).quads
    if found is None:
        raise _no_kernel(workload, "bytes")
    return found


def planes_of(workload: Any) -> Planes:
    """How a kernel takes weights as bits.

    Raises:
        InvalidInput: it does not.
    """
    found = weight_layouts.get(workload.weight).planes
    if found is None:
        raise _no_kernel(workload, "signs")
    return found


def _no_kernel(workload: Any, inputs: str) -> InvalidInput:
    problem = f"no kernel takes '{workload.weight}' weights with {inputs}: {workload.key}"
    return InvalidInput("workload", problem, "choose other codes")

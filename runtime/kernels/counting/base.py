"""What a way of counting is: how it takes weights, and the sums that it makes of an image and of them."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from runtime.cpu import Cpu
from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer, ByChannel
from runtime.kernels.covering import VECTOR, Grid
from runtime.kernels.padding import Image
from runtime.kernels.schedule import Tile
from runtime.kernels.weight_layouts import planes_of
from runtime.tvm_types import Expr, Tensor, Tensors
from runtime.workload import BitserialConv2d

LANES = VECTOR
"""Output channels in a vector of sums; of a whole one, whatever the lanes in which bits are counted."""


@dataclass(frozen=True)
class Counts:
    """Counts of bits, (N, Ho, Wo, O/lanes, sums, lanes), in ``Counting.number``'s form, and their sums.

    Attributes:
        tensor: the TE stage ``accumulate``.
        reductions: its reduction axes.
        narrow: those of the stage ``narrow`` before it; 0 where there is none.
    """

    tensor: Tensor
    reductions: int
    narrow: int = 0


class Counting(ABC):
    """A way of counting on a CPU.

    Attributes:
        image_dtype: what the packed image is read as.
    """

    image_dtype: ClassVar[str] = "uint32"

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu

    def image_shape(self, words: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an image (N, H, W, G, words, bits) as it is read."""
        return words

    def constants(self, workload: BitserialConv2d, weight: Buffer) -> list[Buffer]:
        """What stands in place of the weights (O/lanes, K, K, words, planes, lanes)."""
        return [weight]

    def arrange(self, workload: BitserialConv2d, constants: Constants) -> Constants:
        """Constants for ``constants``."""
        return constants

    def by_channel(self, workload: BitserialConv2d, weight: Buffer) -> ByChannel:
        """How the constant in place of ``weight`` lies."""
        vectors, *inner, lanes = weight.shape
        return ByChannel((vectors, math.prod(inner), lanes, packing.WORD), (0, 2), of_bits=True)

    @abstractmethod
    def tiles(self, workload: BitserialConv2d, columns: int, vectors: int) -> list[Tile]:
        """Tiles of rows of so many pixels and of so many vectors of a group's channels."""

    @abstractmethod
    def counted(self, workload: BitserialConv2d, grid: Grid, data: Image, args: Tensors) -> Counts:
        """The counts of a grid."""

    def number(self, summed: Expr) -> Expr:
        """A count as an int32, from what ``counted`` holds of it."""
        return summed.astype("int32")


def sums(workload: BitserialConv2d) -> int:
    """Counts that are kept apart: one for each pair of bits, or for each sign of a ternary weight."""
    return planes_of(workload).sums(workload)

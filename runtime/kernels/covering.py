"""Tiles of pixels and vectors of channels where they do not divide an output: the last overlaps another.

What lies in both is computed twice, the same each time, so that no tile and no vector is narrower than the
others. A kernel computes a grid of whole tiles; what it reads and writes is at the grid's places.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.kernels import packing
from runtime.tvm_types import Expr

VECTOR = 16  # lanes of 32 bits
SMALL_GROUPS = (4, 8)  # of which vectors hold whole ones


@dataclass(frozen=True)
class Cover:
    """``extent`` positions in pieces of ``step``, which are ``extent`` at most."""

    extent: int
    step: int = 1

    @property
    def count(self) -> int:
        """Pieces."""
        return -(-self.extent // self.step)

    @property
    def padded(self) -> int:
        """Positions in all pieces, those in two of them twice."""
        return self.count * self.step

    def start(self, piece: Expr) -> Expr:
        """The first position of a piece."""
        from tvm import tirx

        first = piece * self.step
        return first if self.padded == self.extent else tirx.min(first, self.extent - self.step)

    def at(self, index: Expr) -> Expr:
        """The position of one of ``padded``."""
        if self.padded == self.extent:
            return index
        return self.start(index // self.step) + index % self.step

    def order(self) -> NDArray[np.int64]:
        """The position of each of ``padded``."""
        starts = np.minimum(np.arange(self.count) * self.step, self.extent - self.step)
        found: NDArray[np.int64] = (starts[:, None] + np.arange(self.step)).reshape(-1)
        return found


@dataclass(frozen=True)
class Vectors:
    """Vectors of lanes over output channels, those of each group apart."""

    channels: int
    groups: int = 1

    @property
    def width(self) -> int:
        """Lanes: the power of two, up to 16, that holds the channels of a group."""
        return min(VECTOR, 1 << (self.channels // self.groups - 1).bit_length())

    @property
    def kept(self) -> int:
        """Lanes whose sums are written: all but those beyond the only vector of a small group."""
        return min(self.width, self.channels // self.groups)

    @property
    def group(self) -> Cover:
        """Those of one group."""
        return Cover(self.channels // self.groups, self.kept)

    @property
    def count(self) -> int:
        """Vectors of all groups."""
        return self.groups * self.group.count

    @property
    def shape(self) -> tuple[int, int]:
        """Of what kernels take for each channel: (vectors, lanes)."""
        return self.count, self.width

    def first(self, vector: Expr) -> Expr:
        """The channel of a vector's first lane."""
        group = self.group
        if group.padded == group.extent:
            return vector * self.kept
        return vector // group.count * group.extent + group.start(vector % group.count)

    def order(self) -> NDArray[np.int64]:
        """The channel of each lane of each vector, (vectors * lanes,); others than kept ones, too."""
        by_vector = self.group.order().reshape(-1, self.kept)
        lanes = by_vector[:, np.minimum(np.arange(self.width), self.kept - 1)]
        starts = np.arange(self.groups)[:, None] * self.group.extent
        found: NDArray[np.int64] = (starts + lanes.reshape(-1)).reshape(-1)
        return found


def vectors_of(workload: Any) -> Vectors:
    """Those of a kernel with weights."""
    channels = (getattr(workload, name, None) for name in ("out_channels", "out_features", "channels"))
    groups = 1 if spans_groups(workload) else getattr(workload, "groups", 1)
    return Vectors(next(filter(None, channels)), groups)


def spans_groups(workload: Any) -> bool:
    """Whether a vector is of several groups, each lane reading its own: of 4 or 8, and few inputs."""
    groups = getattr(workload, "groups", 1)
    if groups == 1 or workload.out_channels < VECTOR:
        return False
    channels = workload.out_channels // groups
    return channels in SMALL_GROUPS and VECTOR // channels * units_of(workload) <= VECTOR


def reuses_rows(workload: Any) -> bool:
    """Whether what lanes read of several groups serves more than one pixel, and stays in registers."""
    window = workload.window
    return spans_groups(workload) and window.kernel_width > 1 and window.stride_x == 1


def units_of(workload: Any) -> int:
    """32 bits each, that a kernel reads of a group of a pixel: a float, four bytes, or 32 signs."""
    depth = workload.in_channels // workload.groups
    if workload.family == "bitserial_conv2d":
        bits: int = workload.input_bits
        return packing.words(depth) * bits
    return depth if workload.input == "float" else packing.quads(depth)


@dataclass(frozen=True)
class Grid:
    """An output (N, rows, columns, channels) as a kernel goes through it.

    Where ``line`` is not 0, the only row is all rows of the output one after the other, of so many pixels.
    """

    batch: int
    rows: int
    columns: Cover
    vectors: Vectors
    groups: int = 1
    line: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(N, rows, columns, vectors, lanes), with what is computed twice."""
        return (self.batch, self.rows, self.columns.padded, *self.vectors.shape)

    @property
    def output(self) -> tuple[int, int, int, int]:
        """(N, rows, columns, channels)."""
        rows, columns = self.rows, self.columns.extent
        if self.line:
            rows, columns = columns // self.line, self.line
        return self.batch, rows, columns, self.vectors.channels

    @property
    def spans_groups(self) -> bool:
        """Whether lanes of a vector are of several groups."""
        return self.groups > self.vectors.groups

    def group(self, o: Expr, i: Expr | int = 0) -> Expr:
        """The group of a lane; without ``i``, of the vector, or of its first lane."""
        if self.spans_groups:
            return (self.vectors.first(o) + i) // (self.vectors.channels // self.groups)
        return o // self.vectors.group.count

    def place(self, n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> tuple[Expr, Expr, Expr, Expr]:
        """Where in the output one of ``shape`` lies."""
        return n, *self.pixel(y, x), self.vectors.first(o) + i

    def pixel(self, y: Expr, x: Expr) -> tuple[Expr, Expr]:
        """The row and column of the output that one of ``shape`` is of."""
        at = self.columns.at(x)
        return (at // self.line, at % self.line) if self.line else (y, at)

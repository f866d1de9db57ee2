"""Tensors under other shapes than their memory's: axes permuted, split and joined, and moved late.

A channel shuffle views channels as groups, swaps two axes and joins them again: only then is it known that
one kernel does it all. A norm over channels permutes an image to rows and back, which moves nothing here,
where channels lie last anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from math import prod

from runtime.graph import Value

Axes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Arranged:
    """A tensor that is not, or not known to be, images (N, H, W, C) or rows (N, F).

    Attributes:
        value: what was written to memory, of any shape with as many numbers.
        sizes: of the axes of memory, the slowest first; the first one is that of images.
        axes: for each axis of torch's, the axes of memory that it is made of, the slowest first.
    """

    value: Value
    sizes: tuple[int, ...]
    axes: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Torch's."""
        return tuple(prod(self.sizes[own] for own in axis) for axis in self.axes)

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of memory in the order of torch's."""
        return tuple(chain.from_iterable(self.axes))

    @property
    def is_in_order(self) -> bool:
        """Whether memory has the order of torch's axes."""
        return self.order == tuple(range(len(self.sizes)))

    def permuted(self, order: Sequence[int]) -> "Arranged":
        """Torch's axes in another order."""
        return replace(self, axes=tuple(self.axes[axis] for axis in order))

    def simple(self) -> "Arranged":
        """The same with as few axes of memory as there can be: none of size 1, and neighbours joined."""
        kept = [axis for axis, size in enumerate(self.sizes) if size > 1 or axis == 0]
        axes = tuple(tuple(own for own in axis if own in kept) for axis in self.axes)
        follows = {b for axis in axes for a, b in pairwise(axis) if kept.index(b) == kept.index(a) + 1}
        starts = [axis for axis in kept if axis not in follows]
        ends = [*starts[1:], len(self.sizes)]
        sizes = tuple(prod(self.sizes[a:b]) for a, b in zip(starts, ends, strict=True))
        return Arranged(
            self.value, sizes, tuple(tuple(starts.index(a) for a in axis if a in starts) for axis in axes)
        )

    def reshaped(self, shape: Sequence[int]) -> "Arranged | None":
        """Torch's axes split and joined to a shape; None where memory must be moved first. Images stay."""
        row = replace(self, axes=((0,), self.order[1:])).simple()  # as few axes to split as there can be
        rest = [(axis, row.sizes[axis]) for axis in row.order if axis]
        parts: dict[int, list[int]] = {axis: [] for axis in range(len(row.sizes))}
        axes: list[list[tuple[int, int]]] = [[(0, 0)]]
        parts[0].append(row.sizes[0])
        for wanted in shape[1:]:
            axes.append([])
            while wanted > 1:
                axis, size = rest.pop(0)
                part = size if wanted % size == 0 else wanted
                if size % part:
                    return None
                if part < size:
                    rest.insert(0, (axis, size // part))
                axes[-1].append((axis, len(parts[axis])))
                parts[axis].append(part)
                wanted //= part
        places = [(axis, i) for axis in range(len(row.sizes)) for i in range(len(parts[axis]))]
        sizes = tuple(parts[axis][i] for axis, i in places)
        return Arranged(self.value, sizes, tuple(tuple(map(places.index, axis)) for axis in axes)).simple()

    def flat(self) -> "Arranged":
        """A tensor that lies in torch's order, as a row for each image."""
        return Arranged(self.value, (self.sizes[0], prod(self.sizes[1:])), ((0,), (1,)))

    def moved(self, value: Value, order: Sequence[int]) -> "Arranged":
        """The same tensor where the axes of memory lie in another order."""
        place = {axis: i for i, axis in enumerate(order)}
        axes = tuple(tuple(place[own] for own in axis) for axis in self.axes)
        return Arranged(value, tuple(self.sizes[axis] for axis in order), axes)

    def plain(self) -> Value | None:
        """The value as images or rows, where it is such a one as it lies in memory."""
        rows = len(self.axes) == 2 and self.axes[0] == (0,) and self.is_in_order
        if rows:
            return Value(self.value.index, self.shape, "rows")
        if len(self.axes) != 4 or self.axes[0] != (0,):
            return None
        n, channels, height, width = self.shape
        if image_order(self) != tuple(range(len(self.sizes))):
            return None
        return Value(self.value.index, (n, height, width, channels), "nhwc")


Tensor = Value | Arranged


def image_order(tensor: Arranged) -> tuple[int, ...]:
    """The order of memory in which a tensor of torch's (N, C, H, W) is an image."""
    first, channels, height, width = tensor.axes
    return (*first, *height, *width, *channels)


def arranged(value: Value | Arranged) -> Arranged:
    """Any tensor with its axes told."""
    if isinstance(value, Arranged):
        return value
    axes: Axes = ((0,), (1,)) if len(value.shape) == 2 else ((0,), (3,), (1,), (2,))
    return Arranged(value, value.shape, axes).simple()

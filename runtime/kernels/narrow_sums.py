"""Sums in two levels: of a few steps in narrow numbers, which fill more lanes, and of these in wider ones.

A reduction over axes is split so that the inner one takes no more steps than a narrow sum can hold.
"""

from dataclasses import dataclass
from math import prod

from runtime.tvm_types import Expr, IterVar


@dataclass(frozen=True)
class Split:
    """The axes of a reduction by extent, the steps taken in turn, split at one of them.

    Attributes:
        extents: of all axes, the outermost first.
        cut: the axis that is split.
        inside: how many steps of that axis belong to the inner sum.
    """

    extents: tuple[int, ...]
    cut: int
    inside: int

    @property
    def outer(self) -> tuple[int, ...]:
        """Extents of the outer sum's axes."""
        return (*self.extents[: self.cut], self.extents[self.cut] // self.inside)

    @property
    def inner(self) -> tuple[int, ...]:
        """Extents of the inner sum's axes."""
        return (self.inside, *self.extents[self.cut + 1 :])

    def index(self, outer: tuple[Expr, ...], inner: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """The place along the axes of a step of the inner sum."""
        *before, block = outer
        first, *after = inner
        return (*before, block * self.inside + first, *after)


def split_steps(extents: tuple[int, ...], most: int) -> Split:
    """The split whose inner sum has as many steps as it may: whole axes, and a divisor of the next one."""
    cut = len(extents)
    while cut > 0 and prod(extents[cut - 1 :]) <= most:
        cut -= 1
    if cut == 0:
        return Split(extents, 0, extents[0])
    room = most // prod(extents[cut:])
    extent = extents[cut - 1]
    inside = next(n for n in range(min(room, extent), 0, -1) if extent % n == 0)
    return Split(extents, cut - 1, inside)


def reduce_axes(extents: tuple[int, ...], name: str) -> tuple[IterVar, ...]:
    """A reduction axis for each extent."""
    from tvm import te

    return tuple(te.reduce_axis((0, extent), f"{name}{i}") for i, extent in enumerate(extents))

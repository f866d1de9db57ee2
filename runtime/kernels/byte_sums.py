"""Sums of products of bytes by fours, in the stages that a CPU's way to multiply them takes.

Beside the plain sum there are two forms. Where bytes must be widened to 16 bits before they are multiplied
(pmaddwd), the pixels of a tile are, a row of its windows at a time: each is then multiplied by many weights.
Where sums of products fit 16 bits for a while (pmaddubsw and paddw), so many steps are summed there, and
these sums in 32 bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from runtime.kernels.byte_dots import MOST_IN_16_BITS, halves
from runtime.kernels.intrinsics import byte_dot_sum, wide_sum
from runtime.target import ByteDot
from runtime.tvm_types import Expr, Loop, Schedule, Tensor

NARROW, HALVES = "narrow", "halves"
MOST_QUADS = 64  # of a pixel that are widened at once: those of a tile then stay in the first cache
FEWEST_STEPS = 8  # in 16 bits: below, it does not pay to widen their sums

Arrange = Callable[[Schedule, list[Loop]], None]
"""Moves stages into the reduction of ``accumulate``, whose loops are given, before these are unrolled."""


@dataclass(frozen=True)
class Steps:
    """How a reduction is split: blocks of quads, rows and columns of a window, quads of a block.

    ``inner`` of these axes, the last ones, are summed in 16 bits.
    """

    extents: tuple[int, int, int, int]
    inner: int = 0

    @property
    def narrow(self) -> int:
        """As many steps are summed in 16 bits."""
        return prod(self.extents[4 - self.inner :]) if self.inner else 0


def steps_of(kind: ByteDot, window: tuple[int, int], quads: int, highest_pair: int) -> Steps:
    """How the sum over a window is split; the sum of two products is at most ``highest_pair``."""
    if kind.is_narrow:
        most = MOST_IN_16_BITS // highest_pair
        block = _divisor(quads, most)
        extents = (quads // block, *window, block)
        return Steps(extents, max(n for n in range(1, 4) if prod(extents[4 - n :]) <= most))
    block = _divisor(quads, MOST_QUADS) if kind.takes_halves else quads
    return Steps((quads // block, *window, block))


def pays(kind: ByteDot, window: tuple[int, int], quads: int, highest_pair: int) -> bool:
    """Whether a kind can take products as large as these, and is not slower than the next one."""
    if not kind.sums_pairs:
        return True
    if highest_pair > MOST_IN_16_BITS:
        return False
    steps = steps_of(kind, window, quads, highest_pair)
    return not kind.is_narrow or steps.narrow >= min(FEWEST_STEPS, prod(window) * quads)


def _divisor(number: int, most: int) -> int:
    """The largest divisor that is not above ``most``."""
    return next(n for n in range(min(number, most), 0, -1) if number % n == 0)


def sum_by_fours(
    kind: ByteDot,
    steps: Steps,
    shape: tuple[int, int, int, int, int],
    image: tuple[int, ...],
    word: Callable[..., Expr],
    place: Callable[..., tuple[Expr, ...]],
    weight: Callable[..., Expr],
) -> tuple[Tensor, Arrange | None]:
    """``accumulate`` of ``shape`` (N, Ho, Wo, O/lanes, lanes), and what arranges the stages before it.

    Args:
        kind: how four bytes are multiplied.
        steps: how the reduction is split.
        shape: of the sums.
        image: the extents of ``word``.
        word: four bytes of the padded image as an int32 at (n, y, x, g, quad).
        place: (n, y, x, g) of the image from (n, y, x, o) of the sums and (ky, kx) of a window.
        weight: four bytes of weights as an int32 at (o, ky, kx, quad, lane).
    """
    from tvm import te

    block = steps.extents[3]
    data: list[Callable[..., Expr]] = [word]
    if kind.takes_halves:
        *pixels, quads = image
        found = te.compute((*pixels, 2, quads), lambda *i: _half(word(*i[:4], i[5]), i[4]), name=HALVES)
        data = [lambda *i, half=half: found[(*i[:4], half, i[4])] for half in (0, 1)]

    def dot(index: tuple[Expr, ...], axes: list[Expr]) -> tuple[list[Expr], Expr]:
        *pixel, o, lane = index
        outer, ky, kx, inner = axes
        quad = outer * block + inner
        found = place(*pixel, o, ky, kx)
        return [each(*found, quad) for each in data], weight(o, ky, kx, quad, lane)

    axes = [te.reduce_axis((0, e), name) for e, name in zip(steps.extents, AXES, strict=True)]
    if not kind.is_narrow:
        total = te.compute(shape, lambda *i: byte_dot_sum(kind, *dot(i, axes), axis=axes), name="accumulate")
        return total, _widened_by_rows if kind.takes_halves else None
    outer, inner = axes[: 4 - steps.inner], axes[4 - steps.inner :]
    extents = steps.extents[: 4 - steps.inner]

    def narrow(*index: Expr) -> Expr:
        found = dot((*index[:4], index[-1]), [*index[4:-1], *inner])
        return byte_dot_sum(kind, *found, axis=inner)

    sums = te.compute((*shape[:4], *extents, shape[4]), narrow, name=NARROW)
    total = te.compute(
        shape, lambda *i: wide_sum(kind, sums[(*i[:4], *outer, i[4])], outer), name="accumulate"
    )
    return total, lambda schedule, loops: _narrow_first(schedule, loops, steps.inner)


AXES = ("block", "ky", "kx", "quad")


def _half(word: Expr, half: Expr) -> Expr:
    from tvm import tirx

    return tirx.Select(half == 0, *halves(word))


def _widened_by_rows(schedule: Schedule, loops: list[Loop]) -> None:
    """Let a row of the windows be widened before it is multiplied."""
    block = schedule.get_sblock(HALVES)
    _, ky, _, _ = loops
    schedule.compute_at(block, ky, preserve_unit_loops=True)
    schedule.set_scope(block, 0, "local")
    *_, half, quad = schedule.get_loops(block)
    extent = int(schedule.get(quad).extent)
    width = next(n for n in (16, 8, 4, 2, 1) if extent % n == 0)
    quad, lane = schedule.split(quad, [None, width])
    schedule.reorder(quad, half, lane)
    schedule.unroll(half)
    schedule.vectorize(lane)


def _narrow_first(schedule: Schedule, loops: list[Loop], inner: int) -> None:
    """Let the sums in 16 bits be made before they are widened, in registers."""
    block = schedule.get_sblock(NARROW)
    schedule.compute_at(block, loops[-1], preserve_unit_loops=True)
    schedule.set_scope(block, 0, "local")
    own = schedule.get_loops(block)
    inside = own[len(own) - len(schedule.get(block).iter_vars) :]
    spatial, reduced = inside[:-inner], inside[-inner:]
    schedule.reorder(*reduced, *spatial)
    schedule.vectorize(spatial[-1])
    for loop in spatial[:-1]:
        schedule.unroll(loop)
    schedule.decompose_reduction(block, reduced[0])

"""Sums of products of bytes by fours, in the stages that a CPU's way to multiply them takes.

Beside the plain sum there are two forms. Where bytes must be widened to 16 bits before they are multiplied
(pmaddwd), the pixels of a tile are, a row of its windows at a time: each is then multiplied by many weights.
Where sums of products fit 16 bits for a while (pmaddubsw and paddw), so many steps are summed there, and
these sums in 32 bits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from runtime.cpu import ByteDot
from runtime.kernels.byte_dots import MOST_IN_16_BITS, halves
from runtime.kernels.intrinsics import byte_dot_sum, wide_sum
from runtime.kernels.narrow_sums import reduce_axes, split_steps
from runtime.kernels.schedule import Arrange
from runtime.tvm_types import Expr, Loop, Schedule, Tensor

HALVES = "halves"
MOST_QUADS = 64  # of a pixel that are widened at once: those of a tile then stay in the first cache
FEWEST_STEPS = 8  # in 16 bits: below, it does not pay to widen their sums

Shape = tuple[int, int, int, int, int]
Word = Callable[..., Expr]


@dataclass(frozen=True)
class Products:
    """What is multiplied by what, four bytes as an int32.

    Attributes:
        window: rows and columns of taps.
        image: extents (N, H, W, G, quads) of ``word``.
        word: of the padded image at (n, y, x, g, quad).
        pixel: (n, y, x) of the image from those of the sums and (ky, kx) of a window.
        group: g of the image from o of the sums.
        weight: of weights at (o, ky, kx, quad, lane).
        highest_pair: what the sum of two products may be.
        lane_word: what a lane reads, at (n, y, x) of the image, o, lane and (quad,), where the lanes of a
            vector are of several groups; else None.
    """

    window: tuple[int, int]
    image: tuple[int, ...]
    word: Word
    pixel: Callable[..., tuple[Expr, ...]]
    group: Callable[[Expr], Expr]
    weight: Word
    highest_pair: int
    lane_word: Word | None = None


@dataclass(frozen=True)
class Sums:
    """``accumulate``, and what ``schedule_tiled`` must know of the stages before it."""

    total: Tensor
    narrow: int = 0
    arrange: Arrange | None = None


def takes(kind: ByteDot, window: tuple[int, int], quads: int, highest_pair: int) -> bool:
    """Whether a kind can take products as large as these, and is not slower than the next one."""
    if not kind.sums_pairs:
        return True
    if highest_pair > MOST_IN_16_BITS:
        return False
    steps = prod(split_steps((*window, quads), MOST_IN_16_BITS // highest_pair).inner)
    return not kind.is_narrow or steps >= min(FEWEST_STEPS, prod(window) * quads)


def sum_by_fours(kind: ByteDot, shape: Shape, products: Products) -> Sums:
    """The sums of products, of ``shape`` (N, Ho, Wo, O/lanes, lanes)."""
    if kind.is_narrow:
        return _summed_narrow(kind, shape, products)
    if kind.takes_halves and products.lane_word is None:
        return _summed_by_halves(kind, shape, products)
    axes = reduce_axes((*products.window, products.image[-1]), "step")

    def dot(*index: Expr) -> Expr:
        words, weight = _factors(products, index, axes)
        words = halves(*words) if kind.takes_halves else words
        return byte_dot_sum(kind, words, weight, axis=list(axes))

    return Sums(_accumulate(shape, dot))


def _accumulate(shape: Shape, value: Callable[..., Expr]) -> Tensor:
    from tvm import te

    return te.compute(shape, value, name="accumulate")


def _factors(
    products: Products, index: tuple[Expr, ...], step: tuple[Expr, ...], words: Sequence[Word] = ()
) -> tuple[list[Expr], Expr]:
    """Words of the image, or ``words`` made of them, and a weight, at (n, y, x, o, lane), (ky, kx, quad)."""
    *pixel, o, lane = index
    *tap, quad = step
    weight, place = products.weight(o, *tap, quad, lane), products.pixel(*pixel, *tap)
    if products.lane_word is not None:
        return [products.lane_word(place, o, lane, (quad,))], weight
    return [word(*place, products.group(o), quad) for word in words or [products.word]], weight


def _summed_narrow(kind: ByteDot, shape: Shape, products: Products) -> Sums:
    from tvm import te

    extents = (*products.window, products.image[-1])
    split = split_steps(extents, MOST_IN_16_BITS // products.highest_pair)
    outer, inner = reduce_axes(split.outer, "block"), reduce_axes(split.inner, "step")

    def narrow(*index: Expr) -> Expr:
        step = split.index(index[4:-1], inner)
        found = _factors(products, (*index[:4], index[-1]), step)
        return byte_dot_sum(kind, *found, axis=list(inner))

    sums = te.compute((*shape[:4], *split.outer, shape[4]), narrow, name="narrow")

    def wide(*index: Expr) -> Expr:
        return wide_sum(kind, sums[(*index[:4], *outer, index[4])], list(outer))

    return Sums(_accumulate(shape, wide), narrow=len(inner))


def _summed_by_halves(kind: ByteDot, shape: Shape, products: Products) -> Sums:
    from tvm import te, tirx

    *pixels, quads = products.image
    block = next(n for n in range(min(quads, MOST_QUADS), 0, -1) if quads % n == 0)
    blocks, *taps, inner = axes = reduce_axes((quads // block, *products.window, block), "step")

    def half(*index: Expr) -> Expr:
        *pixel, odd, quad = index
        return tirx.Select(odd == 0, *halves(products.word(*pixel, quad)))

    found = te.compute((*pixels, 2, quads), half, name=HALVES)
    words = [lambda *i, odd=odd: found[(*i[:-1], odd, i[-1])] for odd in (0, 1)]

    def dot(*index: Expr) -> Expr:
        factors = _factors(products, index, (*taps, blocks * block + inner), words)
        return byte_dot_sum(kind, *factors, axis=list(axes))

    return Sums(_accumulate(shape, dot), arrange=_widened_by_rows)


def _widened_by_rows(schedule: Schedule, loops: list[Loop]) -> None:
    """Let the pixels that a row of the windows reads be widened before they are multiplied."""
    block = schedule.get_sblock(HALVES)
    _, row, *_ = loops
    schedule.compute_at(block, row, preserve_unit_loops=True)
    schedule.set_scope(block, 0, "local")
    *_, odd, quad = schedule.get_loops(block)
    extent = int(schedule.get(quad).extent)
    quad, lane = schedule.split(quad, [None, next(n for n in (16, 8, 4, 2, 1) if extent % n == 0)])
    schedule.reorder(quad, odd, lane)
    schedule.unroll(odd)
    schedule.vectorize(lane)

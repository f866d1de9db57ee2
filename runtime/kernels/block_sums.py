"""Sums of many floats in blocks, so that no float32 takes in thousands of others one after the other.

Each addition is off by half a unit in the last place of the sum, which of n equal numbers grows to n 2^-25 of
the whole: 0.9 % at a million. In blocks of b, blocks of blocks and so on, it stays near b 2^-25 (Higham, *The
accuracy of floating point summation*, 1993).
"""

from dataclasses import dataclass
from functools import partial, reduce
from operator import add

from runtime.kernels.schedule import Tile
from runtime.tvm_types import Block, Compute, Expr, Loop, PrimFunc, Schedule, Tensor

Term = Compute
"""A number at (n, y, x, k, o, i): a tensor is one, too."""

BLOCK = 256
"""As many numbers are summed one after the other."""

Shape = tuple[int, ...]
"""Of an output: images, rows, columns, vectors of channels, lanes."""


@dataclass(frozen=True)
class BlockSum:
    """A sum, and the names of the stages that make it: for each part of it the last stage first."""

    total: Term
    parts: tuple[tuple[str, ...], ...]


def block_sum(shape: Shape, count: int, term: Term, name: str = "") -> BlockSum:
    """The sum of ``term(n, y, x, k, o, i)`` over k below ``count``, of shape (N, Ho, Wo, O/lanes, lanes).

    Its parts are as the digits of ``count`` to the base ``BLOCK``: so many numbers, blocks, blocks of blocks.
    """
    tensors, parts, start = [], [], 0
    for level, digit in reversed(list(enumerate(_digits(count)))):
        extents = (digit, *[BLOCK] * level)
        if digit:
            numbered = partial(_numbered, term, extents, start)
            tensor, names = nested_sum(shape, extents, numbered, f"{name}sum{level}")
            tensors.append(tensor)
            parts.append(names)
            start += digit * BLOCK**level

    def total(*index: Expr) -> Expr:
        return reduce(add, (tensor(*index) for tensor in tensors))

    return BlockSum(total, tuple(parts))


def _digits(count: int) -> list[int]:
    """The digits of a number to the base ``BLOCK``, the lowest first."""
    found = []
    while count:
        count, digit = divmod(count, BLOCK)
        found.append(digit)
    return found


def _numbered(term: Term, extents: tuple[int, ...], start: int, *index: Expr) -> Expr:
    """``term`` at the k that its place in blocks of ``extents`` tells, the first being ``start``."""
    k = 0
    for extent, i in zip(extents, index[3:-2], strict=True):
        k = k * extent + i
    return term(*index[:3], start + k, *index[-2:])


def nested_sum(
    shape: Shape, extents: tuple[int, ...], term: Term, name: str
) -> tuple[Tensor, tuple[str, ...]]:
    """The sum of ``term(n, y, x, k0, k1, ..., o, i)`` over all k, one after the other, and its stages."""
    names, source = [], term
    for level in reversed(range(len(extents))):
        names.append(f"{name}_{level}")
        source = _summed(names[-1], (*shape[:3], *extents[: level + 1], *shape[3:]), source)
    return source, tuple(reversed(names))


def _summed(name: str, shape: tuple[int, ...], source: Term) -> Tensor:
    """``source``, of that shape, summed over the axis before the last two."""
    from tvm import te

    *outer, extent, vectors, width = shape
    axis = te.reduce_axis((0, extent), "k")

    def summed(*index: Expr) -> Expr:
        return te.sum(source(*index[:-2], axis, *index[-2:]), axis=axis)

    return te.compute((*outer, vectors, width), summed, name=name)


def schedule_blocks(func: PrimFunc, tile: Tile, parts: tuple[tuple[str, ...], ...]) -> PrimFunc:
    """Schedule ``output`` and the sums before it, which stay in registers, as a register tile."""
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    n, y, x, o, lane = schedule.get_loops(schedule.get_sblock("output"))
    x_outer, x_inner = schedule.split(x, [None, tile.x])
    o_outer, o_inner = schedule.split(o, [None, tile.o])
    schedule.reorder(n, o_outer, y, x_outer, x_inner, o_inner, lane)
    for names in parts:
        place = x_outer
        for name in names:
            place = sum_at(schedule, name, place)
    for loop in (n, o_outer, y, x_outer):
        schedule.parallel(loop)
    _unroll(schedule, [x_inner, o_inner, lane])
    for name in (name for names in parts for name in names):
        clear_first(schedule, schedule.get_sblock(name))
    return schedule.mod["main"]


def sum_at(schedule: Schedule, name: str, place: Loop) -> Loop:
    """Let a stage run within a loop, its own tile innermost; the loop over what it sums."""
    block = schedule.get_sblock(name)
    schedule.compute_at(block, place, preserve_unit_loops=True)
    schedule.set_scope(block, 0, "local")
    loops = schedule.get_loops(block)
    own = loops[-(len(schedule.get(block).iter_vars)) :]
    *tile, summed = own
    schedule.reorder(summed, *tile)
    _unroll(schedule, tile)
    return summed


def _unroll(schedule: Schedule, tile: list[Loop]) -> None:
    *others, lane = tile
    schedule.vectorize(lane)
    for loop in others:
        schedule.unroll(loop)


def clear_first(schedule: Schedule, block: Block) -> None:
    """Set a sum to zero before the loop that adds to it."""
    own = len(schedule.get(block).iter_vars)
    schedule.decompose_reduction(block, schedule.get_loops(block)[-own])

"""Schedules shared by the kernels: a register tile with vector lanes over channels, and plain vectorizing."""

from dataclasses import dataclass
from typing import Any

from runtime.kernels.base import largest_divisor
from runtime.target import Cpu


@dataclass(frozen=True)
class Tile:
    """Accumulators held in registers: ``x`` pixels times ``o`` vectors of output channels."""

    x: int
    o: int


def choose_tile(cpu: Cpu, width: int, vectors: int, planes: int = 1) -> Tile:
    """A tile that divides the output and fits the registers; ``planes`` accumulators stand for one output."""
    o = largest_divisor(vectors, 4)
    return Tile(x=largest_divisor(width, max(1, cpu.accumulators // (o * planes))), o=o)


def schedule_tiled(func: Any, tile: Tile, reductions: int, prepare: tuple[str, ...] = ()) -> Any:
    """Schedule blocks ``accumulate`` and ``output`` as a register tile.

    ``output`` runs over (batch, y, x, channel vectors, lanes); ``accumulate`` over the same axes, perhaps
    one for planes before the lanes, and ``reductions`` more. The blocks in ``prepare`` (padding, decoding
    of weights) run before, vectorized over their last axis.
    """
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    for name in prepare:
        _vectorize_last(schedule, schedule.get_sblock(name))
    output, accumulate = schedule.get_sblock("output"), schedule.get_sblock("accumulate")
    n, y, x, o, lane = schedule.get_loops(output)
    x_outer, x_inner = schedule.split(x, [None, tile.x])
    o_outer, o_inner = schedule.split(o, [None, tile.o])
    schedule.reorder(n, o_outer, y, x_outer, x_inner, o_inner, lane)
    schedule.compute_at(accumulate, x_outer, preserve_unit_loops=True)
    schedule.set_scope(accumulate, 0, "local")

    loops = schedule.get_loops(accumulate)
    reduced, spatial = loops[-reductions:], loops[6:-reductions]  # 4 outer loops, then the unit n and y
    schedule.reorder(*reduced, *spatial)
    for block, unrolled in ((accumulate, spatial[:-1]), (output, [x_inner, o_inner])):
        schedule.vectorize(schedule.get_loops(block)[-1])
        for loop in unrolled:
            schedule.unroll(loop)
    schedule.decompose_reduction(accumulate, reduced[0])
    return schedule.mod["main"]


def schedule_elementwise(func: Any, *blocks: str) -> Any:
    """Vectorize each block over its last axis."""
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    for name in blocks:
        _vectorize_last(schedule, schedule.get_sblock(name))
    return schedule.mod["main"]


def _vectorize_last(schedule: Any, block: Any) -> None:
    """Vectorize the last loop by the largest power of two up to 16 that divides its extent."""
    last = schedule.get_loops(block)[-1]
    extent = int(schedule.get(last).extent)
    width = next(n for n in (16, 8, 4, 2, 1) if extent % n == 0)
    if width > 1:
        _, inner = schedule.split(last, [None, width])
        schedule.vectorize(inner)


def schedule_packed(func: Any) -> Any:
    """Schedule ``output``, a sum over the bits of a word, as one unrolled reduction that LLVM vectorizes."""
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    block = schedule.get_sblock("output")
    bits = schedule.get_loops(block)[-1]
    schedule.decompose_reduction(block, bits)
    return schedule.mod["main"]

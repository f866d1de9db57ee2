"""Schedules shared by the kernels: a register tile with vector lanes over channels, and plain vectorizing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from runtime.cpu import Cpu
from runtime.kernels.covering import Cover
from runtime.tvm_types import Block, Loop, PrimFunc, Schedule, Tensor

TILED_AXES = 5  # (batch, y, x, channel vectors, lanes)
IN_REGISTERS = ("real", "mask", "bits")  # stages that are read by later ones, and are no results


WIDEST_TILE = 28
MOST_VECTORS = 8
MOST_JOINED = 4  # vectors whose bytes are stored at once: they fill a register
MOST_PLACES = 8
"""Pixels whose addresses registers hold."""
MOST_COPIES = 4
"""Tiles of an image that have code of their own, so that places are constants."""
PLACES_COST = 4
"""Of computing these addresses, in steps."""
WEIGHT_COST = 3
"""Of a vector of weights, in pixels: it comes from a farther cache."""


Arrange = Callable[[Schedule, list[Loop]], None]
"""Moves stages before ``accumulate`` into its reduction, whose loops are given, blocks outermost."""


@dataclass(frozen=True)
class Tile:
    """Accumulators held in registers: ``x`` pixels times ``o`` vectors of output channels.

    The pixels lie side by side; those of a flat tile go on in the next line where one ends.
    ``flags`` are instruction sets that it needs beyond what all code for a target may use.
    """

    flags: ClassVar[frozenset[str]] = frozenset()
    x: int
    o: int
    is_flat: bool = field(default=False, kw_only=True)

    def reuse(self, weight_cost: int = WEIGHT_COST) -> float:
        """Operations for what is loaded."""
        return self.x * self.o / (self.x + weight_cost * self.o)

    def __str__(self) -> str:
        return f"{self.x}x{self.o}" + "flat" * self.is_flat


def tiles(
    cpu: Cpu,
    width: int,
    vectors: int,
    planes: int = 1,
    weight_planes: int = 1,
    lines: int = 1,
    steps: int = 1,
    scratch: int = 0,
) -> list[Tile]:
    """The tiles that fit the registers, the most promising first; their vectors divide ``vectors``.

    Those that do not divide the row are among them where they are better than all that do. ``planes`` sums
    stand for one output, ``weight_planes`` vectors for one of weights. The registers hold all sums and
    weights of a step, a pixel, and ``scratch`` vectors more. Flat tiles, over all ``lines``, come first where
    they are better than all others: their addresses are computed every so many ``steps``.
    """
    fitting = [
        Tile(x, o)
        for x in range(1, min(width * lines, WIDEST_TILE) + 1)
        for o in range(1, min(vectors, MOST_VECTORS) + 1)
        if vectors % o == 0 and x * o * planes + o * weight_planes + scratch < cpu.registers
    ]
    # with sdot, a pixel takes as many instructions, to be loaded and broadcast, as a vector of weights
    weight_cost = 1 if "asimddp" in cpu.flags else WEIGHT_COST

    def cost(tile: Tile) -> float:
        rows, more = (lines, 1 + PLACES_COST / steps) if tile.is_flat else (1, 1)
        return Cover(width * rows, tile.x).padded / rows * more / tile.reuse(weight_cost)

    found = worthwhile([t for t in fitting if t.x <= width] or [Tile(1, 1)], width, cost)
    flat = [Tile(t.x, t.o, is_flat=True) for t in fitting if lines > 1 and _can_be_flat(t, width * lines)]
    return sorted((t for t in flat if cost(t) < cost(found[0])), key=cost) + found


def _can_be_flat(tile: Tile, pixels: int) -> bool:
    """Whether registers hold where a tile's pixels lie, or tiles are so few that each has its own code."""
    return tile.x <= MOST_PLACES or Cover(pixels, tile.x).count <= MOST_COPIES


def worthwhile(found: list[Tile], width: int, cost: Callable[[Tile], float]) -> list[Tile]:
    """Tiles by their cost; those that do not divide a row only where they are better than all that do."""
    dividing = min(cost(tile) for tile in found if width % tile.x == 0)
    return sorted((t for t in found if width % t.x == 0 or cost(t) < dividing), key=cost)


def schedule_tiled(
    func: PrimFunc,
    tile: Tile,
    reductions: int,
    stages: Mapping[str, Tensor],
    prepare: tuple[str, ...] = (),
    narrow: int = 0,
    arrange: Arrange | None = None,
    unrolls_row: bool = False,
    joined: str = "",
    by_rows: bool = False,
) -> PrimFunc:
    """Schedule ``accumulate`` and the ``stages`` that follow it as a register tile.

    ``stages`` are TE tensors by block name. The first runs over (batch, y, x, channel vectors, lanes), the
    others over the same axes or all but the lanes. ``accumulate`` runs over the same axes, perhaps one for
    planes before the lanes, and ``reductions`` more. The blocks in ``prepare`` (decoding of weights) run
    before, vectorized over their last axis. If ``accumulate`` widens sums, these are the block ``narrow``,
    and ``narrow`` is the number of its own reductions. ``arrange`` moves what else comes before. With
    ``unrolls_row`` the second reduction, along a row of the window, is innermost and unrolled: what
    neighbouring pixels read alike is then made ready once. The stage ``joined`` does all vectors of a pixel
    as one, so that their bytes are stored at once. ``by_rows``, all vectors of a tile come before the next.
    """
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    for name in prepare:
        _vectorize_last(schedule, schedule.get_sblock(name))
    first, *others = (schedule.get_sblock(name) for name in stages)
    accumulate = schedule.get_sblock("accumulate")
    n, y, x, o, lane = schedule.get_loops(first)
    x_outer, x_inner = schedule.split(x, [None, tile.x])
    o_outer, o_inner = schedule.split(o, [None, tile.o])
    outermost = (n, y, x_outer, o_outer) if by_rows else (n, o_outer, y, x_outer)
    schedule.reorder(*outermost, x_inner, o_inner, lane)
    schedule.compute_at(accumulate, outermost[-1], preserve_unit_loops=True)
    schedule.set_scope(accumulate, 0, "local")
    for block in others:
        schedule.reverse_compute_at(block, outermost[-1], preserve_unit_loops=True)
    outer = schedule.get_loops(first)[:4]
    if tile.is_flat and int(schedule.get(outer[3]).extent) <= MOST_COPIES:
        schedule.unroll(outer.pop())
    _share(schedule, outer)
    for name, block in zip(stages, (first, *others), strict=True):
        if name in IN_REGISTERS:
            schedule.set_scope(block, 0, "local")
        _unroll(schedule, block, len(stages[name].shape) == TILED_AXES, joins=name == joined)

    loops = list(schedule.get_loops(accumulate))
    reduced, spatial = loops[-reductions:], loops[6:-reductions]  # 4 outer loops, then the unit n and y
    if unrolls_row:
        row = reduced.pop(1)
        reduced.append(row)
        schedule.unroll(row)
    _accumulate(schedule, accumulate, reduced, spatial)
    if narrow:
        _sum_narrow(schedule, reduced[-1], narrow)
    if arrange is not None:
        arrange(schedule, reduced)
    schedule.decompose_reduction(accumulate, reduced[0])
    return schedule.mod["main"]


def _accumulate(schedule: Schedule, block: Block, reduced: list[Loop], spatial: list[Loop]) -> None:
    """Step by step, let all of a tile take in one step of a sum, the last of its loops as a vector."""
    schedule.reorder(*reduced, *spatial)
    *unrolled, lanes = spatial
    schedule.vectorize(lanes)
    for loop in unrolled:
        schedule.unroll(loop)


def _sum_narrow(schedule: Schedule, place: Loop, reductions: int) -> None:
    """Let the block ``narrow`` run within a loop of ``accumulate``, in registers of its own."""
    block = schedule.get_sblock("narrow")
    schedule.compute_at(block, place, preserve_unit_loops=True)
    schedule.set_scope(block, 0, "local")
    own = schedule.get_loops(block)[-len(schedule.get(block).iter_vars) :]
    reduced, spatial = own[-reductions:], own[2:-reductions]  # the first two are of one image and row
    _accumulate(schedule, block, reduced, spatial)
    schedule.decompose_reduction(block, reduced[0])


def _share(schedule: Schedule, loops: list[Loop]) -> None:
    """Mark loops whose steps know nothing of each other, so that threads may share any of them."""
    for loop in loops:
        schedule.parallel(loop)


def _unroll(schedule: Schedule, block: Block, has_lanes: bool, joins: bool = False) -> None:
    """Unroll a stage's loops within the tile (four loops lie outside), the lanes as a vector."""
    loops = list(schedule.get_loops(block)[4:])
    if joins:
        *loops, vector, lanes = loops
        extent = int(schedule.get(vector).extent)
        several = next(n for n in range(MOST_JOINED, 0, -1) if extent % n == 0)
        vectors, vector = schedule.split(vector, [None, several])
        loops += [vectors, schedule.fuse(vector, lanes)]
    if has_lanes:
        schedule.vectorize(loops.pop())
    for loop in loops:
        schedule.unroll(loop)
    if _is_reduction(schedule, block):
        schedule.decompose_reduction(block, loops[-1])


def _is_reduction(schedule: Schedule, block: Block) -> bool:
    return schedule.get(block).init is not None


def schedule_elementwise(func: PrimFunc, *blocks: str) -> PrimFunc:
    """Vectorize each block over its last axis."""
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    for name in blocks:
        _vectorize_last(schedule, schedule.get_sblock(name))
    return schedule.mod["main"]


def _vectorize_last(schedule: Schedule, block: Block) -> None:
    """Vectorize the last loop by the largest power of two up to 16 that divides its extent.

    A sum is left to LLVM, which sees that its terms may come in any order.
    """
    *outer, last = schedule.get_loops(block)
    if _is_reduction(schedule, block):
        axes = len(schedule.get(block).writes[0].region)
        _share(schedule, outer[:axes])
        schedule.decompose_reduction(block, [*outer, last][axes])
        return
    extent = int(schedule.get(last).extent)
    width = next(n for n in (16, 8, 4, 2, 1) if extent % n == 0)
    if width > 1:
        last, inner = schedule.split(last, [None, width])
        schedule.vectorize(inner)
    _share(schedule, [*outer, last])


def schedule_packed(func: PrimFunc) -> PrimFunc:
    """Schedule ``output``, a sum over the bits of a word, as one unrolled reduction that LLVM vectorizes."""
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    block = schedule.get_sblock("output")
    *outer, bits = schedule.get_loops(block)
    _share(schedule, outer)
    schedule.decompose_reduction(block, bits)
    return schedule.mod["main"]


def schedule_masks(func: PrimFunc) -> PrimFunc:
    """Schedule ``mask``, a byte a lane, in registers below ``output``, a mask of 16 lanes."""
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    mask, output = schedule.get_sblock("mask"), schedule.get_sblock("output")
    *outer, lane = schedule.get_loops(mask)
    words = schedule.fuse(*outer)
    schedule.reverse_compute_at(output, words, preserve_unit_loops=True)
    schedule.set_scope(mask, 0, "local")
    schedule.vectorize(lane)
    _share(schedule, [words])
    return schedule.mod["main"]

"""What a kernel does on a CPU: the vectors that it computes there, and the steps that each of them takes."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime import Workload
    from runtime.cpu import Cpu
    from runtime.kernels.schedule import Tile
    from runtime.kernels.winograd_forms import WinogradTile
    from runtime.workload import BitserialConv2d, Conv2d, DepthwiseConv2d

ROLES = ("input", "constant", "scratch", "output")
CHANNEL_FIELDS = ("channels", "features")
"""What vectors run over where there are no weights, the first of them that a workload has."""
PASSES = {"layer_norm": 3, "group_norm": 3, "softmax": 3, "resize_bilinear": 4}
"""How often such kernels read a number for each that they write."""
REAL_BYTES = 4
BYTE_BITS = 8
CACHE_SIZE = 1 << 14
"""Kernels that are remembered: those of a table are asked for again and again."""


@dataclass(frozen=True)
class Effort:
    """What a kernel does.

    Attributes:
        way: how it computes; efforts of one way are alike but for their size.
        lanes: numbers in a vector.
        vectors: how many vectors it computes, those in two tiles twice.
        steps: instructions that each of them takes.
        loads: vectors and numbers that are read into registers for them.
        tiles: pieces in which all is computed, each from registers.
    """

    way: str
    lanes: int
    vectors: float
    steps: float
    loads: float
    tiles: float

    @property
    def instructions(self) -> float:
        """Those of all vectors."""
        return self.vectors * self.steps


@lru_cache(CACHE_SIZE)
def amounts_of(workload: "Workload") -> Mapping[str, int]:
    """Operations and bytes of a kernel: ``macs`` and the roles of its arguments."""
    from runtime.kernels import kernel_for

    kernel = kernel_for(workload)
    buffers = kernel.buffers(workload)
    found = {role: sum(b.nbytes for b in buffers if b.role == role) for role in ROLES}
    return MappingProxyType({"macs": kernel.macs(workload), **found})


@lru_cache(CACHE_SIZE)
def effort_of(workload: "Workload", cpu: "Cpu") -> Effort:
    """As the kernel does it that is made for this CPU first."""
    from runtime.kernels import kernel_for
    from runtime.kernels.schedule import Tile
    from runtime.workload import BitserialConv2d, Conv2d, DepthwiseConv2d, LevelPack, SignPack

    kernel = kernel_for(workload)
    like_convolution = getattr(kernel, "as_convolution", None)
    work: Any = workload if like_convolution is None else like_convolution(workload)
    tile = next(iter(kernel.tiles(workload, cpu)), Tile(1, 1))
    if isinstance(work, DepthwiseConv2d):
        return _of_depthwise(work, cpu, tile)
    if isinstance(work, BitserialConv2d):
        return _of_bits(work, cpu, tile)
    if isinstance(work, Conv2d):
        return _of_products(work, cpu, tile)
    if isinstance(work, LevelPack):
        return _of_levels(work, cpu)
    return _of_packing(work, cpu) if isinstance(work, SignPack) else _of_others(work, cpu)


def register_lanes(cpu: "Cpu") -> int:
    """Numbers of 32 bits in a register."""
    return cpu.permute.value if cpu.permute is not None else 1


def _effort(way: str, grid: Any, tile: "Tile", cpu: "Cpu", steps: float, lanes: int = 0) -> Effort:
    """Of a grid in tiles; ``lanes`` of an instruction, those of a register if 0."""
    pixels = grid.batch * grid.rows * grid.columns.padded
    vectors = pixels * grid.vectors.count
    pieces = math.ceil(grid.vectors.width / (lanes or register_lanes(cpu)))
    tiles = vectors / (tile.x * tile.o)
    return Effort(
        way, grid.vectors.width, vectors, steps * pieces, tiles * steps * (tile.x + pieces * tile.o), tiles
    )


def _of_products(work: "Conv2d", cpu: "Cpu", tile: "Tile") -> Effort:
    from runtime.cpu import ByteDot
    from runtime.kernels import packing
    from runtime.kernels.amx_forms import AmxTile
    from runtime.kernels.byte_products import byte_dot_for
    from runtime.kernels.convolution import grid_of, has_byte_inputs
    from runtime.kernels.winograd_forms import WinogradTile

    depth, taps = work.in_channels // work.groups, work.window.count
    if isinstance(tile, AmxTile):
        return _of_amx(work, tile)
    if isinstance(tile, WinogradTile):
        return _of_winograd(work, tile)
    grid = grid_of(work, tile)
    if not has_byte_inputs(work):
        return _effort("products of floats", grid, tile, cpu, taps * depth)
    kind, quads = byte_dot_for(work, cpu), packing.quads(depth)
    if kind is None:
        return _effort("products of bytes", grid, tile, cpu, taps * quads * packing.QUAD)
    steps = quads / 2 if kind is ByteDot.USMMLA else quads
    return _effort(kind.name, grid, tile, cpu, taps * steps, kind.lanes)


def _of_amx(work: "Conv2d", tile: "Tile") -> Effort:
    """A product of two tiles takes 16 cycles, one for each pixel."""
    from runtime.kernels.amx_forms import pixel_tiles, steps_of
    from runtime.kernels.amx_tiles import ROWS
    from runtime.kernels.convolution import image_shapes
    from runtime.kernels.covering import vectors_of

    image, out = image_shapes(work)
    vectors, steps = vectors_of(work), steps_of(work)
    tiles = pixel_tiles(work.window, work.window.padded(*image)[1], out)
    count = work.batch * -(-tiles.count // tile.x) * (vectors.count // tile.o)
    each = work.window.kernel_height * steps.taps * (steps.run // steps.quads)
    products = count * tile.x * tile.o
    return Effort("AMX", vectors.width, products * ROWS, each, count * each * (tile.x + tile.o) * ROWS, count)


def _of_winograd(work: "Conv2d", tile: "WinogradTile") -> Effort:
    """Of transformed numbers of 16 bits, two at a time; those of each tile serve its vectors of channels."""
    from runtime.kernels import packing
    from runtime.kernels.covering import Cover, vectors_of
    from runtime.kernels.winograd_forms import POSITIONS, tile_count

    vectors = vectors_of(work)
    count = work.batch * Cover(tile_count((work.out_height, work.out_width)), tile.x).padded
    pieces = math.ceil(vectors.width / tile.kind.lanes)
    steps = POSITIONS * 2 * packing.quads(work.in_channels)
    blocks = count * vectors.count / (tile.x * tile.o)
    loads = blocks * steps * (tile.x + pieces) * tile.o
    return Effort("Winograd", vectors.width, count * vectors.count, steps * pieces, loads, blocks)


def _of_bits(work: "BitserialConv2d", cpu: "Cpu", tile: "Tile") -> Effort:
    from runtime.kernels import packing
    from runtime.kernels.convolution import grid_of
    from runtime.kernels.counting import LookupCounting, counting_for, sums
    from runtime.kernels.weight_layouts import planes_of

    counting, depth, taps = counting_for(work, cpu), work.in_channels // work.groups, work.window.count
    grid, each = grid_of(work, tile), sums(work)
    if isinstance(counting, LookupCounting):
        lookups = len(planes_of(work).lookups(work, 0))
        steps = taps * math.ceil(depth / BYTE_BITS) * each * lookups
        return _effort("bits by look-ups", grid, tile, cpu, steps, grid.vectors.width)
    way = f"{type(counting).__name__} of {work.weight}{' alike' if work.symmetric else ''}"
    return _effort(way, grid, tile, cpu, taps * packing.words(depth) * each)


def _of_depthwise(work: "DepthwiseConv2d", cpu: "Cpu", tile: "Tile") -> Effort:
    from runtime.kernels.depthwise import grid_of, summed_in
    from runtime.kernels.depthwise_words import words_for

    grid, words = grid_of(work, tile), words_for(work, cpu)
    if words is None:
        way = f"taps of {work.input} in {summed_in(work)}"
        return _effort(way, grid, tile, cpu, work.window.count)
    steps = work.window.kernel_height * words.groups(work)
    return _effort(f"taps, {words.kind.name} of {words.count}", grid, tile, cpu, steps, words.kind.lanes)


def _of_packing(work: Any, cpu: "Cpu") -> Effort:
    """By masks of lanes where the CPU has them and they fill words, else bit by bit."""
    from runtime.kernels.epilogue import LANES, fills_words
    from runtime.kernels.packing import WORD

    depth = work.channels // work.groups
    pixels = work.batch * work.height * work.width * work.groups
    if cpu.has_lane_mask and fills_words(work.channels, work.groups):
        vectors = pixels * math.ceil(depth / LANES)
        return Effort("signs by masks", LANES, vectors, 1.0, vectors, vectors)
    words, bits = pixels * math.ceil(depth / WORD), min(depth, WORD)
    return Effort("signs by bits", 1, words, float(bits), words * bits, words)


def _of_levels(work: Any, cpu: "Cpu") -> Effort:
    """By look-ups where the CPU has them and channels fill a vector, else bit by bit."""
    from runtime.kernels.level_words import LANES
    from runtime.kernels.levels import packs_by_lookups
    from runtime.kernels.packing import WORD

    depth, thresholds = work.channels // work.groups, (1 << work.bits) - 1
    pixels = work.batch * work.height * work.width * work.groups
    if packs_by_lookups(depth, cpu):
        vectors = pixels * math.ceil(depth / LANES)
        return Effort("levels by look-ups", LANES, vectors, float(thresholds + work.bits), vectors, vectors)
    words, bits = pixels * math.ceil(depth / WORD), min(depth, WORD)
    return Effort("levels by bits", 1, words, float(bits * thresholds), words * bits, words)


def _of_others(work: Any, cpu: "Cpu") -> Effort:
    from runtime.kernels.base import lanes
    from runtime.workload import AdaptiveAvgPool, SpatialWorkload

    fields, taps = asdict(work), PASSES.get(work.family, 1)
    channels = next((fields[name] for name in CHANNEL_FIELDS if fields.get(name)), 1)
    groups = int(fields.get("groups") or 1)
    width = lanes(*(channels if isinstance(channels, tuple) else (max(1, channels // groups),)))
    if isinstance(work, SpatialWorkload):
        taps = work.window.count
    elif work.family == "global_avg_pool":
        taps = int(fields["pixels"])
    elif isinstance(work, AdaptiveAvgPool):
        sides = (work.height, work.out_height), (work.width, work.out_width)
        taps = math.prod(math.ceil(own / out) for own, out in sides)
    vectors = amounts_of(work)["output"] / REAL_BYTES / width
    return Effort(work.family, width, vectors, float(taps), vectors * taps, vectors)

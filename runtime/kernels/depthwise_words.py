"""Rows of a channel in one word: depthwise kernels of bytes multiply several taps at once.

A place gets its own byte and those below it that a window reads: four of them for dot products of bytes, or
two in 16 bits for pmaddwd. The weights of a column of taps lie likewise, those that are missing at its end
being zero. Words are made of the image itself, for each row of a tile of outputs, where all columns of the
window read them: no padded image is kept.
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np

from runtime.cpu import ByteDot, Cpu
from runtime.graph import Constants
from runtime.kernels.base import Buffer
from runtime.kernels.byte_dots import MOST_IN_16_BITS
from runtime.kernels.covering import Cover, Grid, Vectors, vectors_of
from runtime.kernels.intrinsics import DOT_LANES, byte_dot_sum, pair_sum
from runtime.kernels.padding import Image
from runtime.kernels.schedule import Tile
from runtime.kernels.weight_layouts import taps_of
from runtime.tvm_types import Expr, IterVar, Loop, Schedule, Tensor, Tensors
from runtime.workload import HIGHEST_BYTE, DepthwiseConv2d, is_affine

JOINED = "joined"
WORD_COST = 6  # instructions that make words of a vector of channels
BYTES_COST = 4  # those that make bytes of a vector of sums, alone


@dataclass(frozen=True)
class Words:
    """A way to multiply several taps at once: ``count`` in a word of 32 bits."""

    kind: ByteDot
    count: int

    @property
    def bits(self) -> int:
        """Of each of them."""
        return 32 // self.count

    def groups(self, workload: DepthwiseConv2d) -> int:
        """Words of a column of taps."""
        return -(-workload.window.kernel_height // self.count)

    def sum(self, data: Expr, weight: Expr, axis: list[IterVar]) -> Expr:
        """The sum over ``axis`` of the products of two words."""
        if self.count == 2:
            return pair_sum(self.kind, data, weight, axis)
        return byte_dot_sum(self.kind, [data], weight, axis)


def words_for(workload: DepthwiseConv2d, cpu: Cpu) -> Words | None:
    """The way of a kernel of bytes on a CPU; None where it multiplies tap by tap."""
    taps, highest = taps_of(workload), HIGHEST_BYTE.get(workload.input)
    if taps.lowest is None or highest is None or workload.window.count == 1:
        return None
    if vectors_of(workload).width not in DOT_LANES or cpu.architecture != "x86_64":
        return None
    by_pairs = 2 * highest * -taps.lowest <= MOST_IN_16_BITS
    kind = next(k for k in cpu.byte_dots if not k.is_narrow and (by_pairs or not k.sums_pairs))
    return Words(kind, 2 if kind.takes_halves else 4)


def word_buffers(words: Words, workload: DepthwiseConv2d, buffers: tuple[Buffer, ...]) -> tuple[Buffer, ...]:
    """The arguments of such a kernel, from those of one that multiplies tap by tap."""
    found = []
    for buffer in buffers:
        if buffer.name == "weight":
            vectors, _, columns, _, width = buffer.shape
            shape = (vectors, columns, words.groups(workload), width, words.count)
            found.append(Buffer("weight", "constant", shape, f"int{words.bits}"))
            if is_affine(workload.input):
                found.append(Buffer("offset", "constant", (vectors, width), "int32"))
        elif buffer.name != "padded":
            found.append(buffer)
    return tuple(found)


def arrange_words(words: Words, workload: DepthwiseConv2d, constants: Constants) -> Constants:
    """The constants of ``word_buffers``."""
    weight = constants["weight"].astype(f"int{words.bits}")  # (vectors, rows, columns, 1, lanes)
    vectors, rows, columns, _, width = weight.shape
    filled = np.zeros((vectors, words.groups(workload) * words.count, columns, width), weight.dtype)
    filled[:, :rows] = weight[:, :, :, 0]
    grouped = filled.reshape(vectors, -1, words.count, columns, width).transpose(0, 3, 1, 4, 2)
    found = {**constants, "weight": np.ascontiguousarray(grouped)}
    if is_affine(workload.input):
        found["offset"] = -weight.astype(np.int32).sum(axis=(1, 2, 3))
    return found


def join_rows(
    words: Words, workload: DepthwiseConv2d, vectors: Vectors, image: Image, zero: Tensor | None
) -> Image:
    """Bytes (N, H, W, C) -> int32 words (N, Ho, padded columns, groups, C/lanes, lanes).

    ``zero`` is a tensor (1,) of what stands for zero; None for 0.
    """
    from tvm import te, tirx

    window, height, width = workload.window, workload.height, workload.width
    groups, (_, columns) = words.groups(workload), window.padded(height, width)
    fill = tirx.const(0, "uint32") if zero is None else zero[0].astype("uint32")

    def word_of(taps: int, n: Expr, y: Expr, x: Expr, g: Expr, v: Expr, i: Expr) -> Expr:
        first = y * window.stride_y + g * (words.count * window.dilation_y) - window.top
        rows = [first + k * window.dilation_y for k in range(taps)]
        column, channel = x - window.left, vectors.first(v) + i
        across = tirx.all(column >= 0, column < width)
        inside = [tirx.all(row >= 0, row < height) for row in rows]
        stored = [image[n, row, column, channel].astype("uint32") for row in rows]
        some = [tirx.if_then_else(each, byte, fill) for each, byte in zip(inside, stored, strict=True)]
        whole, partly, none = (joined_of(words, each) for each in (stored, some, [fill] * taps))
        at_borders = tirx.if_then_else(across, partly, none)
        return tirx.reinterpret("int32", tirx.if_then_else(tirx.all(across, *inside), whole, at_borders))

    def word(*index: Expr) -> Expr:
        last = word_of(window.kernel_height - (groups - 1) * words.count, *index)
        return tirx.if_then_else(index[3] == groups - 1, last, word_of(words.count, *index))

    shape = (workload.batch, workload.out_height, columns, groups, *vectors.shape)
    return Image(te.compute(shape, word, name=JOINED), shape, is_flat=False)


def joined_in_tiles(schedule: Schedule, loops: list[Loop]) -> None:
    """Let words be made for a tile at a time: all of a column, one column after the other."""
    block = schedule.get_sblock(JOINED)
    tile = schedule.get_loops(schedule.get_sblock("accumulate"))[3]
    schedule.compute_at(block, tile, preserve_unit_loops=True)
    schedule.set_scope(block, 0, "local")
    *_, group, vector, lane = schedule.get_loops(block)
    schedule.unroll(group)
    schedule.unroll(vector)
    schedule.vectorize(lane)


def by_word_cost(words: Words, workload: DepthwiseConv2d, cpu: Cpu, found: list[Tile]) -> list[Tile]:
    """Tiles by what their words cost to make, those first whose words and sums the registers hold.

    A sum or two may leave them: that costs less than to make words once more.
    """
    window = workload.window

    def columns(tile: Tile) -> int:
        return (tile.x - 1) * window.stride_x + (window.kernel_width - 1) * window.dilation_x + 1

    def cost(tile: Tile) -> tuple[bool, float]:
        held = tile.o * (tile.x + columns(tile) * words.groups(workload))
        each = WORD_COST * columns(tile) / tile.x + BYTES_COST / min(tile.o, 2)
        return 4 * held > 5 * cpu.registers, each * Cover(workload.out_width, tile.x).padded

    return sorted(found, key=cost)


def joined_of(words: Words, parts: list[Expr]) -> Expr:
    """Numbers side by side in a word, the first in its lowest bits."""
    from tvm import tirx

    return reduce(or_, (part << tirx.const(words.bits * k, "uint32") for k, part in enumerate(parts)))


def accumulate_words(
    words: Words, workload: DepthwiseConv2d, grid: Grid, data: Image, args: Tensors
) -> Tensor:
    """The sums of products of bytes as they are stored, int32, of the grid's shape."""
    from tvm import te

    window = workload.window
    vectors, width = grid.vectors.shape
    columns, groups = window.kernel_width, words.groups(workload)
    weight = args["weight"] = te.placeholder((vectors, columns, groups, width), "int32", name="weight")
    kx, group = (te.reduce_axis((0, extent), name) for extent, name in ((columns, "kx"), (groups, "group")))

    def products(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
        _, column = window.pixel(y, grid.columns.at(x), 0, kx)
        return words.sum(data[n, y, column, group, o, i], weight[o, kx, group, i], [kx, group])

    return te.compute(grid.shape, products, name="accumulate")

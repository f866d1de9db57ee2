"""Neighbouring pixels of a channel in one word: depthwise kernels of bytes multiply several taps at once.

While the image is padded, each place gets its own byte and those to the right that the next taps of a window
read: four of them for dot products of bytes, or two in 16 bits for pmaddwd. The weights of a row of taps lie
likewise, those that are missing at its end being zero.
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np

from runtime.cpu import ByteDot, Cpu
from runtime.graph import Constants
from runtime.kernels.base import Buffer
from runtime.kernels.byte_dots import MOST_IN_16_BITS
from runtime.kernels.covering import Grid, Vectors, vectors_of
from runtime.kernels.intrinsics import DOT_LANES, byte_dot_sum, pair_sum
from runtime.kernels.padding import Image, is_inside
from runtime.kernels.weight_layouts import taps_of
from runtime.tvm_types import Expr, IterVar, Tensor, Tensors
from runtime.workload import HIGHEST_BYTE, DepthwiseConv2d, is_affine


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
        """Words of a row of taps."""
        return -(-workload.window.kernel_width // self.count)

    def sum(self, data: Expr, weight: Expr, axis: list[IterVar]) -> Expr:
        """The sum over ``axis`` of the products of two words."""
        if self.count == 2:
            return pair_sum(self.kind, data, weight, axis)
        return byte_dot_sum(self.kind, [data], weight, axis)


def words_for(workload: DepthwiseConv2d, cpu: Cpu) -> Words | None:
    """The way of a kernel of bytes on a CPU; None where it multiplies tap by tap."""
    taps, highest = taps_of(workload), HIGHEST_BYTE.get(workload.input)
    if taps.lowest is None or highest is None or workload.window.kernel_width == 1:
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
            vectors, rows, *_, width = buffer.shape
            shape = (vectors, rows, words.groups(workload), width, words.count)
            found.append(Buffer("weight", "constant", shape, f"int{words.bits}"))
            if is_affine(workload.input):
                found.append(Buffer("offset", "constant", (vectors, width), "int32"))
        elif buffer.name == "padded":
            found.append(Buffer("padded", "scratch", buffer.shape, "int32"))
        else:
            found.append(buffer)
    return tuple(found)


def arrange_words(words: Words, workload: DepthwiseConv2d, constants: Constants) -> Constants:
    """The constants of ``word_buffers``."""
    weight = constants["weight"].astype(f"int{words.bits}")  # (vectors, rows, columns, 1, lanes)
    vectors, rows, columns, _, width = weight.shape
    filled = np.zeros((vectors, rows, words.groups(workload) * words.count, width), weight.dtype)
    filled[:, :, :columns] = weight[:, :, :, 0]
    grouped = filled.reshape(vectors, rows, -1, words.count, width).swapaxes(-1, -2)
    found = {**constants, "weight": np.ascontiguousarray(grouped)}
    if is_affine(workload.input):
        found["offset"] = -weight.astype(np.int32).sum(axis=(1, 2, 3))
    return found


def join_pixels(
    words: Words, workload: DepthwiseConv2d, vectors: Vectors, image: Image, zero: Tensor | None
) -> Image:
    """Bytes (N, H, W, C) -> int32 words of the padded image (N, ..., C/lanes, lanes).

    ``zero`` is a tensor (1,) of what stands for zero; None for 0.
    """
    from tvm import te, tirx

    window, height, width = workload.window, workload.height, workload.width

    def word(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
        columns = [x + k * window.dilation_x for k in range(words.count)]
        channel = vectors.first(v) + i
        inside = [is_inside(window, height, width, y, column) for column in columns]
        stored = [image[n, y - window.top, c - window.left, channel].astype("uint32") for c in columns]
        fill = tirx.const(0, "uint32") if zero is None else zero[0].astype("uint32")
        some = [tirx.if_then_else(each, byte, fill) for each, byte in zip(inside, stored, strict=True)]
        joined = [joined_of(words, each) for each in (stored, some, [fill] * words.count)]
        at_borders = tirx.if_then_else(tirx.any(*inside), joined[1], joined[2])
        return tirx.reinterpret("int32", tirx.if_then_else(tirx.all(*inside), joined[0], at_borders))

    shape = (workload.batch, *window.padded(height, width), *vectors.shape)
    return Image(te.compute(shape, word, name="padded"), shape, is_flat=False)


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
    rows, groups = window.kernel_height, words.groups(workload)
    weight = args["weight"] = te.placeholder((vectors, rows, groups, width), "int32", name="weight")
    ky, group = (te.reduce_axis((0, extent), name) for extent, name in ((rows, "ky"), (groups, "group")))

    def products(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
        pixel = window.pixel(y, grid.columns.at(x), ky, group * words.count)
        return words.sum(data[n, *pixel, o, i], weight[o, ky, group, i], [ky, group])

    return te.compute(grid.shape, products, name="accumulate")

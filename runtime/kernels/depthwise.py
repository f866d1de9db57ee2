"""Depthwise convolution: vector lanes run over the channels, each with its own filter.

A depthwise filter has only a weight a tap, too few for popcount to pay: bits and bytes are decoded to float
while the image is padded, where their sums stay exact integers (below 2^24 up to 7x7), or to int32 where
nothing but integers is wanted. On x86, bytes are joined instead, see ``depthwise_words``.
"""

from functools import partial
from math import prod
from typing import Any

from numpy.typing import NDArray

from runtime.cpu import Cpu
from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer, ByChannel, Kernel, kernels
from runtime.kernels.convolution import DTYPES, ZERO_POINT, is_computed
from runtime.kernels.covering import Cover, Grid, Vectors, vectors_of
from runtime.kernels.depthwise_words import (
    accumulate_words,
    arrange_words,
    by_word_cost,
    join_rows,
    joined_in_tiles,
    word_buffers,
    words_for,
)
from runtime.kernels.edges import Border, without_border
from runtime.kernels.epilogue import (
    arranged_scales,
    epilogue_constants,
    epilogue_inputs,
    epilogue_outputs,
    finish,
    scale_arguments,
    scaled,
    scales,
    scales_by_integers,
)
from runtime.kernels.padding import Image, flat_placeholder, is_inside, pad_rows, tap_axes
from runtime.kernels.schedule import Tile, schedule_tiled, tiles
from runtime.kernels.weight_layouts import taps_of
from runtime.tvm_types import Expr, PrimFunc, Tensor, Tensors
from runtime.workload import DepthwiseConv2d, is_affine

MOST_SUMS = 8
"""Vectors of sums of a tile that reads an image as it is: enough for none to wait for the one before."""


class DepthwiseConv2dKernel(Kernel[DepthwiseConv2d]):
    """Weights of floats, bytes, two bits or one over floats, bytes or packed signs."""

    def buffers(self, workload: DepthwiseConv2d) -> tuple[Buffer, ...]:
        """Input (N, H, W, C) or packed (N, H, W, words), residual, weight, ... -> output."""
        w = workload
        grid = grid_of(w)
        per_channel = vectors, width = grid.vectors.shape
        image = (w.batch, w.height, w.width)
        if w.input == "binary":
            found = [Buffer("data", "input", (*image, packing.words(w.channels)), "uint32")]
        else:
            found = [Buffer("data", "input", (*image, w.channels), DTYPES[w.input])]
        found += epilogue_inputs(w, grid)
        taps = (vectors, *w.window.taps, 1, width)
        found += taps_of(w).buffers(taps)
        found += [ZERO_POINT] if is_affine(w.input) else []
        found += scales(w, per_channel) + epilogue_constants(w, grid)
        if w.window.is_padded or w.input != "float":
            depth = (w.channels,) if w.input == "float" else per_channel
            padded = (w.batch, *w.window.padded(w.height, w.width), *depth)
            found.append(Buffer("padded", "scratch", padded, summed_in(w)))
        return (*found, *taps_of(w).scratch(taps), *epilogue_outputs(w, grid))

    def arguments(self, workload: DepthwiseConv2d, cpu: Cpu) -> tuple[Buffer, ...]:
        """``buffers``, or where taps are multiplied by words, these."""
        words, found = words_for(workload, cpu), self.buffers(workload)
        found = found if words is None else word_buffers(words, workload, found)
        return scale_arguments(workload, cpu, found)

    def arrange(self, workload: DepthwiseConv2d, cpu: Cpu, constants: Constants) -> Constants:
        """By words, where taps are multiplied so, and as the CPU scales sums."""
        words = words_for(workload, cpu)
        found = constants if words is None else arrange_words(words, workload, constants)
        zero = int(constants["zero_point"].item()) if "offset" in found else 0
        return arranged_scales(workload, cpu, found, zero)

    def arrange_weight(self, workload: DepthwiseConv2d, cpu: Cpu, weight: NDArray[Any]) -> NDArray[Any]:
        """By words, where taps are multiplied so."""
        words = words_for(workload, cpu)
        found: NDArray[Any] = (
            weight if words is None else arrange_words(words, workload, {"weight": weight})["weight"]
        )
        return found

    def by_channel(self, workload: DepthwiseConv2d, cpu: Cpu) -> ByChannel:
        """As taps lie, or words of them."""
        vectors, width = vectors_of(workload).shape
        words = words_for(workload, cpu)
        if words is None:
            return taps_of(workload).by_channel((vectors, *workload.window.taps, 1, width))
        columns = workload.window.kernel_width
        return ByChannel((vectors, columns * words.groups(workload), width, words.count), (0, 2))

    def prim_func(self, workload: DepthwiseConv2d, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Pad and decode, accumulate in registers, finish."""
        from tvm import te

        words, buffers = words_for(workload, cpu), {b.name: b for b in self.arguments(workload, cpu)}
        args: Tensors = {
            b.name: te.placeholder(b.shape, b.dtype, name=b.name)
            for b in buffers.values()
            if b.role in ("input", "constant") and b.name != "data"
        }
        image = data = flat_placeholder("data", buffers["data"].shape, buffers["data"].dtype)
        scratch: Tensors = {}
        zero, tile = args.get("zero_point"), tile or self.tiles(workload, cpu)[0]
        grid = grid_of(workload, tile)
        border = Border(workload.window, workload.height, workload.width, grid.columns)
        is_direct = _may_be_direct(workload, cpu) and border.is_served
        if words is not None:
            data = join_rows(words, workload, grid.vectors, image, zero)
        elif workload.input != "float":
            is_binary = workload.input == "binary"
            decode = decode_signs if is_binary else partial(decode_bytes, zero=zero)
            data = decode(workload, grid.vectors, image)
        elif workload.window.is_padded and not is_direct:
            data = pad_rows(image, workload.window, 0)
        if "padded" in buffers and data is image:  # not used, as it is on other CPUs
            scratch["padded"] = te.placeholder((prod(buffers["padded"].shape),), "float32", name="padded")
        if data is not image and words is None:
            scratch["padded"] = data.tensor
        if words is not None:
            accumulated = accumulate_words(words, workload, grid, data, args)
        else:
            accumulated = _accumulate_taps(workload, grid, data, args, scratch, is_direct)

        def value(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
            total = accumulated[n, y, x, o, i]
            if "offset" in args:
                total = total + args["offset"][o, i] * args["zero_point"][0]
            return scaled(workload, cpu, total, args, o, i)

        stages = finish(workload, cpu, grid, args, value)
        func = te.create_prim_func([image.tensor, *args.values(), *scratch.values(), *stages.results])
        vectorized = tuple(name for name, tensor in scratch.items() if is_computed(tensor))
        scheduled = schedule_tiled(
            func,
            tile,
            2,
            stages.tensors,
            vectorized,
            arrange=None if words is None else joined_in_tiles,
            joined=stages.joined,
            by_rows=is_direct,
        )
        placed = stages.place(scheduled)
        return without_border(placed, border) if is_direct else placed

    def tiles(self, workload: DepthwiseConv2d, cpu: Cpu) -> list[Tile]:
        """Pixels of a row times vectors of channels."""
        width, words = workload.out_width, words_for(workload, cpu)
        found = tiles(cpu, width, Vectors(workload.channels).count)
        if words is not None:
            return by_word_cost(words, workload, cpu, found)
        if not _may_be_direct(workload, cpu):
            return found
        most = min(cpu.registers // 2, MOST_SUMS)

        def cost(tile: Tile) -> tuple[bool, float]:
            return tile.x * tile.o > most, Cover(width, tile.x).padded / tile.reuse(weight_cost=1)

        return sorted(found, key=cost)

    def macs(self, workload: DepthwiseConv2d) -> int:
        """N * Ho * Wo * C * taps."""
        w = workload
        return w.batch * w.out_height * w.out_width * w.channels * w.window.count


def _may_be_direct(workload: DepthwiseConv2d, cpu: Cpu) -> bool:
    """Whether an image is not copied for its border: where it was measured, and where it is read as it is."""
    return cpu.architecture == "x86_64" and workload.input == "float"


def _accumulate_taps(
    workload: DepthwiseConv2d,
    grid: Grid,
    data: Image,
    args: Tensors,
    scratch: Tensors,
    is_direct: bool = False,
) -> Tensor:
    """The sums of what pixels stand for times decoded weights."""
    from tvm import te

    layout, window, (vectors, width) = taps_of(workload), workload.window, grid.vectors.shape
    weight = layout.decoded(args, scratch, (vectors, *window.taps, 1, width))
    ky, kx = tap_axes(window)

    def product(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
        tap = layout.meant(weight[o, ky, kx, 0, i].astype(summed_in(workload)))
        channel = (grid.vectors.first(o) + i,) if workload.input == "float" else (o, i)
        row, column = window.pixel(y, grid.columns.at(x), ky, kx)
        pixel = (n, row - window.top, column - window.left) if is_direct else (n, row, column)
        return te.sum(data[(*pixel, *channel)] * tap, axis=[ky, kx])

    return te.compute(grid.shape, product, name="accumulate")


def summed_in(workload: DepthwiseConv2d) -> str:
    """The type that products are summed in."""
    return "int32" if scales_by_integers(workload) else "float32"


def grid_of(workload: DepthwiseConv2d, tile: Tile | None = None) -> Grid:
    """The output as the kernel goes through it, in tiles of ``tile.x`` pixels."""
    w = workload
    return Grid(w.batch, w.out_height, Cover(w.out_width, 1 if tile is None else tile.x), Vectors(w.channels))


def decode_bytes(workload: DepthwiseConv2d, vectors: Vectors, image: Image, zero: Tensor | None) -> Image:
    """Bytes (N, H, W, C) -> what they stand for, padded (N, ..., C/lanes, lanes).

    ``zero`` is a tensor (1,) of what stands for zero; None for 0.
    """
    from tvm import te, tirx

    w, dtype = workload, summed_in(workload)

    def decoded(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
        inside = is_inside(w.window, w.height, w.width, y, x)
        byte = image[n, y - w.window.top, x - w.window.left, vectors.first(v) + i].astype("int32")
        byte = byte if zero is None else byte - zero[0]
        return tirx.if_then_else(inside, byte.astype(dtype), tirx.const(0, dtype))

    shape = (w.batch, *w.window.padded(w.height, w.width), *vectors.shape)
    return Image(te.compute(shape, decoded, name="padded"), shape, is_flat=False)


def decode_signs(workload: DepthwiseConv2d, vectors: Vectors, image: Image) -> Image:
    """Packed bits (N, H, W, words) -> padded +-1 in float (N, ..., C/lanes, lanes)."""
    from tvm import te, tirx

    w = workload
    one = tirx.const(1, "float32")

    def decoded(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
        channel = vectors.first(v) + i
        inside = is_inside(w.window, w.height, w.width, y, x)
        word = image[n, y - w.window.top, x - w.window.left, channel // 32]
        bit = (word >> (channel % 32).astype("uint32")) & tirx.const(1, "uint32")
        return tirx.if_then_else(inside, one - 2 * bit.astype("float32"), one)

    shape = (w.batch, *w.window.padded(w.height, w.width), *vectors.shape)
    return Image(te.compute(shape, decoded, name="padded"), shape, is_flat=False)


kernels.add("depthwise_conv2d", DepthwiseConv2dKernel())

"""Pooling kernels over NHWC images: windows, of bytes and bits too, and the mean over a whole image."""

import math
from collections.abc import Callable
from typing import Any

from runtime.cpu import Cpu
from runtime.kernels.base import Buffer, Kernel, kernels, lanes, te_placeholders
from runtime.kernels.block_sums import BLOCK, block_sum, nested_sum, schedule_blocks
from runtime.kernels.fixed_point import REAL_DTYPES, mean
from runtime.kernels.padding import flat_placeholder, pad_rows, tap_axes
from runtime.kernels.schedule import Tile, schedule_tiled, tiles
from runtime.tvm_types import Compute, Expr, PrimFunc, Tensor
from runtime.workload import Arithmetic, AvgPool2d, GlobalAvgPool, MaxPool2d
from runtime.workload.window import all_sides

ALL_BITS = 0xFFFFFFFF
ELEMENTS = {"byte": "uint8", "binary": "uint32"}


class MaxPoolKernel(Kernel[MaxPool2d]):
    """Vector lanes run over the channels.

    Taps beyond the image are read as the nearest one of the same window within it, so that no padded copy is
    needed. Of packed signs, where a set bit is a -1, the largest has the bits that all have.
    """

    def buffers(self, workload: MaxPool2d) -> tuple[Buffer, ...]:
        """Data (N, H, W, C/lanes, lanes), smallest (C/lanes, lanes) -> (N, Ho, Wo, C/lanes, lanes)."""
        w, dtype = workload, _element(workload)
        width = lanes(w.channels)
        rest = (w.channels // width, width)
        found = [Buffer("data", "input", (w.batch, w.height, w.width, *rest), dtype)]
        if w.mixed:
            found.append(Buffer("smallest", "constant", rest, dtype))
        found.append(Buffer("output", "output", (w.batch, w.out_height, w.out_width, *rest), dtype))
        return tuple(found)

    def prim_func(self, workload: MaxPool2d, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Reduce in registers."""
        from tvm import te

        w, window = workload, workload.window
        buffers = self.buffers(w)
        args, output = te_placeholders(buffers), buffers[-1]
        ky, kx = tap_axes(window)
        reduce = _reduction(w)

        def turned(value: Expr, v: Expr, i: Expr) -> Expr:
            return value ^ args["smallest"][v, i] if w.mixed else value

        def largest(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
            row, column = window.pixel(y, x, ky, kx)
            row = _within(row - window.top, w.height, window.dilation_y, window.top + window.bottom)
            column = _within(column - window.left, w.width, window.dilation_x, window.left + window.right)
            return reduce(turned(args["data"][n, row, column, v, i], v, i), axis=[ky, kx])

        reduced = te.compute(output.shape, largest, name="accumulate")
        result = te.compute(output.shape, lambda *i: turned(reduced[i], *i[-2:]), name="output")
        func = te.create_prim_func([*args.values(), result])
        return schedule_tiled(
            func, tile or tiles(cpu, w.out_width, output.shape[3])[0], 2, {"output": result}
        )


def _within(index: Expr, extent: int, step: int, padding: int) -> Expr:
    """The index of the nearest tap on the image, if not this one; taps are ``step`` pixels apart."""
    from tvm import tirx

    if not padding:
        return index
    if step == 1:
        return tirx.max(0, tirx.min(index, extent - 1))
    below, above = tirx.max(0, -index), tirx.max(0, index - (extent - 1))
    return index + (below + step - 1) // step * step - (above + step - 1) // step * step


def _element(workload: MaxPool2d) -> str:
    """The type of one channel, or of a word of signs."""
    return REAL_DTYPES[workload.arithmetic] if workload.code == "float" else ELEMENTS[workload.code]


def _reduction(workload: MaxPool2d) -> Any:
    """TE's reduction to the largest. A NaN among floats is passed over: 2.6 times as long otherwise."""
    from tvm import te, tirx

    if workload.code == "binary":
        return te.comm_reducer(lambda a, b: a & b, lambda dtype: tirx.const(ALL_BITS, dtype), "both")
    if _element(workload) != "float32":
        return te.max
    return largest_float()


def largest_float() -> Any:
    """TE's reduction to the largest float, which passes over NaN."""
    from tvm import te, tirx

    return te.comm_reducer(lambda a, b: tirx.max(a, b), lambda dtype: tirx.const(-math.inf, dtype), "larger")


class AvgPoolKernel(Kernel[AvgPool2d]):
    """Vector lanes run over the channels; the padded image lies in scratch memory."""

    def buffers(self, workload: AvgPool2d) -> tuple[Buffer, ...]:
        """Data (N, H, W, C/lanes, lanes) -> (N, Ho, Wo, C/lanes, lanes)."""
        w, dtype = workload, REAL_DTYPES[workload.arithmetic]
        width = lanes(w.channels)
        rest = (w.channels // width, width)
        found = [Buffer("data", "input", (w.batch, w.height, w.width, *rest), dtype)]
        if w.window.is_padded:
            padded = (w.batch, *w.window.padded(w.height, w.width), *rest)
            found.append(Buffer("padded", "scratch", padded, dtype))
        found.append(Buffer("output", "output", (w.batch, w.out_height, w.out_width, *rest), dtype))
        return tuple(found)

    def prim_func(self, workload: AvgPool2d, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Pad with zeros, sum in registers, then divide."""
        from tvm import te

        buffers = self.buffers(workload)
        output = buffers[-1]
        image = data = flat_placeholder("data", buffers[0].shape, buffers[0].dtype)
        window = workload.window
        if window.is_padded:
            data = pad_rows(image, window, 0)
        args = [image.tensor, *([data.tensor] if window.is_padded else [])]
        tile = tile or tiles(cpu, workload.out_width, output.shape[3])[0]

        def pixel(n: Expr, y: Expr, x: Expr, ky: Expr, kx: Expr, v: Expr, i: Expr) -> Expr:
            return _summed(workload.arithmetic, data[n, *window.pixel(y, x, ky, kx), v, i])

        if workload.arithmetic == "float" and window.count > BLOCK:
            total, stages = nested_sum(output.shape, window.taps, pixel, "rows")
            result = _mean("float", output.shape, total, _divisor(workload), window.count)
            return schedule_blocks(te.create_prim_func([*args, result]), tile, (stages,))
        ky, kx = tap_axes(window)
        reduced = te.compute(
            output.shape,
            lambda n, y, x, v, i: te.sum(pixel(n, y, x, ky, kx, v, i), axis=[ky, kx]),
            name="accumulate",
        )
        result = _mean(workload.arithmetic, output.shape, reduced, _divisor(workload), window.count)
        return schedule_tiled(te.create_prim_func([*args, result]), tile, 2, {"output": result})


class GlobalAvgPoolKernel(Kernel[GlobalAvgPool]):
    """Vector lanes run over the channels."""

    def buffers(self, workload: GlobalAvgPool) -> tuple[Buffer, ...]:
        """Data (N, pixels, C/lanes, lanes) -> (N, 1, 1, C/lanes, lanes)."""
        w, dtype = workload, REAL_DTYPES[workload.arithmetic]
        width = lanes(w.channels)
        rest = (w.channels // width, width)
        return (
            Buffer("data", "input", (w.batch, w.pixels, *rest), dtype),
            Buffer("output", "output", (w.batch, 1, 1, *rest), dtype),
        )

    def prim_func(self, workload: GlobalAvgPool, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Sum in registers, many floats in blocks, then multiply by 1 / pixels."""
        from tvm import te

        buffers = self.buffers(workload)
        args, output = te_placeholders(buffers), buffers[-1]
        tile = tile or tiles(cpu, 1, output.shape[3])[0]
        if workload.arithmetic == "float" and workload.pixels > BLOCK:
            total = block_sum(
                output.shape, workload.pixels, lambda n, y, x, k, v, i: args["data"][n, k, v, i]
            )
            result = _mean("float", output.shape, total.total, workload.pixels, workload.pixels)
            return schedule_blocks(te.create_prim_func([*args.values(), result]), tile, total.parts)
        pixel = te.reduce_axis((0, workload.pixels), "pixel")
        reduced = te.compute(
            output.shape,
            lambda n, y, x, v, i: te.sum(
                _summed(workload.arithmetic, args["data"][n, pixel, v, i]), axis=pixel
            ),
            name="accumulate",
        )
        result = _mean(workload.arithmetic, output.shape, reduced, workload.pixels, workload.pixels)
        func = te.create_prim_func([*args.values(), result])
        return schedule_tiled(func, tile, 1, {"output": result})


def _summed(arithmetic: Arithmetic, value: Expr) -> Expr:
    """What a mean sums: fixed-point numbers in 64 bits."""
    return value.astype("int64") if arithmetic == "integer" else value


def _divisor(workload: AvgPool2d) -> "int | Callable[[Expr, Expr], Expr]":
    """What sums are divided by: a number, or one for each row and column of the output."""
    from tvm import tirx

    window = workload.window
    if workload.divisor or not workload.uncounted:
        return workload.divisor or window.count
    top, left, bottom, right = all_sides(workload.uncounted)
    height, width = window.padded(workload.height, workload.width)

    def counted(start: Expr, taps: int, first: int, end: int) -> Expr:
        return tirx.min(start + taps, end) - tirx.max(start, first)

    def pixels(y: Expr, x: Expr) -> Expr:
        rows = counted(y * window.stride_y, window.kernel_height, top, height - bottom)
        return rows * counted(x * window.stride_x, window.kernel_width, left, width - right)

    return pixels


def _mean(
    arithmetic: Arithmetic,
    shape: tuple[int, ...],
    total: Tensor | Compute,
    count: "int | Callable[[Expr, Expr], Expr]",
    most: int,
) -> Tensor:
    """The stage that divides sums, a tensor or a function of the index, by ``count``, ``most`` at most."""
    from tvm import te, tirx

    def divided(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
        value, own = total(n, y, x, v, i), count if isinstance(count, int) else count(y, x)
        if arithmetic == "integer":
            return mean(value, own, most)
        if isinstance(own, int):
            return value * tirx.const(1 / own, "float32")
        return value * (tirx.const(1, "float32") / own.astype("float32"))

    return te.compute(shape, divided, name="output")


kernels.add("global_avg_pool", GlobalAvgPoolKernel())
kernels.add("max_pool2d", MaxPoolKernel())
kernels.add("avg_pool2d", AvgPoolKernel())

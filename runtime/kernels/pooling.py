"""Pooling kernels over NHWC images: windows, of bytes and bits too, and the mean over a whole image."""

import math
from typing import Any

from runtime.kernels.base import Buffer, Kernel, kernels, lanes, te_placeholders
from runtime.kernels.block_sums import BLOCK, block_sum, nested_sum, schedule_blocks
from runtime.kernels.fixed_point import REAL_DTYPES, mean
from runtime.kernels.padding import flat_placeholder, pad_rows
from runtime.kernels.schedule import Tile, schedule_tiled, tiles
from runtime.target import Cpu
from runtime.tvm_types import Compute, Expr, PrimFunc, Tensor
from runtime.workload import Arithmetic, AvgPool2d, GlobalAvgPool, MaxPool2d

ALL_BITS = 0xFFFFFFFF
ELEMENTS = {"byte": "uint8", "binary": "uint32"}


class MaxPoolKernel(Kernel[MaxPool2d]):
    """Vector lanes run over the channels.

    Pixels beyond the image are read as the nearest one within it, which lies in the same window, so that no
    padded copy is needed. Of packed signs, where a set bit is a -1, the largest has the bits that all have.
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
        from tvm import te, tirx

        w = workload
        buffers = self.buffers(w)
        args, output = te_placeholders(buffers), buffers[-1]
        ky, kx = (te.reduce_axis((0, w.kernel), name) for name in ("ky", "kx"))
        reduce = _reduction(w)

        def inside(index: Expr, extent: int) -> Expr:
            return tirx.max(0, tirx.min(index - w.padding, extent - 1)) if w.padding else index

        def turned(value: Expr, v: Expr, i: Expr) -> Expr:
            return value ^ args["smallest"][v, i] if w.mixed else value

        def window(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
            row, column = inside(y * w.stride + ky, w.height), inside(x * w.stride + kx, w.width)
            return reduce(turned(args["data"][n, row, column, v, i], v, i), axis=[ky, kx])

        reduced = te.compute(output.shape, window, name="accumulate")
        result = te.compute(output.shape, lambda *i: turned(reduced[i], *i[-2:]), name="output")
        func = te.create_prim_func([*args.values(), result])
        return schedule_tiled(
            func, tile or tiles(cpu, w.out_width, output.shape[3])[0], 2, {"output": result}
        )


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
    return te.comm_reducer(lambda a, b: tirx.max(a, b), lambda dtype: tirx.const(-math.inf, dtype), "larger")


class AvgPoolKernel(Kernel[AvgPool2d]):
    """Vector lanes run over the channels; the padded image lies in scratch memory."""

    def buffers(self, workload: AvgPool2d) -> tuple[Buffer, ...]:
        """Data (N, H, W, C/lanes, lanes) -> (N, Ho, Wo, C/lanes, lanes)."""
        w = workload
        width = lanes(w.channels)
        rest = (w.channels // width, width)
        found = [
            Buffer("data", "input", (w.batch, w.height, w.width, *rest), REAL_DTYPES[workload.arithmetic])
        ]
        if w.padding:
            padded = (w.batch, w.height + 2 * w.padding, w.width + 2 * w.padding, *rest)
            found.append(Buffer("padded", "scratch", padded, REAL_DTYPES[workload.arithmetic]))
        found.append(
            Buffer(
                "output",
                "output",
                (w.batch, w.out_height, w.out_width, *rest),
                REAL_DTYPES[workload.arithmetic],
            )
        )
        return tuple(found)

    def prim_func(self, workload: AvgPool2d, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Pad with zeros, sum in registers, then multiply by one over the window's size."""
        from tvm import te

        buffers = self.buffers(workload)
        output = buffers[-1]
        image = data = flat_placeholder("data", buffers[0].shape, REAL_DTYPES[workload.arithmetic])
        if workload.padding:
            data = pad_rows(image, workload.padding, 0)
        args = [image.tensor, *([data.tensor] if workload.padding else [])]
        tile = tile or tiles(cpu, workload.out_width, output.shape[3])[0]
        s = workload.stride

        def pixel(n: Expr, y: Expr, x: Expr, ky: Expr, kx: Expr, v: Expr, i: Expr) -> Expr:
            return _summed(workload.arithmetic, data[n, y * s + ky, x * s + kx, v, i])

        if workload.arithmetic == "float" and workload.kernel**2 > BLOCK:
            window = workload.kernel, workload.kernel
            total, stages = nested_sum(output.shape, window, pixel, "rows")
            result = _mean("float", output.shape, total, workload.kernel**2)
            return schedule_blocks(te.create_prim_func([*args, result]), tile, (stages,))
        ky, kx = (te.reduce_axis((0, workload.kernel), name) for name in ("ky", "kx"))
        reduced = te.compute(
            output.shape,
            lambda n, y, x, v, i: te.sum(pixel(n, y, x, ky, kx, v, i), axis=[ky, kx]),
            name="accumulate",
        )
        result = _mean(workload.arithmetic, output.shape, reduced, workload.kernel**2)
        return schedule_tiled(te.create_prim_func([*args, result]), tile, 2, {"output": result})


class GlobalAvgPoolKernel(Kernel[GlobalAvgPool]):
    """Vector lanes run over the channels."""

    def buffers(self, workload: GlobalAvgPool) -> tuple[Buffer, ...]:
        """Data (N, pixels, C/lanes, lanes) -> (N, 1, 1, C/lanes, lanes)."""
        width = lanes(workload.channels)
        rest = (workload.channels // width, width)
        return (
            Buffer(
                "data", "input", (workload.batch, workload.pixels, *rest), REAL_DTYPES[workload.arithmetic]
            ),
            Buffer("output", "output", (workload.batch, 1, 1, *rest), REAL_DTYPES[workload.arithmetic]),
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
            result = _mean("float", output.shape, total.total, workload.pixels)
            return schedule_blocks(te.create_prim_func([*args.values(), result]), tile, total.parts)
        pixel = te.reduce_axis((0, workload.pixels), "pixel")
        reduced = te.compute(
            output.shape,
            lambda n, y, x, v, i: te.sum(
                _summed(workload.arithmetic, args["data"][n, pixel, v, i]), axis=pixel
            ),
            name="accumulate",
        )
        result = _mean(workload.arithmetic, output.shape, reduced, workload.pixels)
        func = te.create_prim_func([*args.values(), result])
        return schedule_tiled(func, tile, 1, {"output": result})


def _summed(arithmetic: Arithmetic, value: Expr) -> Expr:
    """What a mean sums: fixed-point numbers in 64 bits."""
    return value.astype("int64") if arithmetic == "integer" else value


def _mean(arithmetic: Arithmetic, shape: tuple[int, ...], total: Tensor | Compute, count: int) -> Tensor:
    """The stage that divides sums, a tensor or a function of the index, by ``count``."""
    from tvm import te, tirx

    if arithmetic == "integer":
        return te.compute(shape, lambda *i: mean(total(*i), count), name="output")
    factor = tirx.const(1 / count, "float32")
    return te.compute(shape, lambda *i: total(*i) * factor, name="output")


kernels.add("global_avg_pool", GlobalAvgPoolKernel())
kernels.add("max_pool2d", MaxPoolKernel())
kernels.add("avg_pool2d", AvgPoolKernel())

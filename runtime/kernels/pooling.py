"""Pooling kernels over NHWC float images: windows, and the mean over a whole image."""

from typing import Any

from runtime.kernels.base import Buffer, Kernel, kernels, lanes, te_placeholders
from runtime.kernels.padding import flat_placeholder, pad_rows
from runtime.kernels.schedule import Tile, schedule_tiled, tiles
from runtime.target import Cpu
from runtime.workload import AvgPool2d, GlobalAvgPool, MaxPool2d

LOWEST = -3.4028234663852886e38  # the most negative float32


class PoolKernel(Kernel[Any]):
    """Vector lanes run over the channels; the padded image lies in scratch memory."""

    def __init__(self, pad_value: float) -> None:
        self.pad_value = pad_value

    def buffers(self, workload: MaxPool2d | AvgPool2d) -> tuple[Buffer, ...]:
        """Data (N, H, W, C/lanes, lanes) -> (N, Ho, Wo, C/lanes, lanes)."""
        w = workload
        width = lanes(w.channels)
        rest = (w.channels // width, width)
        found = [Buffer("data", "input", (w.batch, w.height, w.width, *rest), "float32")]
        if w.padding:
            padded = (w.batch, w.height + 2 * w.padding, w.width + 2 * w.padding, *rest)
            found.append(Buffer("padded", "scratch", padded, "float32"))
        found.append(Buffer("output", "output", (w.batch, w.out_height, w.out_width, *rest), "float32"))
        return tuple(found)

    def prim_func(self, workload: MaxPool2d | AvgPool2d, cpu: Cpu, tile: Tile | None = None) -> Any:
        """Pad, reduce in registers, and for a mean divide."""
        from tvm import te, tirx

        buffers = self.buffers(workload)
        output = buffers[-1]
        image = data = flat_placeholder("data", buffers[0].shape, "float32")
        if workload.padding:
            data = pad_rows(image, workload.padding, self.pad_value)
        ky, kx = (te.reduce_axis((0, workload.kernel), name) for name in ("ky", "kx"))
        s, is_mean = workload.stride, isinstance(workload, AvgPool2d)
        reduce = te.sum if is_mean else te.max
        reduced = te.compute(
            output.shape,
            lambda n, y, x, v, i: reduce(data[n, y * s + ky, x * s + kx, v, i], axis=[ky, kx]),
            name="accumulate",
        )
        factor = tirx.const(1 / workload.kernel**2 if is_mean else 1, "float32")
        result = te.compute(output.shape, lambda *i: reduced[i] * factor, name="output")
        func = te.create_prim_func([image.tensor, *([data.tensor] if workload.padding else []), result])
        tile = tile or tiles(cpu, workload.out_width, output.shape[3])[0]
        return schedule_tiled(func, tile, 2, {"output": result})


class GlobalAvgPoolKernel(Kernel[GlobalAvgPool]):
    """Vector lanes run over the channels."""

    def buffers(self, workload: GlobalAvgPool) -> tuple[Buffer, ...]:
        """Data (N, pixels, C/lanes, lanes) -> (N, 1, 1, C/lanes, lanes)."""
        width = lanes(workload.channels)
        rest = (workload.channels // width, width)
        return (
            Buffer("data", "input", (workload.batch, workload.pixels, *rest), "float32"),
            Buffer("output", "output", (workload.batch, 1, 1, *rest), "float32"),
        )

    def prim_func(self, workload: GlobalAvgPool, cpu: Cpu, tile: Tile | None = None) -> Any:
        """Sum in registers, then multiply by 1 / pixels."""
        from tvm import te, tirx

        buffers = self.buffers(workload)
        args, output = te_placeholders(buffers), buffers[-1]
        pixel = te.reduce_axis((0, workload.pixels), "pixel")
        reduced = te.compute(
            output.shape,
            lambda n, y, x, v, i: te.sum(args["data"][n, pixel, v, i], axis=pixel),
            name="accumulate",
        )
        factor = tirx.const(1 / workload.pixels, "float32")
        result = te.compute(output.shape, lambda *i: reduced[i] * factor, name="output")
        func = te.create_prim_func([*args.values(), result])
        return schedule_tiled(func, tile or tiles(cpu, 1, output.shape[3])[0], 1, {"output": result})


kernels.add("global_avg_pool", GlobalAvgPoolKernel())
kernels.add("max_pool2d", PoolKernel(LOWEST))
kernels.add("avg_pool2d", PoolKernel(0))

"""Kernels that give images other sides: borders, other resolutions, means over uneven windows."""

from runtime.cpu import Cpu
from runtime.kernels.base import Buffer, Kernel, kernels, lanes, te_placeholders
from runtime.kernels.elementwise import ElementwiseKernel
from runtime.kernels.fixed_point import REAL_DTYPES, zero_of
from runtime.kernels.schedule import Tile, schedule_tiled, tiles
from runtime.tvm_types import Compute, Expr, PrimFunc, Tensors
from runtime.workload import AdaptiveAvgPool, Pad2d, ResizeBilinear, ResizingWorkload, TakePixels


class Pad2dKernel(ElementwiseKernel[Pad2d]):
    """The image, or the number around it, a vector of channels at a time."""

    def buffers(self, workload: Pad2d) -> tuple[Buffer, ...]:
        """Data (N, H, W, C/lanes, lanes), value (1,) -> (N, H', W', C'/lanes, lanes)."""
        w, dtype = workload, REAL_DTYPES[workload.arithmetic]
        width = lanes(w.channels, *(n for n in (w.before, w.behind) if n))
        depth = w.before + w.channels + w.behind
        rows, columns = w.top + w.height + w.bottom, w.left + w.width + w.right
        value = [] if w.is_zero else [Buffer("value", "constant", (1,), dtype)]
        return (
            Buffer("data", "input", (w.batch, w.height, w.width, w.channels // width, width), dtype),
            *value,
            Buffer("output", "output", (w.batch, rows, columns, depth // width, width), dtype),
        )

    def expression(self, workload: Pad2d, args: Tensors) -> Compute:
        """What lies within the image is of it."""
        from tvm import tirx

        w, data = workload, args["data"]
        vectors, width = int(data.shape[3]), int(data.shape[4])
        starts, extents = (w.top, w.left, w.before // width), (w.height, w.width, vectors)
        ends = (w.bottom, w.right, w.behind)

        def value(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
            own = [at - start for at, start in zip((y, x, v), starts, strict=True)]
            limits = [at >= 0 for at, start in zip(own, starts, strict=True) if start]
            limits += [at < size for at, size, end in zip(own, extents, ends, strict=True) if end]
            border = zero_of(w.arithmetic) if w.is_zero else args["value"][0]
            number = data[(n, *own, i)]
            return tirx.if_then_else(tirx.all(*limits), number, border) if limits else number

        return value


class TakePixelsKernel(ElementwiseKernel[TakePixels]):
    """Pixels by the tables of rows and columns."""

    def buffers(self, workload: TakePixels) -> tuple[Buffer, ...]:
        """Data (N, H, W, C/lanes, lanes), row (H',), column (W',) -> (N, H', W', C/lanes, lanes)."""
        data, output = _images(workload)
        return (
            data,
            Buffer("row", "constant", (workload.out_height,), "int32"),
            Buffer("column", "constant", (workload.out_width,), "int32"),
            output,
        )

    def expression(self, workload: TakePixels, args: Tensors) -> Compute:
        """The pixel at that row and column."""
        data, row, column = args["data"], args["row"], args["column"]
        return lambda n, y, x, v, i: data[n, row[y], column[x], v, i]


class ResizeBilinearKernel(ElementwiseKernel[ResizeBilinear]):
    """Between the four pixels around a place."""

    def buffers(self, workload: ResizeBilinear) -> tuple[Buffer, ...]:
        """Data (N, H, W, C/lanes, lanes), rows and columns with shares -> (N, H', W', C/lanes, lanes)."""
        data, output = _images(workload)
        rows, columns = (workload.out_height,), (workload.out_width,)
        return (
            data,
            Buffer("row", "constant", rows, "int32"),
            Buffer("row_below", "constant", rows, "int32"),
            Buffer("row_share", "constant", rows, "float32"),
            Buffer("column", "constant", columns, "int32"),
            Buffer("column_behind", "constant", columns, "int32"),
            Buffer("column_share", "constant", columns, "float32"),
            output,
        )

    def expression(self, workload: ResizeBilinear, args: Tensors) -> Compute:
        """A mean by rows of means by columns; the share of the other one has more distance to the first."""
        from tvm import tirx

        one, data = tirx.const(1.0, "float32"), args["data"]

        def value(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
            right, lower = args["column_share"][x], args["row_share"][y]

            def along(row: Expr) -> Expr:
                near, far = (data[n, row, args[c][x], v, i] for c in ("column", "column_behind"))
                return near * (one - right) + far * right

            return along(args["row"][y]) * (one - lower) + along(args["row_below"][y]) * lower

        return value


class AdaptiveAvgPoolKernel(Kernel[AdaptiveAvgPool]):
    """Vector lanes run over the channels; windows that are smaller than the largest leave out its end."""

    def buffers(self, workload: AdaptiveAvgPool) -> tuple[Buffer, ...]:
        """Data (N, H, W, C/lanes, lanes) -> (N, H', W', C/lanes, lanes)."""
        return _images(workload)

    def prim_func(self, workload: AdaptiveAvgPool, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Sum in registers, then multiply by one over the window's own size."""
        from tvm import te, tirx

        w, buffers = workload, self.buffers(workload)
        args, output = te_placeholders(buffers), buffers[-1]
        ky = te.reduce_axis((0, _largest(w.height, w.out_height)), "ky")
        kx = te.reduce_axis((0, _largest(w.width, w.out_width)), "kx")

        def pixel(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
            top, rows = _window(y, w.height, w.out_height)
            left, columns = _window(x, w.width, w.out_width)
            row, column = tirx.min(top + ky, w.height - 1), tirx.min(left + kx, w.width - 1)
            inside = tirx.all(ky < rows, kx < columns)
            number = tirx.Select(inside, args["data"][n, row, column, v, i], tirx.const(0.0, "float32"))
            return te.sum(number, axis=[ky, kx])

        total = te.compute(output.shape, pixel, name="accumulate")

        def mean(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
            count = _window(y, w.height, w.out_height)[1] * _window(x, w.width, w.out_width)[1]
            return total[n, y, x, v, i] / count.astype("float32")

        result = te.compute(output.shape, mean, name="output")
        func = te.create_prim_func([*args.values(), result])
        return schedule_tiled(
            func, tile or tiles(cpu, w.out_width, output.shape[3])[0], 2, {"output": result}
        )


def _images(workload: ResizingWorkload) -> tuple[Buffer, Buffer]:
    """The image and the one of other sides, in vectors of channels."""
    w, width = workload, lanes(workload.channels)
    rest = (w.channels // width, width)
    return (
        Buffer("data", "input", (w.batch, w.height, w.width, *rest), "float32"),
        Buffer("output", "output", (w.batch, w.out_height, w.out_width, *rest), "float32"),
    )


def _window(place: Expr, size: int, count: int) -> tuple[Expr, Expr]:
    """Where the window of a place begins, and how long it is: the ends are rounded away from each other."""
    from tvm import tirx

    first = tirx.floordiv(place * size, count)
    return first, tirx.floordiv((place + 1) * size + count - 1, count) - first


def _largest(size: int, count: int) -> int:
    """The length of the longest window."""
    return max(-(-(i + 1) * size // count) - i * size // count for i in range(count))


kernels.add("pad2d", Pad2dKernel())
kernels.add("take_pixels", TakePixelsKernel())
kernels.add("resize_bilinear", ResizeBilinearKernel())
kernels.add("adaptive_avg_pool", AdaptiveAvgPoolKernel())

"""Kernels that move values and compute nothing: subsample, shuffle, layouts."""

from runtime.kernels.base import Buffer, kernels, lanes
from runtime.kernels.elementwise import ElementwiseKernel
from runtime.kernels.fixed_point import REAL_DTYPES, zero_of
from runtime.tvm_types import Compute, Expr, Tensors
from runtime.workload import ChannelShuffle, Interleave, Permute, Subsample, ToNchw, ToNhwc


class SubsampleKernel(ElementwiseKernel[Subsample]):
    """Some of the pixels, a vector of channels at a time, and zeros."""

    def buffers(self, workload: Subsample) -> tuple[Buffer, ...]:
        """Data (N, H, W, C / lanes, lanes) -> (N, H', W', (C + added) / lanes, lanes)."""
        w, dtype = workload, REAL_DTYPES[workload.arithmetic]
        width = lanes(w.channels, w.added) if w.added else lanes(w.channels)
        shape = (w.batch, w.out_height, w.out_width, (w.channels + w.added) // width, width)
        return (
            Buffer("data", "input", (w.batch, w.height, w.width, w.channels // width, width), dtype),
            Buffer("output", "output", shape, dtype),
        )

    def expression(self, workload: Subsample, args: Tensors) -> Compute:
        """Zero beyond the channels that there are."""
        from tvm import tirx

        data, stride = args["data"], workload.stride
        there = int(data.shape[3])

        def value(n: Expr, y: Expr, x: Expr, v: Expr, i: Expr) -> Expr:
            if not workload.added:
                return data[n, y * stride, x * stride, v, i]
            zero = zero_of(workload.arithmetic)
            return tirx.if_then_else(v < there, data[n, y * stride, x * stride, v, i], zero)

        return value


class InterleaveKernel(ElementwiseKernel[Interleave]):
    """Pixels of phases side by side, a vector of channels at a time."""

    def buffers(self, workload: Interleave) -> tuple[Buffer, ...]:
        """Data (N, H, W, G, phases, C/G/lanes, lanes) -> (N, H', W', G, C/G/lanes, lanes)."""
        w, dtype = workload, REAL_DTYPES[workload.arithmetic]
        depth = w.channels // w.groups
        rest, phases = (depth // lanes(depth), lanes(depth)), w.stride[0] * w.stride[1]
        return (
            Buffer("data", "input", (w.batch, w.height, w.width, w.groups, phases, *rest), dtype),
            Buffer("output", "output", (w.batch, *w.size, w.groups, *rest), dtype),
        )

    def expression(self, workload: Interleave, args: Tensors) -> Compute:
        """A pixel's phase is its place within a stride."""
        (rows, columns), (top, left) = workload.stride, workload.start

        def pixel(n: Expr, y: Expr, x: Expr, g: Expr, v: Expr, i: Expr) -> Expr:
            row, column = y + top, x + left
            phase = row % rows * columns + column % columns
            return args["data"][n, row // rows, column // columns, g, phase, v, i]

        return pixel


class ChannelShuffleKernel(ElementwiseKernel[ChannelShuffle]):
    """A transposition of (groups, C / groups)."""

    def buffers(self, workload: ChannelShuffle) -> tuple[Buffer, ...]:
        """Data (N * pixels, G, C/G) -> (N * pixels, C/G, G)."""
        pixels, depth = workload.batch * workload.pixels, workload.channels // workload.groups
        return (
            Buffer("data", "input", (pixels, workload.groups, depth), REAL_DTYPES[workload.arithmetic]),
            Buffer("output", "output", (pixels, depth, workload.groups), REAL_DTYPES[workload.arithmetic]),
        )

    def expression(self, workload: ChannelShuffle, args: Tensors) -> Compute:
        """Groups and channels change places."""
        return lambda p, c, g: args["data"][p, g, c]


class PermuteKernel(ElementwiseKernel[Permute]):
    """Axes in another order."""

    def buffers(self, workload: Permute) -> tuple[Buffer, ...]:
        """Data (N, *shape) -> (N, *shape in that order)."""
        w = workload
        moved = tuple(w.shape[i] for i in w.order)
        return (
            Buffer("data", "input", (w.batch, *w.shape), "float32"),
            Buffer("output", "output", (w.batch, *moved), "float32"),
        )

    def expression(self, workload: Permute, args: Tensors) -> Compute:
        """Each index in its own place."""
        order = workload.order

        def value(n: Expr, *index: Expr) -> Expr:
            return args["data"][(n, *(index[order.index(axis)] for axis in range(len(order))))]

        return value


class ToNhwcKernel(ElementwiseKernel[ToNhwc]):
    """NCHW -> NHWC."""

    def buffers(self, workload: ToNhwc) -> tuple[Buffer, ...]:
        """Data (N, C, H, W) -> (N, H, W, C)."""
        w = workload
        return (
            Buffer("data", "input", (w.batch, w.channels, w.height, w.width), "float32"),
            Buffer("output", "output", (w.batch, w.height, w.width, w.channels), "float32"),
        )

    def expression(self, workload: ToNhwc, args: Tensors) -> Compute:
        """Channels go last."""
        return lambda n, y, x, c: args["data"][n, c, y, x]


class ToNchwKernel(ElementwiseKernel[ToNchw]):
    """NHWC -> NCHW."""

    def buffers(self, workload: ToNchw) -> tuple[Buffer, ...]:
        """Data (N, H, W, C) -> (N, C, H, W)."""
        w, dtype = workload, REAL_DTYPES[workload.arithmetic]
        return (
            Buffer("data", "input", (w.batch, w.height, w.width, w.channels), dtype),
            Buffer("output", "output", (w.batch, w.channels, w.height, w.width), dtype),
        )

    def expression(self, workload: ToNchw, args: Tensors) -> Compute:
        """Channels go second."""
        return lambda n, c, y, x: args["data"][n, y, x, c]


kernels.add("subsample", SubsampleKernel())
kernels.add("interleave", InterleaveKernel())
kernels.add("channel_shuffle", ChannelShuffleKernel())
kernels.add("to_nhwc", ToNhwcKernel())
kernels.add("to_nchw", ToNchwKernel())
kernels.add("permute", PermuteKernel())

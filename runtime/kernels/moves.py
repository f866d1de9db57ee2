"""Kernels that move values and compute nothing: subsample, concatenate, slice, shuffle, layouts."""

from itertools import accumulate

from runtime.kernels.base import Buffer, kernels, lanes
from runtime.kernels.elementwise import ElementwiseKernel
from runtime.kernels.fixed_point import REAL_DTYPES, zero_of
from runtime.tvm_types import Compute, Expr, Tensors
from runtime.workload import ChannelShuffle, Concat, Permute, Slice, Subsample, ToNchw, ToNhwc


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


class SliceKernel(ElementwiseKernel[Slice]):
    """Some of the channels, a vector at a time."""

    def buffers(self, workload: Slice) -> tuple[Buffer, ...]:
        """Data (N * pixels, C / lanes, lanes) -> (N * pixels, count / lanes, lanes)."""
        w, dtype = workload, REAL_DTYPES[workload.arithmetic]
        pixels = w.batch * w.pixels
        width = lanes(w.channels, w.count, w.start) if w.start else lanes(w.channels, w.count)
        return (
            Buffer("data", "input", (pixels, w.channels // width, width), dtype),
            Buffer("output", "output", (pixels, w.count // width, width), dtype),
        )

    def expression(self, workload: Slice, args: Tensors) -> Compute:
        """Those behind the first ones."""
        first = workload.start // int(args["data"].shape[-1])
        return lambda p, v, i: args["data"][p, first + v, i]


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


class ConcatKernel(ElementwiseKernel[Concat]):
    """Side by side along the channels, a vector of channels at a time."""

    def buffers(self, workload: Concat) -> tuple[Buffer, ...]:
        """Data (N * pixels, C_i / lanes, lanes) for each i -> (N * pixels, sum C_i / lanes, lanes)."""
        pixels, width = workload.batch * workload.pixels, lanes(*workload.channels)
        dtype = REAL_DTYPES[workload.arithmetic]
        inputs = [
            Buffer(f"data{i}", "input", (pixels, channels // width, width), dtype)
            for i, channels in enumerate(workload.channels)
        ]
        vectors = sum(workload.channels) // width
        return (*inputs, Buffer("output", "output", (pixels, vectors, width), dtype))

    def expression(self, workload: Concat, args: Tensors) -> Compute:
        """Which input a vector comes from depends on its index alone, never on the lane."""
        from tvm import tirx

        def chosen(p: Expr, v: Expr, i: Expr) -> Expr:
            ends = list(accumulate(int(a.shape[1]) for a in args.values()))
            value = None
            for array, end in reversed(list(zip(args.values(), ends, strict=True))):
                own = array[p, v - (end - int(array.shape[1])), i]
                value = own if value is None else tirx.if_then_else(v < end, own, value)
            return value

        return chosen


kernels.add("subsample", SubsampleKernel())
kernels.add("concat", ConcatKernel())
kernels.add("channel_shuffle", ChannelShuffleKernel())
kernels.add("to_nhwc", ToNhwcKernel())
kernels.add("to_nchw", ToNchwKernel())
kernels.add("slice", SliceKernel())
kernels.add("permute", PermuteKernel())

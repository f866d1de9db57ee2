"""Kernels that move or map values one by one: quantize, ReLU, add, affine, concatenate, shuffle, layouts."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

from runtime.kernels.base import Buffer, Kernel, W, kernels, lanes, te_placeholders
from runtime.kernels.convolution import affine_output
from runtime.kernels.epilogue import quantized, rectified
from runtime.kernels.schedule import Tile, schedule_elementwise
from runtime.target import Cpu
from runtime.workload import (
    Add,
    Affine,
    AffineMap,
    ChannelShuffle,
    Concat,
    Prelu,
    Quantize,
    Relu,
    Relu6,
    ScaleChannels,
    Sigmoid,
    Subsample,
    ToNchw,
    ToNhwc,
)


class ElementwiseKernel(Kernel[W]):
    """A kernel whose output is one TE expression of its arguments, vectorized over the last axis."""

    def prim_func(self, workload: W, cpu: Cpu, tile: Tile | None = None) -> Any:
        """One vectorized loop nest."""
        from tvm import te

        buffers = self.buffers(workload)
        args = te_placeholders(buffers)
        result = te.compute(buffers[-1].shape, self.expression(workload, args), name="output")
        return schedule_elementwise(te.create_prim_func([*args.values(), result]), "output")

    def expression(self, workload: W, args: dict[str, Any]) -> Callable[..., Any]:
        """The value of the output at an index."""
        raise TypeError(f"{type(self).__name__} gives no expression for {workload.family}")


class QuantizeKernel(ElementwiseKernel[Quantize]):
    """round(x / step), half to even as in torch, clamped to the code's range."""

    def buffers(self, workload: Quantize) -> tuple[Buffer, ...]:
        """Data (size,) and 1 / step (1,) in float -> (size,) bytes."""
        return (
            Buffer("data", "input", (workload.size,), "float32"),
            Buffer("inverse_step", "constant", (1,), "float32"),
            Buffer("output", "output", (workload.size,), "uint8"),
        )

    def expression(self, workload: Quantize, args: dict[str, Any]) -> Callable[..., Any]:
        """Multiplied, clamped, rounded, cast."""
        return lambda i: quantized(args["data"][i], args["inverse_step"][0], workload.code)


class ReluKernel(ElementwiseKernel[Relu]):
    """max(x, 0)."""

    def buffers(self, workload: Relu) -> tuple[Buffer, ...]:
        """Data (size,) -> (size,)."""
        shape = (workload.size,)
        return Buffer("data", "input", shape, "float32"), Buffer("output", "output", shape, "float32")

    def expression(self, workload: Relu, args: dict[str, Any]) -> Callable[..., Any]:
        """The larger of the value and zero."""
        return lambda i: rectified(args["data"][i])


class Relu6Kernel(ElementwiseKernel[Relu6]):
    """min(max(x, 0), 6)."""

    def buffers(self, workload: Relu6) -> tuple[Buffer, ...]:
        """Data (size,) -> (size,)."""
        shape = (workload.size,)
        return Buffer("data", "input", shape, "float32"), Buffer("output", "output", shape, "float32")

    def expression(self, workload: Relu6, args: dict[str, Any]) -> Callable[..., Any]:
        """Clamped."""
        from tvm import tirx

        return lambda i: tirx.min(rectified(args["data"][i]), tirx.const(6.0, "float32"))


class SigmoidKernel(ElementwiseKernel[Sigmoid]):
    """1 / (1 + exp(-x)), of the few numbers of a squeeze-and-excitation."""

    def buffers(self, workload: Sigmoid) -> tuple[Buffer, ...]:
        """Data (size,) -> (size,)."""
        shape = (workload.size,)
        return Buffer("data", "input", shape, "float32"), Buffer("output", "output", shape, "float32")

    def expression(self, workload: Sigmoid, args: dict[str, Any]) -> Callable[..., Any]:
        """By the exponential of the processor's mathematical library."""
        from tvm import tirx

        one = tirx.const(1.0, "float32")
        return lambda i: one / (one + tirx.exp(-args["data"][i]))


class ScaleChannelsKernel(ElementwiseKernel[ScaleChannels]):
    """x[n, p, c] * s[n, c]."""

    def buffers(self, workload: ScaleChannels) -> tuple[Buffer, ...]:
        """Data (N, pixels, C), factor (N, C) -> (N, pixels, C)."""
        w = workload
        shape = (w.batch, w.pixels, w.channels)
        return (
            Buffer("data", "input", shape, "float32"),
            Buffer("factor", "input", (w.batch, w.channels), "float32"),
            Buffer("output", "output", shape, "float32"),
        )

    def expression(self, workload: ScaleChannels, args: dict[str, Any]) -> Callable[..., Any]:
        """The product."""
        return lambda n, p, c: args["data"][n, p, c] * args["factor"][n, c]


class SubsampleKernel(ElementwiseKernel[Subsample]):
    """Some of the pixels, a vector of channels at a time, and zeros."""

    def buffers(self, workload: Subsample) -> tuple[Buffer, ...]:
        """Data (N, H, W, C / lanes, lanes) -> (N, H', W', (C + added) / lanes, lanes)."""
        w = workload
        width = lanes(w.channels, w.added) if w.added else lanes(w.channels)
        shape = (w.batch, w.out_height, w.out_width, (w.channels + w.added) // width, width)
        return (
            Buffer("data", "input", (w.batch, w.height, w.width, w.channels // width, width), "float32"),
            Buffer("output", "output", shape, "float32"),
        )

    def expression(self, workload: Subsample, args: dict[str, Any]) -> Callable[..., Any]:
        """Zero beyond the channels that there are."""
        from tvm import tirx

        data, stride = args["data"], workload.stride
        there = int(data.shape[3])

        def value(n: Any, y: Any, x: Any, v: Any, i: Any) -> Any:
            if not workload.added:
                return data[n, y * stride, x * stride, v, i]
            zero = tirx.const(0.0, "float32")
            return tirx.if_then_else(v < there, data[n, y * stride, x * stride, v, i], zero)

        return value


class AddKernel(ElementwiseKernel[Add]):
    """a + b."""

    def buffers(self, workload: Add) -> tuple[Buffer, ...]:
        """Left and right (size,) -> (size,)."""
        shape = (workload.size,)
        return (
            Buffer("left", "input", shape, "float32"),
            Buffer("right", "input", shape, "float32"),
            Buffer("output", "output", shape, "float32"),
        )

    def expression(self, workload: Add, args: dict[str, Any]) -> Callable[..., Any]:
        """The sum."""
        return lambda i: args["left"][i] + args["right"][i]


class AffineKernel(ElementwiseKernel[Affine]):
    """scale[c] * x + bias[c]."""

    def buffers(self, workload: Affine) -> tuple[Buffer, ...]:
        """Data (N * pixels, C), scale (C,), bias (C,) -> (N * pixels, C)."""
        shape = (workload.batch * workload.pixels, workload.channels)
        return (
            Buffer("data", "input", shape, "float32"),
            Buffer("scale", "constant", shape[1:], "float32"),
            Buffer("bias", "constant", shape[1:], "float32"),
            Buffer("output", "output", shape, "float32"),
        )

    def expression(self, workload: Affine, args: dict[str, Any]) -> Callable[..., Any]:
        """Scaled and shifted."""
        return lambda p, c: affine_output(args["data"][p, c], args["scale"][c], args["bias"][c])


class AffineMapKernel(ElementwiseKernel[AffineMap]):
    """scale[p, c] * x + bias[c]."""

    def buffers(self, workload: AffineMap) -> tuple[Buffer, ...]:
        """Data (N, pixels, C), scale (pixels, C), bias (C,) -> (N, pixels, C)."""
        shape = (workload.batch, workload.pixels, workload.channels)
        return (
            Buffer("data", "input", shape, "float32"),
            Buffer("scale", "constant", shape[1:], "float32"),
            Buffer("bias", "constant", shape[2:], "float32"),
            Buffer("output", "output", shape, "float32"),
        )

    def expression(self, workload: AffineMap, args: dict[str, Any]) -> Callable[..., Any]:
        """Scaled and shifted."""
        return lambda n, p, c: affine_output(args["data"][n, p, c], args["scale"][p, c], args["bias"][c])


class PreluKernel(ElementwiseKernel[Prelu]):
    """max(x, 0) + slope[c] * min(x, 0)."""

    def buffers(self, workload: Prelu) -> tuple[Buffer, ...]:
        """Data (N * pixels, C), slope (C,) -> (N * pixels, C)."""
        shape = (workload.batch * workload.pixels, workload.channels)
        return (
            Buffer("data", "input", shape, "float32"),
            Buffer("slope", "constant", shape[1:], "float32"),
            Buffer("output", "output", shape, "float32"),
        )

    def expression(self, workload: Prelu, args: dict[str, Any]) -> Callable[..., Any]:
        """The value, or its multiple."""
        from tvm import tirx

        zero = tirx.const(0.0, "float32")

        def value(p: Any, c: Any) -> Any:
            x = args["data"][p, c]
            return tirx.Select(x > zero, x, x * args["slope"][c])

        return value


class ChannelShuffleKernel(ElementwiseKernel[ChannelShuffle]):
    """A transposition of (groups, C / groups)."""

    def buffers(self, workload: ChannelShuffle) -> tuple[Buffer, ...]:
        """Data (N * pixels, G, C/G) -> (N * pixels, C/G, G)."""
        pixels, depth = workload.batch * workload.pixels, workload.channels // workload.groups
        return (
            Buffer("data", "input", (pixels, workload.groups, depth), "float32"),
            Buffer("output", "output", (pixels, depth, workload.groups), "float32"),
        )

    def expression(self, workload: ChannelShuffle, args: dict[str, Any]) -> Callable[..., Any]:
        """Groups and channels change places."""
        return lambda p, c, g: args["data"][p, g, c]


class ToNhwcKernel(ElementwiseKernel[ToNhwc]):
    """NCHW -> NHWC."""

    def buffers(self, workload: ToNhwc) -> tuple[Buffer, ...]:
        """Data (N, C, H, W) -> (N, H, W, C)."""
        w = workload
        return (
            Buffer("data", "input", (w.batch, w.channels, w.height, w.width), "float32"),
            Buffer("output", "output", (w.batch, w.height, w.width, w.channels), "float32"),
        )

    def expression(self, workload: ToNhwc, args: dict[str, Any]) -> Callable[..., Any]:
        """Channels go last."""
        return lambda n, y, x, c: args["data"][n, c, y, x]


class ToNchwKernel(ElementwiseKernel[ToNchw]):
    """NHWC -> NCHW."""

    def buffers(self, workload: ToNchw) -> tuple[Buffer, ...]:
        """Data (N, H, W, C) -> (N, C, H, W)."""
        w = workload
        return (
            Buffer("data", "input", (w.batch, w.height, w.width, w.channels), "float32"),
            Buffer("output", "output", (w.batch, w.channels, w.height, w.width), "float32"),
        )

    def expression(self, workload: ToNchw, args: dict[str, Any]) -> Callable[..., Any]:
        """Channels go second."""
        return lambda n, c, y, x: args["data"][n, y, x, c]


class ConcatKernel(ElementwiseKernel[Concat]):
    """Side by side along the channels, a vector of channels at a time."""

    def buffers(self, workload: Concat) -> tuple[Buffer, ...]:
        """Data (N * pixels, C_i / lanes, lanes) for each i -> (N * pixels, sum C_i / lanes, lanes)."""
        pixels, width = workload.batch * workload.pixels, lanes(*workload.channels)
        inputs = [
            Buffer(f"data{i}", "input", (pixels, channels // width, width), "float32")
            for i, channels in enumerate(workload.channels)
        ]
        vectors = sum(workload.channels) // width
        return (*inputs, Buffer("output", "output", (pixels, vectors, width), "float32"))

    def expression(self, workload: Concat, args: dict[str, Any]) -> Callable[..., Any]:
        """Which input a vector comes from depends on its index alone, never on the lane."""
        from tvm import tirx

        def chosen(p: Any, v: Any, i: Any) -> Any:
            ends = list(accumulate(int(a.shape[1]) for a in args.values()))
            value = None
            for array, end in reversed(list(zip(args.values(), ends, strict=True))):
                own = array[p, v - (end - int(array.shape[1])), i]
                value = own if value is None else tirx.if_then_else(v < end, own, value)
            return value

        return chosen


kernels.add("quantize", QuantizeKernel())
kernels.add("relu", ReluKernel())
kernels.add("affine_map", AffineMapKernel())
kernels.add("prelu", PreluKernel())
kernels.add("relu6", Relu6Kernel())
kernels.add("sigmoid", SigmoidKernel())
kernels.add("scale_channels", ScaleChannelsKernel())
kernels.add("subsample", SubsampleKernel())
kernels.add("add", AddKernel())
kernels.add("affine", AffineKernel())
kernels.add("concat", ConcatKernel())
kernels.add("channel_shuffle", ChannelShuffleKernel())
kernels.add("to_nhwc", ToNhwcKernel())
kernels.add("to_nchw", ToNchwKernel())

"""Kernels that map values one by one: quantize, activations, scales and the sum of two."""

from runtime.cpu import Cpu
from runtime.kernels.base import Buffer, Kernel, W, kernels, te_placeholders
from runtime.kernels.convolution import affine_output
from runtime.kernels.curves import rectified, rectified_to
from runtime.kernels.epilogue import STEPS, quantized, step_buffers
from runtime.kernels.fixed_point import (
    REAL_DTYPES,
    SIX,
    as_code,
    code_buffers,
    rescaled,
    saturated,
    scale_buffers,
)
from runtime.kernels.schedule import Tile, schedule_elementwise
from runtime.tvm_types import Compute, Expr, PrimFunc, Tensors
from runtime.workload import (
    Add,
    Affine,
    AffineMap,
    Prelu,
    Quantize,
    Relu,
    Relu6,
    ScaleChannels,
)


class ElementwiseKernel(Kernel[W]):
    """A kernel whose output is one TE expression of its arguments, vectorized over the last axis."""

    def prim_func(self, workload: W, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """One vectorized loop nest."""
        from tvm import te

        buffers = self.buffers(workload)
        args = te_placeholders(buffers)
        result = te.compute(buffers[-1].shape, self.expression(workload, args), name="output")
        return schedule_elementwise(te.create_prim_func([*args.values(), result]), "output")

    def expression(self, workload: W, args: Tensors) -> Compute:
        """The value of the output at an index."""
        raise TypeError(f"{type(self).__name__} gives no expression for {workload.family}")


class QuantizeKernel(ElementwiseKernel[Quantize]):
    """round(x / step) plus the zero point, half to even as in torch, clamped to the code's range."""

    def buffers(self, workload: Quantize) -> tuple[Buffer, ...]:
        """Data (size,), and the step, as a float or for integers -> (size,) bytes."""
        step = code_buffers() if workload.arithmetic == "integer" else step_buffers(workload.code)
        return (
            Buffer("data", "input", (workload.size,), REAL_DTYPES[workload.arithmetic]),
            *step,
            Buffer("output", "output", (workload.size,), "uint8"),
        )

    def expression(self, workload: Quantize, args: Tensors) -> Compute:
        """Multiplied, clamped, rounded, cast."""
        if workload.arithmetic == "integer":
            return lambda i: as_code(args["data"][i], args, STEPS[workload.code])
        return lambda i: quantized(args["data"][i], args, workload.code)


class ReluKernel(ElementwiseKernel[Relu]):
    """max(x, 0)."""

    def buffers(self, workload: Relu) -> tuple[Buffer, ...]:
        """Data (size,) -> (size,)."""
        shape = (workload.size,)
        dtype = REAL_DTYPES[workload.arithmetic]
        return Buffer("data", "input", shape, dtype), Buffer("output", "output", shape, dtype)

    def expression(self, workload: Relu, args: Tensors) -> Compute:
        """The larger of the value and zero."""
        return lambda i: rectified(args["data"][i], workload.arithmetic)


class Relu6Kernel(ElementwiseKernel[Relu6]):
    """min(max(x, 0), 6)."""

    def buffers(self, workload: Relu6) -> tuple[Buffer, ...]:
        """Data (size,) -> (size,)."""
        shape = (workload.size,)
        dtype = REAL_DTYPES[workload.arithmetic]
        six = [SIX] if workload.arithmetic == "integer" else []
        return Buffer("data", "input", shape, dtype), *six, Buffer("output", "output", shape, dtype)

    def expression(self, workload: Relu6, args: Tensors) -> Compute:
        """Clamped."""
        from tvm import tirx

        is_integer = workload.arithmetic == "integer"
        most = args["six"][0] if is_integer else tirx.const(6.0, "float32")
        return lambda i: rectified_to(most, args["data"][i], workload.arithmetic)


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

    def expression(self, workload: ScaleChannels, args: Tensors) -> Compute:
        """The product."""
        return lambda n, p, c: args["data"][n, p, c] * args["factor"][n, c]


class AddKernel(ElementwiseKernel[Add]):
    """a + b."""

    def buffers(self, workload: Add) -> tuple[Buffer, ...]:
        """Left and right (size,) -> (size,)."""
        shape, dtype = (workload.size,), REAL_DTYPES[workload.arithmetic]
        return (
            Buffer("left", "input", shape, dtype),
            Buffer("right", "input", shape, dtype),
            Buffer("output", "output", shape, dtype),
        )

    def expression(self, workload: Add, args: Tensors) -> Compute:
        """The sum."""
        if workload.arithmetic == "integer":
            return lambda i: saturated(args["left"][i] + args["right"][i])
        return lambda i: args["left"][i] + args["right"][i]


class AffineKernel(ElementwiseKernel[Affine]):
    """scale[c] * x + bias[c], perhaps the larger of it and zero."""

    def buffers(self, workload: Affine) -> tuple[Buffer, ...]:
        """Data (N * pixels, C), scale (C,), bias (C,) -> (N * pixels, C)."""
        shape = (workload.batch * workload.pixels, workload.channels)
        dtype = REAL_DTYPES[workload.arithmetic]
        factors = [Buffer(name, "constant", shape[1:], dtype) for name in ("scale", "bias")]
        factors = scale_buffers(shape[1:]) if workload.arithmetic == "integer" else factors
        return Buffer("data", "input", shape, dtype), *factors, Buffer("output", "output", shape, dtype)

    def expression(self, workload: Affine, args: Tensors) -> Compute:
        """Scaled and shifted."""

        def scaled(p: Expr, c: Expr) -> Expr:
            if workload.arithmetic == "integer":
                m, b, s = (args[each.name] for each in scale_buffers((workload.channels,)))
                return saturated(rescaled(args["data"][p, c], m[c], b[c], s[0]))
            return affine_output(args["data"][p, c], args["scale"][c], args["bias"][c])

        if workload.relu:
            return lambda p, c: rectified(scaled(p, c), workload.arithmetic)
        return scaled


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

    def expression(self, workload: AffineMap, args: Tensors) -> Compute:
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

    def expression(self, workload: Prelu, args: Tensors) -> Compute:
        """The value, or its multiple."""
        from tvm import tirx

        zero = tirx.const(0.0, "float32")

        def value(p: Expr, c: Expr) -> Expr:
            x = args["data"][p, c]
            return tirx.Select(x > zero, x, x * args["slope"][c])

        return value


kernels.add("quantize", QuantizeKernel())
kernels.add("relu", ReluKernel())
kernels.add("affine_map", AffineMapKernel())
kernels.add("prelu", PreluKernel())
kernels.add("relu6", Relu6Kernel())
kernels.add("scale_channels", ScaleChannelsKernel())
kernels.add("add", AddKernel())
kernels.add("affine", AffineKernel())

"""Codes of learned levels: each value is compared with thresholds, halfway between neighbouring levels.

``flip`` (bits, 2^bits) holds all ones or none: in column 0 the digits of the lowest level, in column i + 1
those that change where threshold i is reached. So levels may lie in any order of their digits.
"""

import numpy as np

from runtime.cpu import Cpu
from runtime.kernels import packing
from runtime.kernels.base import Buffer, Kernel, kernels, te_placeholders
from runtime.kernels.elementwise import ElementwiseKernel
from runtime.kernels.epilogue import LANES, ROUNDING, ROUNDING_BITS, fills_words
from runtime.kernels.intrinsics import lane_mask
from runtime.kernels.schedule import Tile, schedule_level_masks, schedule_packed
from runtime.tvm_types import Compute, Expr, PrimFunc, Tensors
from runtime.workload import LevelPack, Levels, Steps


class LevelsKernel(ElementwiseKernel[Levels]):
    """Data (size,) -> (size,), both float32."""

    def buffers(self, workload: Levels) -> tuple[Buffer, ...]:
        """Data, thresholds, levels, output."""
        w = workload
        return (
            Buffer("data", "input", (w.size,), "float32"),
            Buffer("threshold", "constant", ((1 << w.bits) - 1,), "float32"),
            Buffer("level", "constant", (1 << w.bits,), "float32"),
            Buffer("output", "output", (w.size,), "float32"),
        )

    def expression(self, workload: Levels, args: Tensors) -> Compute:
        """The level above the last threshold that is reached."""
        from tvm import tirx

        def level(i: Expr) -> Expr:
            found = args["level"][0]
            for step in range((1 << workload.bits) - 1):
                is_reached = args["data"][i] >= args["threshold"][step]
                found = tirx.Select(is_reached, args["level"][step + 1], found)
            return found

        return level


class StepsKernel(ElementwiseKernel[Steps]):
    """Data (size,) -> (size,), both float32; half goes to even, as in torch."""

    def buffers(self, workload: Steps) -> tuple[Buffer, ...]:
        """Data, output."""
        shape = (workload.size,)
        return Buffer("data", "input", shape, "float32"), Buffer("output", "output", shape, "float32")

    def expression(self, workload: Steps, args: Tensors) -> Compute:
        """Multiplied, clamped, rounded, multiplied again, by the numbers that training multiplies by."""
        from tvm import tirx

        def step(i: Expr) -> Expr:
            scale = np.float32(1) / np.float32(workload.highest)
            zero, most = tirx.const(0.0, "float32"), tirx.const(float(workload.highest), "float32")
            steps = args["data"][i] * tirx.const(float(np.float32(1) / scale), "float32")
            return rounded(tirx.max(tirx.min(steps, most), zero)) * tirx.const(float(scale), "float32")

        return step


def rounded(value: Expr) -> Expr:
    """A float32 below 2^22 as the nearest whole one; TVM does not vectorize its own rounding."""
    from tvm import tirx

    shifted = tirx.reinterpret("int32", value + tirx.const(ROUNDING, "float32"))
    return (shifted - tirx.const(ROUNDING_BITS, "int32")).astype("float32")


class LevelPackKernel(Kernel[LevelPack]):
    """Input (N, H, W, G, C/G) in float -> (N, H, W, G, words, bits) in uint32."""

    def buffers(self, workload: LevelPack) -> tuple[Buffer, ...]:
        """Data, thresholds, digits, packed output."""
        w = workload
        depth = w.channels // w.groups
        shape = (w.batch, w.height, w.width, w.groups, packing.words(depth), w.bits)
        return (
            Buffer("data", "input", (w.batch, w.height, w.width, w.groups, depth), "float32"),
            *level_buffers(w.bits),
            Buffer("output", "output", shape, "uint32"),
        )

    def prim_func(self, workload: LevelPack, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """By masks of 16 lanes where the CPU has them and they fill the words, else bit by bit."""
        if cpu.has_lane_mask and fills_words(workload.channels, workload.groups):
            return self._by_masks(workload)
        return self._by_bits(workload)

    def _by_masks(self, workload: LevelPack) -> PrimFunc:
        """For each 16 channels the comparisons, and a mask for each digit."""
        from tvm import te

        buffers = self.buffers(workload)
        args = te_placeholders(buffers)
        *outer, words, bits = buffers[-1].shape
        vectors = workload.channels // workload.groups // LANES
        halves = -(-vectors // words)  # masks of a word

        def digits(n: Expr, y: Expr, x: Expr, g: Expr, v: Expr, b: Expr, i: Expr) -> Expr:
            return digit(args, b, args["data"][n, y, x, g, v * LANES + i])

        mask = te.compute((*outer, vectors, bits, LANES), digits, name="mask")
        dtype = "uint32" if halves == 1 else "uint16"

        def packed(n: Expr, y: Expr, x: Expr, g: Expr, w: Expr, b: Expr, half: Expr) -> Expr:
            return lane_mask(mask[n, y, x, g, w * halves + half, b, 0]).astype(dtype)

        result = te.compute((*outer, words, bits, halves), packed, name="output")
        return schedule_level_masks(te.create_prim_func([*args.values(), result]), halves)

    def _by_bits(self, workload: LevelPack) -> PrimFunc:
        """One word at a time: the bits of its channels are summed."""
        from tvm import te, tirx

        buffers = self.buffers(workload)
        args, output = te_placeholders(buffers), buffers[-1]
        depth = workload.channels // workload.groups
        bit = te.reduce_axis((0, min(packing.WORD, depth)), "bit")
        zero, one = tirx.const(0, "uint32"), tirx.const(1, "uint32")

        def packed(n: Expr, y: Expr, x: Expr, g: Expr, w: Expr, b: Expr) -> Expr:
            c = w * packing.WORD + bit
            own = digit(args, b, args["data"][n, y, x, g, c]).astype("uint32") & one
            value = own << bit.var.astype("uint32")
            is_ragged = depth > packing.WORD and depth % packing.WORD
            return te.sum(tirx.if_then_else(c < depth, value, zero) if is_ragged else value, axis=bit)

        result = te.compute(output.shape, packed, name="output")
        return schedule_packed(te.create_prim_func([*args.values(), result]))


def level_buffers(bits: int) -> list[Buffer]:
    """Thresholds and digits of levels."""
    return [
        Buffer("threshold", "constant", ((1 << bits) - 1,), "float32"),
        Buffer("flip", "constant", (bits, 1 << bits), "int8"),
    ]


def digit(args: Tensors, bit: Expr | int, value: Expr) -> Expr:
    """A digit of a value's level as an int8: all ones, or none."""
    from tvm import tirx

    zero = tirx.const(0, "int8")
    found = args["flip"][bit, 0]
    for step in range(int(args["threshold"].shape[0])):
        is_reached = value >= args["threshold"][step]
        found = found ^ tirx.Select(is_reached, args["flip"][bit, step + 1], zero)
    return found


kernels.add("levels", LevelsKernel())
kernels.add("steps", StepsKernel())
kernels.add("level_pack", LevelPackKernel())

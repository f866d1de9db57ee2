"""Codes of learned levels: each value is compared with thresholds, halfway between neighbouring levels.

``digit`` (bits, 16) holds all ones or none: in column i the digits of the i-th level from below. So levels
may lie in any order of their digits. Columns without a level hold none.
"""

from math import prod

import numpy as np

from runtime.cpu import Cpu
from runtime.kernels import packing
from runtime.kernels.base import Buffer, Kernel, kernels
from runtime.kernels.elementwise import ElementwiseKernel
from runtime.kernels.epilogue import ROUNDING, ROUNDING_BITS
from runtime.kernels.level_words import LANES, TABLE, LevelWords
from runtime.kernels.loops import loop
from runtime.kernels.schedule import Tile
from runtime.tvm_types import Compute, Expr, PrimFunc, Stmt, Tensors, TirBuffer
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
        """Data, thresholds, digits, perhaps scale and bias (G, C/G), packed output."""
        w = workload
        depth = w.channels // w.groups
        shape = (w.batch, w.height, w.width, w.groups, packing.words(depth), w.bits)
        affine = ("scale", "bias") if w.affine else ()
        return (
            Buffer("data", "input", (w.batch, w.height, w.width, w.groups, depth), "float32"),
            Buffer("threshold", "constant", ((1 << w.bits) - 1,), "float32"),
            Buffer("digit", "constant", (w.bits, TABLE), "uint8"),
            *(Buffer(name, "constant", (w.groups, depth), "float32") for name in affine),
            Buffer("output", "output", shape, "uint32"),
        )

    def prim_func(self, workload: LevelPack, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """By look-ups where the CPU has them and channels fill a vector, else bit by bit."""
        from tvm import te, tirx

        *inputs, output = self.buffers(workload)
        depth = workload.channels // workload.groups
        rows, size = prod(inputs[0].shape) // depth, prod(output.shape)
        sources = [te.placeholder((prod(b.shape),), b.dtype, name=b.name) for b in inputs]

        def statement(ins: list[TirBuffer], outs: list[TirBuffer]) -> Stmt:
            data, threshold, digit, *affine = ins
            shape = depth, workload.groups, workload.bits
            words = LevelWords(*shape, data, threshold, digit, outs[0], tuple(affine))
            row = words.by_lookups if packs_by_lookups(depth, cpu) else words.by_bits
            return loop(rows, row, tirx.ForKind.PARALLEL)

        declared = {  # of offset zero, which TVM would else keep as an unknown
            "in_buffers": [tirx.decl_buffer(s.shape, s.dtype, s.op.name) for s in sources],
            "out_buffers": [tirx.decl_buffer((size,), output.dtype, "packed")],
        }
        packed = te.extern((size,), sources, statement, name="output", dtype=output.dtype, **declared)
        return te.create_prim_func([*sources, packed])


def packs_by_lookups(depth: int, cpu: Cpu) -> bool:
    """Whether levels of ``depth`` channels of a group become bits by vectors."""
    return cpu.has_lane_mask and cpu.has_byte_lookups and depth >= LANES


kernels.add("levels", LevelsKernel())
kernels.add("steps", StepsKernel())
kernels.add("level_pack", LevelPackKernel())

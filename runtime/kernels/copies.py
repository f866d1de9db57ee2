"""Kernels that copy rows of numbers in one piece: concatenate, slice."""

from itertools import accumulate

from runtime.cpu import Cpu
from runtime.kernels.base import Buffer, Kernel, kernels
from runtime.kernels.fixed_point import REAL_DTYPES
from runtime.kernels.loops import in_turn, loop
from runtime.kernels.padding import stores
from runtime.kernels.schedule import Tile
from runtime.tvm_types import Expr, PrimFunc, Stmt, TirBuffer
from runtime.workload import Concat, Slice


class ConcatKernel(Kernel[Concat]):
    """Side by side along the channels, pixel by pixel; any number of channels is copied in vectors."""

    def buffers(self, workload: Concat) -> tuple[Buffer, ...]:
        """Data (N * pixels, C_i) for each i -> (N * pixels, sum C_i)."""
        pixels, dtype = workload.batch * workload.pixels, REAL_DTYPES[workload.arithmetic]
        inputs = [
            Buffer(f"data{i}", "input", (pixels, channels), dtype)
            for i, channels in enumerate(workload.channels)
        ]
        return (*inputs, Buffer("output", "output", (pixels, sum(workload.channels)), dtype))

    def prim_func(self, workload: Concat, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Each input's row goes behind those of the inputs before it."""
        starts = [0, *accumulate(workload.channels)]
        return _copying(self.buffers(workload), [(start, 0) for start in starts[:-1]])


class SliceKernel(Kernel[Slice]):
    """Some channels of each pixel."""

    def buffers(self, workload: Slice) -> tuple[Buffer, ...]:
        """Data (N * pixels, C) -> (N * pixels, count)."""
        pixels, dtype = workload.batch * workload.pixels, REAL_DTYPES[workload.arithmetic]
        return (
            Buffer("data", "input", (pixels, workload.channels), dtype),
            Buffer("output", "output", (pixels, workload.count), dtype),
        )

    def prim_func(self, workload: Slice, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Those from the first one wanted on."""
        return _copying(self.buffers(workload), [(0, workload.start)])


def _copying(buffers: tuple[Buffer, ...], places: list[tuple[int, int]]) -> PrimFunc:
    """A function that copies the rows of inputs to rows of an output, all of the shorter of both.

    ``places`` are where an input's part of a row starts, in the output's row and in its own.
    """
    from tvm import te, tirx

    *inputs, output = buffers
    rows, width = output.shape

    def statement(ins: list[TirBuffer], outs: list[TirBuffer]) -> Stmt:
        def row(p: Expr) -> Stmt:
            parts = []
            for source, buffer, (start, first) in zip(ins, inputs, places, strict=True):
                own = buffer.shape[1]

                def number(j: Expr, source: TirBuffer = source, begin: Expr = p * own + first) -> Expr:
                    return source[begin + j]

                parts += stores(outs[0], p * width + start, min(own, width), number, output.dtype)
            return in_turn(parts)

        return loop(rows, row, tirx.ForKind.PARALLEL)

    sources = [te.placeholder((rows * b.shape[1],), b.dtype, name=b.name) for b in inputs]
    declared = {  # of offset zero, which TVM would else keep as an unknown
        "in_buffers": [tirx.decl_buffer(s.shape, s.dtype, f"source{i}") for i, s in enumerate(sources)],
        "out_buffers": [tirx.decl_buffer((rows * width,), output.dtype, "joined")],
    }
    copied = te.extern((rows * width,), sources, statement, name="output", dtype=output.dtype, **declared)
    return te.create_prim_func([*sources, copied])


kernels.add("concat", ConcatKernel())
kernels.add("slice", SliceKernel())

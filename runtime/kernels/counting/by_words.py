"""Counting in words of 32 bits, one for each lane: by an instruction where the CPU has one."""

from runtime.kernels.counting.base import Counting, Counts, sums
from runtime.kernels.covering import Grid, reuses_rows
from runtime.kernels.padding import Image, tap_axes
from runtime.kernels.reading import reader
from runtime.kernels.schedule import Tile, tiles
from runtime.kernels.weight_layouts import planes_of
from runtime.tvm_types import Expr, IterVar, Tensors
from runtime.workload import BitserialConv2d


class WordCounting(Counting):
    """A word of the image is broadcast, and meets that of each output channel."""

    def tiles(self, workload: BitserialConv2d, columns: int, vectors: int) -> list[Tile]:
        """Those that fill the registers."""
        held = sums(workload) + reuses_rows(workload)
        return tiles(self.cpu, columns, vectors, held, planes_of(workload).stored(workload))

    def counted(self, workload: BitserialConv2d, grid: Grid, data: Image, args: Tensors) -> Counts:
        """How many bits differ, for each plane that is kept apart."""
        from tvm import te

        *pixels, vectors, width = grid.shape
        read = reader(grid, data, self.cpu)
        window, layout, weight = workload.window, planes_of(workload), args["weight"]
        ky, kx = tap_axes(window)
        c = te.reduce_axis((0, data.shape[-2]), "c")

        def count(n: Expr, y: Expr, x: Expr, o: Expr, p: Expr, i: Expr) -> Expr:
            pixel = n, *window.pixel(y, grid.columns.at(x), ky, kx)

            def inputs(plane: Expr) -> Expr:
                return read(pixel, o, i, (c, plane))

            def weights(plane: Expr) -> Expr:
                return weight[o, ky, kx, c, plane, i]

            differing = layout.differing(workload, p, inputs, weights)
            return self.summed(differing, [ky, kx, c])

        counted = te.compute((*pixels, vectors, sums(workload), width), count, name="accumulate")
        return Counts(counted, 3)

    def summed(self, word: Expr, axis: list[IterVar]) -> Expr:
        """The sum over ``axis`` of the bits of a uint32."""
        from tvm import te, tirx

        return te.sum(tirx.popcount(word).astype("int32"), axis=axis)

"""Convolution and dense kernels over packed signs: popcount in place of multiply-add.

For x and w in {-1, +1} of length M packed as bits, x . w = M - 2 popcount(x ^ w). A ternary weight is two
planes of bits. With one scale they say where it is not 0 and where it is -1, and one sum is enough:
x . w = popcount(nonzero) - 2 popcount((x ^ negative) & nonzero). With TTQ's two scales they say where it is
+1 and where it is -1; over each plane p, x . p = popcount(p) - 2 popcount(x & p), and the sums stay apart:
their difference is the product with the codes, times (W^p + W^n) / 2, their sum that with the codes' sizes,
times (W^p - W^n) / 2. So equal scales give whole numbers times one scale, and no rounding tips a zero.

Codes of n bits are planes of signs, s_0 + 2 s_1 + 4 s_2 + ...: all evenly spaced levels are that, times a
step, plus a shift that goes into the bias. Each pair of planes is a binary convolution of its own.

LQ-Net's weights are v_0 s_0 + v_1 s_1 + ..., and its inputs u_0 a_0 + u_1 a_1 + ... with each a 0 or 1. For
a plane a of these and a plane of signs s, a . s = popcount(a ^ s) - popcount(s), where a set bit is a 1 of a
and a -1 of s. As ``2 popcount(s) - 2 popcount(a ^ s)`` times ``-u v / 2`` it is the same code; padding is 0.
"""

from typing import Any

from numpy.typing import NDArray

from runtime.cpu import Cpu
from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer, ByChannel, Kernel, kernels, te_placeholders
from runtime.kernels.convolution import grid_of, image_shapes
from runtime.kernels.counting import counting_for, sums
from runtime.kernels.covering import Grid, reuses_rows
from runtime.kernels.epilogue import (
    Stages,
    epilogue_constants,
    epilogue_inputs,
    epilogue_outputs,
    finish,
    write_bits,
)
from runtime.kernels.padding import flat_placeholder, pad_rows
from runtime.kernels.schedule import Tile, schedule_tiled
from runtime.kernels.weight_layouts import planes_of
from runtime.tvm_types import Compute, Expr, PrimFunc, Tensors
from runtime.workload import BitserialConv2d, BitserialDense


def compares_counts(workload: BitserialConv2d) -> bool:
    """Whether a count of differing bits alone decides each output bit, so that nothing is scaled."""
    w = workload
    is_plain = w.threshold in ("zero", "channel") and not w.residual and not w.also_float
    is_single = sums(w) == 1 and not w.digits
    return w.output == "binary" and is_plain and is_single and w.activation == "none"


class BitserialConv2dKernel(Kernel[BitserialConv2d]):
    """Vector lanes run over output channels, words over input channels; padding counts as +1."""

    def buffers(self, workload: BitserialConv2d) -> tuple[Buffer, ...]:
        """Input (N, H, W, G, words, bits), residual, weight planes, ... -> (N, Ho, Wo, O).

        ``total`` (O/lanes, planes, lanes) counts the weights in each plane that are not zero. Where counts
        alone decide the output's bits, ``limit`` (O/lanes, lanes) stands in place of totals, scales and bias:
        a bit is set where more than that many bits differ.
        """
        w = workload
        grid = grid_of(w)
        vectors, width = grid.vectors.shape
        depth = packing.words(w.in_channels // w.groups)
        image, _ = image_shapes(w)
        planes = (vectors, sums(w), width)
        data = (w.groups, depth, w.input_bits)
        found = [Buffer("data", "input", (w.batch, *image, *data), "uint32")]
        found += epilogue_inputs(w, grid)
        taps = (vectors, *w.window.taps, depth, planes_of(w).stored(w), width)
        found.append(Buffer("weight", "constant", taps, "uint32"))
        if compares_counts(w):
            found.append(Buffer("limit", "constant", (vectors, width), "int32"))
        else:
            found.append(Buffer("total", "constant", planes, "int32"))
            found.append(Buffer("scale", "constant", planes, "float32"))
            found.append(Buffer("bias", "constant", (vectors, width), "float32"))
            found += epilogue_constants(w, grid)
        if w.window.is_padded:
            padded = (w.batch, *w.window.padded(w.height, w.width), *data)
            found.append(Buffer("padded", "scratch", padded, "uint32"))
        return (*found, *epilogue_outputs(w, grid))

    def arguments(self, workload: BitserialConv2d, cpu: Cpu) -> tuple[Buffer, ...]:
        """``buffers``, with what the CPU's way of counting takes in place of the weights."""
        counting, found = counting_for(workload, cpu), list[Buffer]()
        for buffer in self.buffers(workload):
            found += counting.constants(workload, buffer) if buffer.name == "weight" else [buffer]
        return tuple(found)

    def arrange(self, workload: BitserialConv2d, cpu: Cpu, constants: Constants) -> Constants:
        """As the CPU's way of counting takes them."""
        return counting_for(workload, cpu).arrange(workload, constants)

    def arrange_weight(self, workload: BitserialConv2d, cpu: Cpu, weight: NDArray[Any]) -> NDArray[Any]:
        """As the CPU's way of counting takes them."""
        found: NDArray[Any] = counting_for(workload, cpu).arrange(workload, {"weight": weight})["weight"]
        return found

    def by_channel(self, workload: BitserialConv2d, cpu: Cpu) -> ByChannel:
        """As the CPU's way of counting takes them."""
        (weight,) = (b for b in self.buffers(workload) if b.name == "weight")
        return counting_for(workload, cpu).by_channel(workload, weight)

    def prim_func(self, workload: BitserialConv2d, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Pad, count in registers, compare or scale."""
        from tvm import te

        counting = counting_for(workload, cpu)
        data_buffer, *buffers = self.arguments(workload, cpu)
        args = te_placeholders(buffers)
        tile = tile or self.tiles(workload, cpu)[0]
        grid = grid_of(workload, tile)
        image = data = flat_placeholder("data", counting.image_shape(data_buffer.shape), counting.image_dtype)
        if workload.window.is_padded:
            data = pad_rows(image, workload.window, 0)
        counts = counting.counted(workload, grid, data, args)
        stages = self._finish(workload, cpu, grid, args, lambda *index: counting.number(counts.tensor[index]))
        padded = [data.tensor] if workload.window.is_padded else []
        func = te.create_prim_func([image.tensor, *args.values(), *padded, *stages.results])
        reuses = reuses_rows(workload)
        scheduled = schedule_tiled(
            func, tile, counts.reductions, stages.tensors, narrow=counts.narrow, unrolls_row=reuses
        )
        return stages.place(scheduled)

    def tiles(self, workload: BitserialConv2d, cpu: Cpu) -> list[Tile]:
        """Pixels of a row times vectors of output channels."""
        grid = grid_of(workload)
        return counting_for(workload, cpu).tiles(workload, grid.columns.extent, grid.vectors.group.count)

    @staticmethod
    def _finish(workload: BitserialConv2d, cpu: Cpu, grid: Grid, args: Tensors, count: Compute) -> Stages:
        """The stages after ``count``, the number of bits at (n, y, x, o, plane, i)."""
        if compares_counts(workload):
            return write_bits(
                workload, cpu, grid, lambda n, y, x, o, i: count(n, y, x, o, 0, i) > args["limit"][o, i]
            )

        def scaled(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
            # The integer dot products come first, so that a true zero is an exact zero for the next sign.
            dots = [args["total"][o, p, i] - 2 * count(n, y, x, o, p, i) for p in range(sums(workload))]
            value = args["bias"][o, i]
            for p, product in reversed(list(enumerate(planes_of(workload).products(workload, dots)))):
                value = product.astype("float32") * args["scale"][o, p, i] + value
            return value

        return finish(workload, cpu, grid, args, scaled)

    def macs(self, workload: BitserialConv2d) -> int:
        """N * Ho * Wo * O * (C / groups) * taps."""
        w = workload
        pixels = w.batch * w.out_height * w.out_width
        return pixels * w.out_channels * (w.in_channels // w.groups) * w.window.count


class BitserialDenseKernel(Kernel[BitserialDense]):
    """A dense layer is a 1x1 convolution of one row of pixels, one for each image of the batch."""

    @staticmethod
    def as_convolution(workload: BitserialDense) -> BitserialConv2d:
        """The convolution that computes the same."""
        w = workload
        spatial = (1, 1, w.batch, 1, 1, 0)
        sums = *spatial, w.in_features, w.out_features, 1, w.weight, w.symmetric, w.input_bits, w.weight_bits
        return BitserialConv2d(*sums, relu=w.relu, activation=w.activation, digits=w.digits)

    def buffers(self, workload: BitserialDense) -> tuple[Buffer, ...]:
        """Those of the convolution."""
        return BitserialConv2dKernel().buffers(self.as_convolution(workload))

    def prim_func(self, workload: BitserialDense, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """That of the convolution."""
        return BitserialConv2dKernel().prim_func(self.as_convolution(workload), cpu, tile)

    def arguments(self, workload: BitserialDense, cpu: Cpu) -> tuple[Buffer, ...]:
        """Those of the convolution."""
        return BitserialConv2dKernel().arguments(self.as_convolution(workload), cpu)

    def arrange(self, workload: BitserialDense, cpu: Cpu, constants: Constants) -> Constants:
        """As the convolution does."""
        return BitserialConv2dKernel().arrange(self.as_convolution(workload), cpu, constants)

    def tiles(self, workload: BitserialDense, cpu: Cpu) -> list[Tile]:
        """Those of the convolution."""
        return BitserialConv2dKernel().tiles(self.as_convolution(workload), cpu)

    def arrange_weight(self, workload: BitserialDense, cpu: Cpu, weight: NDArray[Any]) -> NDArray[Any]:
        """As the convolution does."""
        return BitserialConv2dKernel().arrange_weight(self.as_convolution(workload), cpu, weight)

    def by_channel(self, workload: BitserialDense, cpu: Cpu) -> ByChannel:
        """As the convolution's lie."""
        return BitserialConv2dKernel().by_channel(self.as_convolution(workload), cpu)

    def macs(self, workload: BitserialDense) -> int:
        """N * in * out."""
        return workload.batch * workload.in_features * workload.out_features


kernels.add("bitserial_conv2d", BitserialConv2dKernel())
kernels.add("bitserial_dense", BitserialDenseKernel())

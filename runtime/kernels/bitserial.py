"""Convolution and dense kernels over packed signs: popcount in place of multiply-add.

For x and w in {-1, +1} of length M packed as bits, x . w = M - 2 popcount(x ^ w). A ternary weight is two
planes of bits, where it is +1 and where it is -1; over each plane p, x . p = popcount(p) - 2 popcount(x & p),
and the two sums are kept apart because TTQ scales them by W^p and W^n.
"""

from typing import Any

from runtime.kernels import packing
from runtime.kernels.base import Buffer, Kernel, kernels, lanes, te_placeholders
from runtime.kernels.convolution import pad_spatial, rectified
from runtime.kernels.schedule import choose_tile, schedule_tiled
from runtime.target import Cpu
from runtime.workload import BitserialConv2d, BitserialDense


def planes(workload: BitserialConv2d) -> int:
    """Bit planes of the weights: one for binary, two for ternary."""
    return 2 if workload.weight == "ternary" else 1


class BitserialConv2dKernel(Kernel[BitserialConv2d]):
    """Vector lanes run over output channels, words over input channels; padding counts as +1."""

    def buffers(self, workload: BitserialConv2d) -> tuple[Buffer, ...]:
        """Input (N, H, W, G, words), weight planes, counts, scales, bias -> (N, Ho, Wo, O/lanes, lanes).

        ``total`` (O/lanes, planes, lanes) counts the weights in each plane that are not zero.
        """
        w = workload
        width = lanes(w.out_channels // w.groups)
        vectors, depth = w.out_channels // width, packing.words(w.in_channels // w.groups)
        flat = w.kernel == 1 and w.stride == 1 and w.padding == 0
        image = (1, w.height * w.width) if flat else (w.height, w.width)
        out = (1, w.height * w.width) if flat else (w.out_height, w.out_width)
        found = [
            Buffer("data", "input", (w.batch, *image, w.groups, depth), "uint32"),
            Buffer("weight", "constant", (vectors, w.kernel, w.kernel, depth, planes(w), width), "uint32"),
            Buffer("total", "constant", (vectors, planes(w), width), "int32"),
            Buffer("scale", "constant", (vectors, planes(w), width), "float32"),
            Buffer("bias", "constant", (vectors, width), "float32"),
        ]
        if w.padding:
            padded = (w.batch, w.height + 2 * w.padding, w.width + 2 * w.padding, w.groups, depth)
            found.append(Buffer("padded", "scratch", padded, "uint32"))
        found.append(Buffer("output", "output", (w.batch, *out, vectors, width), "float32"))
        return tuple(found)

    def prim_func(self, workload: BitserialConv2d, cpu: Cpu) -> Any:
        """Pad, count in registers, scale."""
        from tvm import te

        buffers = self.buffers(workload)
        args, output = te_placeholders(buffers), buffers[-1]
        data, prepare = args["data"], {}
        if workload.padding:
            data = prepare["padded"] = pad_spatial(data, workload.padding, 0)
        counted = self._count(workload, data, args["weight"], output)

        def scaled(n: Any, y: Any, x: Any, o: Any, i: Any) -> Any:
            # The integer dot product comes first, so that a true zero is an exact zero for the next sign.
            value = args["bias"][o, i]
            for p in range(planes(workload)):
                dot = args["total"][o, p, i] - 2 * counted[n, y, x, o, p, i]
                value = dot.astype("float32") * args["scale"][o, p, i] + value
            return rectified(value) if workload.relu else value

        result = te.compute(output.shape, scaled, name="output")
        func = te.create_prim_func([*args.values(), *prepare.values(), result])
        _, _, columns, vectors, _ = output.shape
        tile = choose_tile(cpu, columns, vectors // workload.groups, planes(workload))
        return schedule_tiled(func, tile, reductions=3, prepare=tuple(prepare))

    def _count(self, workload: BitserialConv2d, data: Any, weight: Any, output: Buffer) -> Any:
        from tvm import te, tirx

        n, rows, columns, vectors, width = output.shape
        vectors_per_group = vectors // workload.groups
        ky, kx = (te.reduce_axis((0, workload.kernel), name) for name in ("ky", "kx"))
        c = te.reduce_axis((0, int(data.shape[4])), "c")
        s, ternary = workload.stride, workload.weight == "ternary"

        def count(n: Any, y: Any, x: Any, o: Any, p: Any, i: Any) -> Any:
            bits, plane = (
                data[n, y * s + ky, x * s + kx, o // vectors_per_group, c],
                weight[o, ky, kx, c, p, i],
            )
            differing = bits & plane if ternary else bits ^ plane
            return te.sum(tirx.popcount(differing).astype("int32"), axis=[ky, kx, c])

        return te.compute((n, rows, columns, vectors, planes(workload), width), count, name="accumulate")

    def macs(self, workload: BitserialConv2d) -> int:
        """N * Ho * Wo * O * (C / groups) * K * K."""
        w = workload
        pixels = w.batch * w.out_height * w.out_width
        return pixels * w.out_channels * (w.in_channels // w.groups) * w.kernel**2


class BitserialDenseKernel(Kernel[BitserialDense]):
    """A dense layer is a 1x1 convolution of a one-pixel image."""

    @staticmethod
    def as_convolution(workload: BitserialDense) -> BitserialConv2d:
        """The convolution that computes the same."""
        w = workload
        return BitserialConv2d(w.batch, 1, 1, 1, 1, 0, w.in_features, w.out_features, 1, w.weight, w.relu)

    def buffers(self, workload: BitserialDense) -> tuple[Buffer, ...]:
        """Those of the convolution."""
        return BitserialConv2dKernel().buffers(self.as_convolution(workload))

    def prim_func(self, workload: BitserialDense, cpu: Cpu) -> Any:
        """That of the convolution."""
        return BitserialConv2dKernel().prim_func(self.as_convolution(workload), cpu)

    def macs(self, workload: BitserialDense) -> int:
        """N * in * out."""
        return workload.batch * workload.in_features * workload.out_features


kernels.add("bitserial_conv2d", BitserialConv2dKernel())
kernels.add("bitserial_dense", BitserialDenseKernel())

"""Depthwise convolution: vector lanes run over the channels, each with its own filter.

A depthwise filter has only K*K weights, too few for popcount to pay: low-bit inputs and weights are decoded
to float while the image is padded, where the sums stay exact integers.
"""

from typing import Any

from runtime.kernels import packing
from runtime.kernels.base import Buffer, Kernel, kernels, lanes, te_placeholders
from runtime.kernels.convolution import CODE_BITS, DTYPES, affine_output, decode_codes, pad_spatial
from runtime.kernels.schedule import choose_tile, schedule_tiled
from runtime.target import Cpu
from runtime.workload import DepthwiseConv2d


class DepthwiseConv2dKernel(Kernel[DepthwiseConv2d]):
    """Float, int8, ternary or binary weights over float, int8 or packed binary inputs."""

    def buffers(self, workload: DepthwiseConv2d) -> tuple[Buffer, ...]:
        """Input (N, H, W, C/lanes, lanes) or packed (N, H, W, words), weight, scales, bias -> output."""
        w = workload
        width = lanes(w.channels)
        vectors = w.channels // width
        image = (w.batch, w.height, w.width)
        if w.input == "binary":
            found = [Buffer("data", "input", (*image, packing.words(w.channels)), "uint32")]
        else:
            found = [Buffer("data", "input", (*image, vectors, width), DTYPES[w.input])]
        taps = (vectors, w.kernel, w.kernel, 1, width)
        per_channel = (vectors, width)
        if w.weight in CODE_BITS:
            count = packing.words(w.kernel * w.kernel, CODE_BITS[w.weight])
            found.append(Buffer("weight", "constant", (vectors, count, width), "uint32"))
            found += [Buffer(n, "constant", per_channel, "float32") for n in ("positive", "negative")]
        else:
            found.append(Buffer("weight", "constant", taps, DTYPES[w.weight]))
        found += [Buffer(n, "constant", per_channel, "float32") for n in ("scale", "bias")]
        if w.padding or w.input == "binary":
            padded = (w.batch, w.height + 2 * w.padding, w.width + 2 * w.padding, vectors, width)
            found.append(Buffer("padded", "scratch", padded, DTYPES.get(w.input, "float32")))
        if w.weight in CODE_BITS:
            found.append(Buffer("decoded", "scratch", taps, "float32"))
        found.append(
            Buffer("output", "output", (w.batch, w.out_height, w.out_width, *per_channel), "float32")
        )
        return tuple(found)

    def prim_func(self, workload: DepthwiseConv2d, cpu: Cpu) -> Any:
        """Pad and decode, accumulate in registers, scale."""
        from tvm import te

        buffers = self.buffers(workload)
        args, output = te_placeholders(buffers), buffers[-1]
        prepare = {}
        data, weight = args["data"], args["weight"]
        if workload.input == "binary":
            data = prepare["padded"] = decode_signs(workload, data)
        elif workload.padding:
            data = prepare["padded"] = pad_spatial(data, workload.padding, 0)
        if workload.weight in CODE_BITS:
            taps = next(b.shape for b in buffers if b.name == "decoded")
            scales = args["positive"], args["negative"]
            weight = prepare["decoded"] = decode_codes(weight, *scales, CODE_BITS[workload.weight], taps)
        ky, kx = (te.reduce_axis((0, workload.kernel), name) for name in ("ky", "kx"))
        s, dtype = workload.stride, "int32" if workload.input in ("int8", "uint8") else "float32"
        accumulated = te.compute(
            output.shape,
            lambda n, y, x, o, i: te.sum(
                data[n, y * s + ky, x * s + kx, o, i].astype(dtype) * weight[o, ky, kx, 0, i].astype(dtype),
                axis=[ky, kx],
            ),
            name="accumulate",
        )
        result = te.compute(
            output.shape,
            lambda n, y, x, o, i: affine_output(
                accumulated[n, y, x, o, i], args["scale"][o, i], args["bias"][o, i], workload.relu
            ),
            name="output",
        )
        func = te.create_prim_func([*args.values(), *prepare.values(), result])
        tile = choose_tile(cpu, workload.out_width, output.shape[3])
        return schedule_tiled(func, tile, reductions=2, prepare=tuple(prepare))

    def macs(self, workload: DepthwiseConv2d) -> int:
        """N * Ho * Wo * C * K * K."""
        w = workload
        return w.batch * w.out_height * w.out_width * w.channels * w.kernel**2


def decode_signs(workload: DepthwiseConv2d, data: Any) -> Any:
    """Packed bits (N, H, W, words) -> padded +-1 in float (N, H + 2P, W + 2P, C/lanes, lanes)."""
    from tvm import te, tirx

    w = workload
    width = lanes(w.channels)
    one = tirx.const(1, "float32")

    def decoded(n: Any, y: Any, x: Any, v: Any, i: Any) -> Any:
        channel = v * width + i
        inside = tirx.all(y >= w.padding, y < w.height + w.padding, x >= w.padding, x < w.width + w.padding)
        word = data[n, y - w.padding, x - w.padding, v * width // 32]
        bit = (word >> (channel % 32).astype("uint32")) & tirx.const(1, "uint32")
        return tirx.if_then_else(inside, one - 2 * bit.astype("float32"), one)

    shape = (w.batch, w.height + 2 * w.padding, w.width + 2 * w.padding, w.channels // width, width)
    return te.compute(shape, decoded, name="padded")


kernels.add("depthwise_conv2d", DepthwiseConv2dKernel())

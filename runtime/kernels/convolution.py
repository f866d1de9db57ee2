"""Convolution and dense kernels over float and int8 values, with float, int8, ternary or binary weights."""

from typing import Any

from runtime.kernels import packing
from runtime.kernels.base import Buffer, Kernel, kernels, lanes, te_placeholders
from runtime.kernels.schedule import choose_tile, schedule_tiled
from runtime.target import Cpu
from runtime.workload import Conv2d, Dense

DTYPES = {"float": "float32", "uint8": "uint8", "int8": "int8"}
CODE_BITS = {"ternary": 2, "binary": 1}


def affine_output(accumulated: Any, scale: Any, bias: Any, relu: bool) -> Any:
    """``scale * accumulated + bias`` in float32, then perhaps a ReLU."""
    value = accumulated.astype("float32") * scale + bias
    return rectified(value) if relu else value


def rectified(value: Any) -> Any:
    """max(0, x) with the operands in the order that lets a NaN through, as torch does."""
    from tvm import tirx

    return tirx.max(tirx.const(0, "float32"), value)


def is_pointwise(workload: Conv2d) -> bool:
    """Whether each output pixel reads just its own input pixel, so that an image is one long row."""
    return workload.kernel == 1 and workload.stride == 1 and workload.padding == 0


class Conv2dKernel(Kernel[Conv2d]):
    """Vector lanes run over output channels; the padded image and decoded weights lie in scratch memory."""

    def buffers(self, workload: Conv2d) -> tuple[Buffer, ...]:
        """Input (N, H, W, G, C/G), weight, scales, bias -> output (N, Ho, Wo, O/lanes, lanes)."""
        w = workload
        width = lanes(w.out_channels // w.groups)
        vectors, depth = w.out_channels // width, w.in_channels // w.groups
        image = (1, w.height * w.width) if is_pointwise(w) else (w.height, w.width)
        out = (1, w.height * w.width) if is_pointwise(w) else (w.out_height, w.out_width)
        dtype = DTYPES[w.input]
        found = [Buffer("data", "input", (w.batch, *image, w.groups, depth), dtype)]
        taps = (vectors, w.kernel, w.kernel, depth, width)
        if w.weight in CODE_BITS:
            count = packing.words(w.kernel * w.kernel * depth, CODE_BITS[w.weight])
            found.append(Buffer("weight", "constant", (vectors, count, width), "uint32"))
            found += [Buffer(n, "constant", (vectors, width), "float32") for n in ("positive", "negative")]
        else:
            found.append(Buffer("weight", "constant", taps, DTYPES[w.weight]))
        found += [Buffer(n, "constant", (vectors, width), "float32") for n in ("scale", "bias")]
        if w.padding:
            padded = (w.batch, w.height + 2 * w.padding, w.width + 2 * w.padding, w.groups, depth)
            found.append(Buffer("padded", "scratch", padded, dtype))
        if w.weight in CODE_BITS:
            found.append(Buffer("decoded", "scratch", taps, "float32"))
        found.append(Buffer("output", "output", (w.batch, *out, vectors, width), "float32"))
        return tuple(found)

    def prim_func(self, workload: Conv2d, cpu: Cpu) -> Any:
        """Pad, decode, accumulate in registers, scale."""
        from tvm import te

        buffers = self.buffers(workload)
        args, output = te_placeholders(buffers), buffers[-1]
        prepare = {}
        data, weight = args["data"], args["weight"]
        if workload.padding:
            data = prepare["padded"] = pad_spatial(data, workload.padding, 0)
        if workload.weight in CODE_BITS:
            taps = next(b.shape for b in buffers if b.name == "decoded")
            scales = args["positive"], args["negative"]
            weight = prepare["decoded"] = decode_codes(weight, *scales, CODE_BITS[workload.weight], taps)
        accumulated = self._accumulate(workload, data, weight, output)
        result = te.compute(
            output.shape,
            lambda n, y, x, o, i: affine_output(
                accumulated[n, y, x, o, i], args["scale"][o, i], args["bias"][o, i], workload.relu
            ),
            name="output",
        )
        func = te.create_prim_func([*args.values(), *prepare.values(), result])
        _, _, columns, vectors, _ = output.shape
        tile = choose_tile(cpu, columns, vectors // workload.groups)
        return schedule_tiled(func, tile, reductions=3, prepare=tuple(prepare))

    def _accumulate(self, workload: Conv2d, data: Any, weight: Any, output: Buffer) -> Any:
        from tvm import te

        *_, depth, _ = weight.shape
        dtype = "float32" if workload.input == "float" else "int32"
        vectors_per_group = output.shape[3] // workload.groups
        ky, kx = (te.reduce_axis((0, workload.kernel), name) for name in ("ky", "kx"))
        c = te.reduce_axis((0, depth), "c")
        s = workload.stride
        return te.compute(
            output.shape,
            lambda n, y, x, o, i: te.sum(
                data[n, y * s + ky, x * s + kx, o // vectors_per_group, c].astype(dtype)
                * weight[o, ky, kx, c, i].astype(dtype),
                axis=[ky, kx, c],
            ),
            name="accumulate",
        )

    def macs(self, workload: Conv2d) -> int:
        """N * Ho * Wo * O * (C / groups) * K * K."""
        w = workload
        pixels = w.batch * w.out_height * w.out_width
        return pixels * w.out_channels * (w.in_channels // w.groups) * w.kernel**2


class DenseKernel(Kernel[Dense]):
    """A dense layer is a 1x1 convolution of a one-pixel image."""

    @staticmethod
    def as_convolution(workload: Dense) -> Conv2d:
        """The convolution that computes the same."""
        w = workload
        return Conv2d(w.batch, 1, 1, 1, 1, 0, w.in_features, w.out_features, 1, w.weight, w.input, w.relu)

    def buffers(self, workload: Dense) -> tuple[Buffer, ...]:
        """Those of the convolution."""
        return Conv2dKernel().buffers(self.as_convolution(workload))

    def prim_func(self, workload: Dense, cpu: Cpu) -> Any:
        """That of the convolution."""
        return Conv2dKernel().prim_func(self.as_convolution(workload), cpu)

    def macs(self, workload: Dense) -> int:
        """N * in * out."""
        return workload.batch * workload.in_features * workload.out_features


def pad_spatial(data: Any, padding: int, value: float, name: str = "padded") -> Any:
    """Surround the second and third axis of ``data`` (N, H, W, ...) with ``value``."""
    from tvm import te, tirx

    n, height, width, *rest = (int(d) for d in data.shape)

    def padded(i: Any, y: Any, x: Any, *others: Any) -> Any:
        inside = tirx.all(y >= padding, y < height + padding, x >= padding, x < width + padding)
        return tirx.if_then_else(
            inside, data[(i, y - padding, x - padding, *others)], tirx.const(value, str(data.dtype))
        )

    return te.compute((n, height + 2 * padding, width + 2 * padding, *rest), padded, name=name)


def decode_codes(packed: Any, positive: Any, negative: Any, bits: int, taps: tuple[int, ...]) -> Any:
    """Packed codes (O/lanes, words, lanes) -> float weights of shape ``taps`` (O/lanes, K, K, C, lanes).

    Two-bit codes 0, 1, 2 stand for 0, +W^p, -W^n (TTQ, equation 1); one-bit codes 0, 1 for the latter two.
    """
    from tvm import te, tirx

    _, kernel, _, depth, _ = taps
    per_word = 32 // bits

    def decoded(o: Any, ky: Any, kx: Any, c: Any, i: Any) -> Any:
        position = (ky * kernel + kx) * depth + c
        shifted = packed[o, position // per_word, i] >> (position % per_word * bits).astype("uint32")
        code = shifted & tirx.const((1 << bits) - 1, "uint32")
        is_one, plus, minus = code == tirx.const(1, "uint32"), positive[o, i], -negative[o, i]
        if bits == 1:
            return tirx.Select(is_one, minus, plus)
        unless_plus = tirx.Select(code == tirx.const(2, "uint32"), minus, tirx.const(0, "float32"))
        return tirx.Select(is_one, plus, unless_plus)

    return te.compute(taps, decoded, name="decoded")


kernels.add("conv2d", Conv2dKernel())
kernels.add("dense", DenseKernel())

"""Every kernel family does what a kernel must, on random odd shapes and at the edges, against numpy."""

import numpy as np
import pytest
from tvm import te

from runtime import workload as w
from runtime.kernels import kernels, packing
from runtime.kernels.curves import rectified
from runtime.kernels.elementwise import ReluKernel
from runtime.testing import Case, KernelConformance
from tests.runtime import references
from tests.runtime import test_convolutions as convolutions
from tests.runtime import test_layer_kernels as layer_kernels
from tests.runtime.harness import pack_images, run_kernel

CHANNELS = (1, 3, 16, 17, 31, 32, 33, 48, 64, 100)


def normal(random, *shape):
    return random.standard_normal(shape, np.float32)


def number(random, low, high):
    """A whole number, both ends included."""
    return int(random.integers(low, high, endpoint=True))


def one_of(random, *values):
    return values[random.integers(len(values))]


def image(random, channels=None):
    """Batch, height, width, channels."""
    return (
        number(random, 1, 3),
        number(random, 1, 9),
        number(random, 1, 9),
        channels or one_of(random, *CHANNELS),
    )


class Elementwise(KernelConformance):
    """A family whose kernel maps numbers one by one."""

    def drawn(self, random):
        """Batch, pixels, channels, and an array of that shape."""
        shape = number(random, 1, 3), number(random, 1, 60), one_of(random, *CHANNELS)
        return *shape, normal(random, *shape)


class TestRelu(Elementwise):
    def case(self, random):
        batch, *_, x = self.drawn(random)
        return Case(w.Relu(batch, x.size), {"data": x}, np.maximum(x, 0))


class TestRelu6(Elementwise):
    def case(self, random):
        batch, *_, x = self.drawn(random)
        return Case(w.Relu6(batch, x.size), {"data": 6 * x}, np.clip(6 * x, 0, 6))


class TestAdd(Elementwise):
    def case(self, random):
        batch, *_, x = self.drawn(random)
        y = normal(random, *x.shape)
        return Case(w.Add(batch, x.size), {"left": x, "right": y}, x + y)


class TestSigmoid(Elementwise):
    rtol = 1e-5

    def case(self, random):
        batch, *_, x = self.drawn(random)
        return Case(w.Sigmoid(batch, x.size), {"data": 6 * x}, 1 / (1 + np.exp(-6 * x.astype(np.float64))))


class TestAffine(Elementwise):
    rtol, atol = 1e-5, 1e-5

    def case(self, random):
        *shape, x = self.drawn(random)
        scale, bias = normal(random, 2, shape[-1])
        work, found = w.Affine(*shape, relu=bool(random.integers(2))), x * scale + bias
        expected = np.maximum(found, 0) if work.relu else found
        return Case(work, {"data": x, "scale": scale, "bias": bias}, expected)


class TestAffineMap(Elementwise):
    rtol, atol = 1e-5, 1e-5

    def case(self, random):
        *shape, x = self.drawn(random)
        scale, bias = normal(random, *shape[1:]), normal(random, shape[-1])
        return Case(w.AffineMap(*shape), {"data": x, "scale": scale, "bias": bias}, x * scale + bias)


class TestPrelu(Elementwise):
    def case(self, random):
        *shape, x = self.drawn(random)
        slope = normal(random, shape[-1])
        return Case(w.Prelu(*shape), {"data": x, "slope": slope}, np.where(x > 0, x, x * slope))


class TestScaleChannels(Elementwise):
    def case(self, random):
        *shape, x = self.drawn(random)
        factor = normal(random, shape[0], shape[-1])
        return Case(w.ScaleChannels(*shape), {"data": x, "factor": factor}, x * factor[:, None])


class TestGlobalAvgPool(Elementwise):
    rtol, atol = 1e-4, 1e-5

    def case(self, random):
        *shape, x = self.drawn(random)
        return Case(w.GlobalAvgPool(*shape), {"data": x}, x.mean(axis=1))


class TestConcat(Elementwise):
    def case(self, random):
        batch, pixels, *_ = self.drawn(random)
        channels = tuple(one_of(random, *CHANNELS) for _ in range(number(random, 2, 4)))
        parts = [normal(random, batch, pixels, c) for c in channels]
        arguments = {f"data{i}": part for i, part in enumerate(parts)}
        return Case(w.Concat(batch, pixels, channels), arguments, np.concatenate(parts, axis=-1))


class TestChannelShuffle(KernelConformance):
    def case(self, random):
        groups = number(random, 1, 4)
        batch, height, width, depth = image(random)
        x = normal(random, batch, height, width, depth * groups)
        work = w.ChannelShuffle(batch, height * width, depth * groups, groups)
        return Case(work, {"data": x}, references.channel_shuffle(x, groups))


class TestInterleave(KernelConformance):
    def case(self, random):
        batch, height, width, depth = image(random)
        groups, stride = number(random, 1, 3), (number(random, 1, 3), number(random, 1, 3))
        whole = height * stride[0], width * stride[1]
        start = tuple(number(random, 0, side - 1) for side in whole)
        size = tuple(number(random, 1, side - first) for side, first in zip(whole, start, strict=True))
        x = normal(random, batch, height, width, groups * stride[0] * stride[1] * depth)
        work = w.Interleave(batch, height, width, groups * depth, groups, stride, start, size)
        return Case(work, {"data": x}, references.interleave(x, groups, stride, start, size))


class TestToNhwc(KernelConformance):
    def case(self, random):
        shape = image(random)
        x = normal(random, *shape)
        return Case(w.ToNhwc(*shape), {"data": np.ascontiguousarray(x.transpose(0, 3, 1, 2))}, x)


class TestToNchw(KernelConformance):
    def case(self, random):
        shape = image(random)
        x = normal(random, *shape)
        return Case(w.ToNchw(*shape), {"data": x}, x.transpose(0, 3, 1, 2))


class TestSubsample(KernelConformance):
    def case(self, random):
        x, stride, added = normal(random, *image(random)), number(random, 1, 3), number(random, 0, 40)
        expected = np.pad(x[:, ::stride, ::stride], [(0, 0)] * 3 + [(0, added)])
        return Case(w.Subsample(*x.shape, stride, added), {"data": x}, expected)


class TestQuantize(KernelConformance):
    def case(self, random):
        code, inverse = one_of(random, "uint8", "int8"), np.float32(random.uniform(10, 100))
        x = (10 * normal(random, number(random, 1, 300))).astype(np.float32)
        if random.integers(2):
            inverse = np.float32(2.0) ** np.floor(np.log2(inverse))
            x[::3] = (np.round(x[::3] * inverse) + 0.5) / inverse  # halves go to the even neighbour
        zero = {"output_zero": random.integers(0, 256, 1)} if code == "int8" else {}
        expected = np.clip(np.round(x * inverse) + zero.get("output_zero", 0), 0, 255)
        return Case(w.Quantize(1, x.size, code), {"data": x, "inverse_step": inverse, **zero}, expected)


class TestSignPack(KernelConformance):
    examples = 10

    def case(self, random):
        kind, groups = one_of(random, "zero", "channel", "position", "element"), one_of(random, 1, 2, 4)
        batch, height, width, depth = image(random)
        x = normal(random, batch, height, width, depth * groups)
        x[random.random(x.shape) < 0.1] = 0  # zeros are +1, and stand everywhere behind a ReLU
        plane = (height, width) if kind in ("position", "element") else (1, 1)
        threshold = normal(random, *plane, depth * groups if kind in ("channel", "element") else 1)
        if kind != "zero":
            x[0] = np.where(random.random(x[0].shape) < 0.3, threshold, x[0])  # ties are +1
        given = {} if kind == "zero" else {"threshold": threshold}
        signs = references.signs(x, threshold if given else 0.0)
        return Case(w.SignPack(*x.shape, groups, kind), {"data": x, **given}, pack_images(signs, groups))


def drawn_levels(random, bits):
    """Thresholds, and numbers some of which reach one exactly."""
    thresholds = np.sort(normal(random, (1 << bits) - 1))
    return thresholds, lambda x: np.where(random.random(x.shape) < 0.2, random.choice(thresholds, x.shape), x)


class TestLevels(Elementwise):
    def case(self, random):
        (batch, *_, x), bits = self.drawn(random), int(random.integers(1, 4))
        thresholds, tied = drawn_levels(random, bits)
        x, level = tied(x).astype(np.float32), normal(random, 1 << bits)
        given = {"data": x, "threshold": thresholds, "level": level}
        return Case(w.Levels(batch, x.size, bits), given, level[(x[..., None] >= thresholds).sum(axis=-1)])


class TestSteps(Elementwise):
    def case(self, random):
        batch, *_, x = self.drawn(random)
        steps = np.clip(np.round(x * np.float32(65535)), 0, 65535).astype(np.float32)
        return Case(w.Steps(batch, x.size, 65535), {"data": x}, steps * (np.float32(1) / np.float32(65535)))


class TestLevelPack(KernelConformance):
    examples = 10

    def case(self, random):
        groups, bits = one_of(random, 1, 2, 4), int(random.integers(1, 4))
        batch, height, width, depth = image(random)
        thresholds, tied = drawn_levels(random, bits)
        x = tied(normal(random, batch, height, width, depth * groups)).astype(np.float32)
        given, is_affine = {"data": x, "threshold": thresholds}, bool(random.integers(2))
        if is_affine:  # powers of two, so that ties stay ties, and no bias rounds
            scale = 2.0 ** random.integers(-2, 3, depth * groups) * random.choice([-1, 1], depth * groups)
            bias = np.where(random.random(depth * groups) < 0.5, 0, 4.0)
            given |= {"data": ((x - bias) / scale).astype(np.float32), "scale": scale, "bias": bias}
            x = (given["data"] * scale + bias).astype(np.float32)
        digits = random.integers(0, 2, (1 << bits, bits))  # of each level
        found = digits[(x[..., None] >= thresholds).sum(axis=-1)]  # (N, H, W, C, bits)
        planes = [pack_images(1 - 2 * found[..., bit], groups) for bit in range(bits)]
        given["digit"] = np.pad(255 * digits.T, ((0, 0), (0, 16 - len(digits))))
        work = w.LevelPack(*x.shape, groups, bits, affine=is_affine)
        return Case(work, given, np.stack(planes, axis=-1))


class Pool(KernelConformance):
    examples = 4

    def drawn(self, random):
        """An image, its shape, and a window as workloads and references take it."""

        def two(low, high):
            rows = number(random, low, high)
            return (rows, rows) if random.integers(2) else (rows, number(random, low, high))

        kernel, stride, dilation = two(1, 5), two(1, 3), two(1, 3)
        extent = [(taps - 1) * gap + 1 for taps, gap in zip(kernel, dilation, strict=True)]
        top, left, bottom, right = (number(random, 0, taps // 2) for taps in (*kernel, *kernel))
        height, width = (number(random, each, each + 6) for each in extent)
        x = normal(random, number(random, 1, 3), height, width, one_of(random, *CHANNELS))
        window = {"kernel": kernel, "stride": stride, "padding": (top, left, bottom, right)}
        return x, x.shape[:3], {**window, "dilation": dilation}


class TestAvgPool(Pool):
    rtol, atol = 1e-4, 1e-5

    def case(self, random):
        x, shape, window = self.drawn(random)
        del window["dilation"]
        uncounted = tuple(number(random, 0, side) for side in window["padding"])
        window |= one_of(random, {}, {"uncounted": uncounted}, {"divisor": number(random, 1, 9)})
        work = w.AvgPool2d(*shape, channels=x.shape[-1], **window)
        return Case(work, {"data": x}, references.avg_pool(x, **window))


class TestMaxPool(Pool):
    def case(self, random):
        x, shape, window = self.drawn(random)
        work = w.MaxPool2d(*shape, channels=x.shape[-1], **window)
        return Case(work, {"data": x}, references.max_pool(x, **window))


class TestMaxPoolOfBytes(Pool):
    def case(self, random):
        x, shape, window = self.drawn(random)
        found = random.integers(0, 256, x.shape, np.uint8)
        work = w.MaxPool2d(*shape, channels=x.shape[-1], code="byte", **window)
        return Case(work, {"data": found}, references.max_pool(found, **window))


class TestMaxPoolOfSigns(Pool):
    """Of mixed ones, some channels take the smallest sign."""

    def case(self, random):
        x, shape, window = self.drawn(random)
        signs, is_mixed = references.signs(x), bool(random.integers(2))
        smallest = (random.random(x.shape[-1]) < 0.5) & is_mixed
        turned = np.where(smallest, -1, 1)
        expected = turned * references.max_pool(turned * signs, **window)
        words = pack_images(signs)
        work = w.MaxPool2d(*shape, channels=words.shape[-1], code="binary", mixed=is_mixed, **window)
        given = {"smallest": packing.pack_codes(smallest, 1)} if is_mixed else {}
        return Case(work, {"data": words, **given}, pack_images(expected))


class Reversed(ReluKernel):
    def buffers(self, workload):
        return super().buffers(workload)[::-1]


class Allocating(ReluKernel):
    def prim_func(self, workload, cpu, tile=None):
        data = te.placeholder((workload.size,), "float32", name="data")
        between = te.compute(data.shape, lambda i: rectified(data[i]), name="between")
        return te.create_prim_func([data, te.compute(data.shape, lambda i: between[i], name="output")])


class Negating(ReluKernel):
    def expression(self, workload, args):
        return lambda i: -args["data"][i]


class OfText(TestRelu):
    """With a field that a key does not tell from a number."""

    def case(self, random):
        return Case(w.Relu(1, "5"), {}, np.zeros(5))


@pytest.mark.parametrize(
    ("kernel", "suite", "test", "message"),
    [
        (Reversed, TestRelu, "test_arguments_are_in_order", "outputs are the last"),
        (Allocating, TestRelu, "test_functions_take_the_buffers", "it allocates memory"),
        (Negating, TestRelu, "test_every_schedule_computes_what_is_expected", "Not equal"),
        (ReluKernel, OfText, "test_a_key_names_each_workload", "is read as another workload"),
    ],
)
def test_the_suite_finds_what_a_kernel_must_not_do(monkeypatch, kernel, suite, test, message):
    monkeypatch.setitem(kernels._things, "relu", kernel())
    with pytest.raises(AssertionError, match=message):
        getattr(suite(), test)()


def test_every_family_conforms():
    suites = [*vars(convolutions).values(), *vars(layer_kernels).values(), *globals().values()]
    named = [s for s in suites if isinstance(s, type) and s.__name__.startswith("Test")]
    found = {suite().case(np.random.default_rng(0)).workload.family for suite in named}
    assert found == set(kernels)


@pytest.mark.parametrize("pixels", [256, 257, 3136, 256**2 + 3])
def test_the_mean_of_many_equal_numbers(pixels):
    x = np.repeat(np.random.default_rng(0).uniform(0.5, 1.5, (2, 1, 20)), pixels, axis=1).astype(np.float32)
    found = run_kernel(w.GlobalAvgPool(2, pixels, 20), data=x)
    np.testing.assert_allclose(found.reshape(2, 20), x[:, 0], rtol=1e-5)  # one after the other: 7e-4


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(300, 1, 0), (64, 8, 9), (17, 3, 2)])
def test_the_means_of_large_windows(kernel, stride, padding):
    x = np.random.default_rng(0).uniform(100, 101, (1, kernel + 3, kernel + 9, 3)).astype(np.float32)
    window = {"kernel": kernel, "stride": stride, "padding": padding}
    mean = references.avg_pool(x.astype(np.float64), **window)
    found = run_kernel(w.AvgPool2d(1, *x.shape[1:3], kernel, stride, padding, 3), data=x)
    np.testing.assert_allclose(found.reshape(mean.shape), mean, rtol=3e-6)  # one after the other: 2e-5


def test_the_sigmoid_of_large_numbers():
    x = np.array([-1e30, -200, -90, 0, 90, 200, 1e30], np.float32)
    found = run_kernel(w.Sigmoid(1, x.size), data=x).reshape(-1)
    np.testing.assert_allclose(found, [0, 0, 0, 0.5, 1, 1, 1], atol=1e-30)


@pytest.mark.parametrize("bits", range(2, 9))
def test_bytes_of_fewer_levels(bits):
    x = np.linspace(-0.3, 1.3, 401, dtype=np.float32)
    highest = 2**bits - 1
    work = w.Quantize(1, x.size, f"uint{bits}")
    found = run_kernel(work, data=x, inverse_step=np.array([highest], np.float32))
    np.testing.assert_array_equal(found, np.clip(np.round(x * np.float32(highest)), 0, highest))

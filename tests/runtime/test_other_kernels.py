"""Sign-and-pack, quantize, pooling, add, concatenation, shuffle and layout kernels against numpy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import workload as w
from runtime.kernels import packing
from tests.runtime import references
from tests.runtime.harness import pack_images, run_kernel

CHANNELS = st.sampled_from([1, 3, 16, 17, 31, 32, 33, 64, 100])
KERNELS = settings(max_examples=20, deadline=None, derandomize=True)
SIDES, BATCHES, SEEDS = st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(["zero", "channel", "position", "element"])


@KERNELS
@given(BATCHES, SIDES, SIDES, CHANNELS, st.sampled_from([1, 2, 4]), KINDS, SEEDS)
def test_sign_pack(batch, height, width, depth, groups, kind, seed):
    values, channels = np.random.default_rng(seed), depth * groups
    x = values.standard_normal((batch, height, width, channels), np.float32)
    x[values.random(x.shape) < 0.1] = 0  # zeros are +1, and stand everywhere behind a ReLU
    plane = (height, width) if kind in ("position", "element") else (1, 1)
    per_channel = channels if kind in ("channel", "element") else 1
    threshold = values.standard_normal((*plane, per_channel), np.float32) if kind != "zero" else 0.0
    if kind != "zero":
        x[0] = np.where(values.random(x[0].shape) < 0.3, threshold, x[0])  # ties are +1
    table = {} if kind == "zero" else {"threshold": threshold}
    found = run_kernel(w.SignPack(batch, height, width, channels, groups, kind), data=x, **table)
    unpacked = references.unpack_signs(found, groups, depth)
    np.testing.assert_array_equal(unpacked, references.signs(x, threshold))
    unused = found.shape[-1] * 32 - depth
    assert not (found[..., -1] >> np.uint32(32 - unused)).any() or not unused, "unused bits must be zero"


@KERNELS
@given(st.integers(1, 300), st.sampled_from(["uint8", "int8"]), SEEDS)
def test_quantize(size, code, seed):
    values = np.random.default_rng(seed)
    inverse = np.float32(values.uniform(10, 100))
    x = values.normal(0, 10, size).astype(np.float32)
    inverse = np.float32(2.0) ** np.floor(np.log2(inverse)) if seed % 2 else inverse
    x[::3] = (np.round(x[::3] * inverse) + 0.5) / inverse  # halves go to the even neighbour
    zero = {"output_zero": values.integers(0, 256, 1)} if code == "int8" else {}
    found = run_kernel(w.Quantize(1, size, code), data=x, inverse_step=inverse, **zero)
    expected = np.clip(np.round(x * inverse) + zero.get("output_zero", 0), 0, 255)
    np.testing.assert_array_equal(found, expected)


@st.composite
def pools(draw):
    kernel = draw(st.integers(1, 5))
    padding = draw(st.integers(0, kernel // 2))
    height, width = (draw(st.integers(kernel, kernel + 6)) for _ in range(2))
    return draw(BATCHES), height, width, kernel, draw(st.integers(1, 3)), padding, draw(CHANNELS)


@KERNELS
@given(pools(), SEEDS)
def test_pooling(shape, seed):
    batch, height, width, kernel, stride, padding, channels = shape
    x = np.random.default_rng(seed).standard_normal((batch, height, width, channels), np.float32)
    window = {"kernel": kernel, "stride": stride, "padding": padding}
    largest, mean = references.max_pool(x, **window), references.avg_pool(x, **window)
    np.testing.assert_array_equal(run_kernel(w.MaxPool2d(*shape), data=x).reshape(largest.shape), largest)
    bytes_ = np.random.default_rng(seed).integers(0, 256, x.shape, np.uint8)
    found = run_kernel(w.MaxPool2d(*shape, "byte"), data=bytes_)
    np.testing.assert_array_equal(found.ravel(), references.max_pool(bytes_, **window).ravel())
    signs = np.where(x < 0, -1, 1)
    words, smallest = pack_images(signs), np.random.default_rng(seed).random(channels) < 0.5
    bits = w.MaxPool2d(*shape[:-1], words.shape[-1], "binary")
    found = run_kernel(bits, data=words)
    np.testing.assert_array_equal(found.ravel(), pack_images(references.max_pool(signs, **window)).ravel())
    found = run_kernel(replace(bits, mixed=True), data=words, smallest=packing.pack_codes(smallest, 1))
    turned = np.where(smallest, -1, 1)
    expected = turned * references.max_pool(turned * signs, **window)
    np.testing.assert_array_equal(found.ravel(), pack_images(expected).ravel())
    found = run_kernel(w.AvgPool2d(*shape), data=x).reshape(mean.shape)
    np.testing.assert_allclose(found, mean, rtol=1e-4, atol=1e-5)


@KERNELS
@given(BATCHES, st.integers(1, 60), CHANNELS, SEEDS)
def test_global_pool_affine_add_relu(batch, pixels, channels, seed):
    values = np.random.default_rng(seed)
    x, y = values.standard_normal((2, batch, pixels, channels), np.float32)
    scale, bias = values.standard_normal((2, channels), np.float32)
    found = run_kernel(w.GlobalAvgPool(batch, pixels, channels), data=x)
    np.testing.assert_allclose(found.reshape(batch, channels), x.mean(axis=1), rtol=1e-4, atol=1e-5)
    found = run_kernel(w.Affine(batch, pixels, channels), data=x, scale=scale, bias=bias)
    np.testing.assert_allclose(found.reshape(x.shape), x * scale + bias, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(run_kernel(w.Add(batch, x.size), left=x, right=y).reshape(x.shape), x + y)
    np.testing.assert_array_equal(
        run_kernel(w.Relu(batch, x.size), data=x).reshape(x.shape), np.maximum(x, 0)
    )


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


@KERNELS
@given(BATCHES, st.integers(1, 30), st.lists(CHANNELS, min_size=2, max_size=4), SEEDS)
def test_concat(batch, pixels, channels, seed):
    values = np.random.default_rng(seed)
    parts = [values.standard_normal((batch * pixels, c), np.float32) for c in channels]
    inputs = {f"data{i}": part for i, part in enumerate(parts)}
    found = run_kernel(w.Concat(batch, pixels, tuple(channels)), **inputs)
    np.testing.assert_array_equal(found.reshape(batch * pixels, -1), np.concatenate(parts, axis=1))


@KERNELS
@given(BATCHES, SIDES, SIDES, CHANNELS, st.sampled_from([1, 2, 3, 4]), SEEDS)
def test_shuffle_and_layouts(batch, height, width, depth, groups, seed):
    channels = depth * groups
    x = np.random.default_rng(seed).standard_normal((batch, height, width, channels), np.float32)
    found = run_kernel(w.ChannelShuffle(batch, height * width, channels, groups), data=x)
    np.testing.assert_array_equal(found.reshape(x.shape), references.channel_shuffle(x, groups))
    nchw = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(run_kernel(w.ToNhwc(batch, height, width, channels), data=nchw), x)
    np.testing.assert_array_equal(run_kernel(w.ToNchw(batch, height, width, channels), data=x), nchw)


@KERNELS
@given(BATCHES, st.integers(1, 60), CHANNELS, SEEDS)
def test_relu6_sigmoid_and_scaled_channels(batch, pixels, channels, seed):
    values = np.random.default_rng(seed)
    x = (6 * values.standard_normal((batch, pixels, channels))).astype(np.float32)
    found = run_kernel(w.Relu6(batch, x.size), data=x).reshape(x.shape)
    np.testing.assert_array_equal(found, np.clip(x, 0, 6))
    found = run_kernel(w.Sigmoid(batch, x.size), data=x).reshape(x.shape)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-x.astype(np.float64))), rtol=1e-5)
    factor = values.standard_normal((batch, channels), np.float32)
    found = run_kernel(w.ScaleChannels(batch, pixels, channels), data=x, factor=factor)
    np.testing.assert_array_equal(found.reshape(x.shape), x * factor[:, None])


def test_the_sigmoid_of_large_numbers():
    x = np.array([-1e30, -200, -90, 0, 90, 200, 1e30], np.float32)
    found = run_kernel(w.Sigmoid(1, x.size), data=x).reshape(-1)
    np.testing.assert_allclose(found, [0, 0, 0, 0.5, 1, 1, 1], atol=1e-30)


@KERNELS
@given(BATCHES, SIDES, SIDES, CHANNELS, st.integers(1, 3), st.integers(0, 40), SEEDS)
def test_subsample(batch, height, width, channels, stride, added, seed):
    x = np.random.default_rng(seed).standard_normal((batch, height, width, channels), np.float32)
    work = w.Subsample(batch, height, width, channels, stride, added)
    found = run_kernel(work, data=x)
    expected = np.pad(x[:, ::stride, ::stride], [(0, 0)] * 3 + [(0, added)])
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@KERNELS
@given(BATCHES, st.integers(1, 60), CHANNELS, SEEDS)
def test_prelu_and_affine_maps(batch, pixels, channels, seed):
    values = np.random.default_rng(seed)
    x = values.standard_normal((batch, pixels, channels), np.float32)
    slope, bias = values.standard_normal((2, channels), np.float32)
    found = run_kernel(w.Prelu(batch, pixels, channels), data=x, slope=slope)
    np.testing.assert_array_equal(found.reshape(x.shape), np.where(x > 0, x, x * slope))
    scale = values.standard_normal((pixels, channels), np.float32)
    found = run_kernel(w.AffineMap(batch, pixels, channels), data=x, scale=scale, bias=bias)
    np.testing.assert_allclose(found.reshape(x.shape), x * scale + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", range(2, 9))
def test_bytes_of_fewer_levels(bits):
    x = np.linspace(-0.3, 1.3, 401, dtype=np.float32)
    highest = 2**bits - 1
    work = w.Quantize(1, x.size, f"uint{bits}")
    found = run_kernel(work, data=x, inverse_step=np.array([highest], np.float32))
    np.testing.assert_array_equal(found, np.clip(np.round(x * np.float32(highest)), 0, highest))

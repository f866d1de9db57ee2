"""Kernels without floats: to the bit what numpy's integers give, and whole int8 networks made of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import runtime
import runtime.workload as w
import search_spaces
from runtime.formats.c_source import kernel_source
from runtime.kernels import packing
from runtime.kernels.base import kernel_for
from runtime.kernels.covering import Vectors
from runtime.kernels.epilogue import STEPS
from runtime.lowering import lower
from runtime.lowering.integers import factors
from search_spaces import precisions
from search_spaces.layers import QuantConv2d, QuantLinear
from tests.runtime import references
from tests.runtime.harness import TARGETS, run_kernel, trained

SOME = settings(max_examples=16, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
SHAPE = (2, 5, 7)  # images, rows, columns
WEIGHTS = {"int8": (-127, 128), "ternary": (-1, 2), "dorefa8": (-128, 128)}
"""What is stored of a weight: the lowest, and one more than the highest."""


def scale_constants(values, channels, shift):
    """Factors and biases of both signs, for sums that a shift brings to the size of codes."""
    multiplier = values.integers(-(2**30), 2**30, channels)
    bias = values.integers(-(2**20), 2**20, channels) << int(shift)
    return {"multiplier": multiplier, "bias": bias + (1 << int(shift) - 1), "shift": np.array([shift])}


@st.composite
def endings(draw):
    output = draw(st.sampled_from(["float", "uint8", "int8", "uint3", "int7"]))
    fields = draw(st.sampled_from([{}, {"relu": True}, {"activation": "relu6"}]))
    fields = {**fields, "residual": draw(st.booleans()), "output": output}
    return fields if output == "float" else {**fields, "also_float": draw(st.booleans())}


def in_lanes(vectors, constants):
    """The same with factors and biases as the lanes of all vectors have them."""
    lanes = {name: constants[name][vectors.order()] for name in ("multiplier", "bias")}
    return {**constants, **lanes}


def finished(workload, total, constants):
    """The outputs of a kernel by name, from its sums (N, H, W, C)."""
    scales = (constants[name] for name in ("multiplier", "bias", "shift"))
    found, highest = references.rescaled(total, *scales), STEPS.get(workload.output)
    if not (workload.residual or workload.output == "float" or workload.also_float):
        return [np.clip(found, constants.get("output_zero", 0), constants.get("output_most", highest))]
    found = found + constants["residual"] if workload.residual else found
    found = np.clip(found, -references.LIMIT, references.LIMIT)
    found = np.maximum(found, 0) if workload.relu else found
    found = np.clip(found, 0, constants["six"]) if workload.activation == "relu6" else found
    if workload.output == "float":
        return [found]
    steps = (constants[f"code_{name}"] for name in ("multiplier", "bias", "shift"))
    codes = np.clip(references.rescaled(found, *steps), 0, highest)
    return [found, codes] if workload.also_float else [codes]


def ending_constants(workload, values, shape):
    """Whatever the kernel asks for behind its sums."""
    made = {
        "residual": lambda: values.integers(-(2**29), 2**29, shape),
        "output_zero": lambda: values.integers(0, STEPS[workload.output] // 2, 1),
        "output_most": lambda: values.integers(STEPS[workload.output] // 2, STEPS[workload.output] + 1, 1),
        "six": lambda: values.integers(0, references.LIMIT, 1),
        "code_multiplier": lambda: values.integers(1, 2**30, 1),
        "code_bias": lambda: values.integers(0, 2**45, 1),
        "code_shift": lambda: values.integers(30, 50, 1),
        "zero_point": lambda: values.integers(0, w.HIGHEST_BYTE[workload.input] + 1, 1),
    }
    return {b.name: made[b.name]() for b in kernel_for(workload).buffers(workload) if b.name in made}


def check(found, expected):
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(expected)
    for own, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own.reshape(right.shape), right)


def values_of(values, code, kind, image, window):
    """Bytes and stored weights, at random or all at their ends, where sums of products are largest."""
    lowest, highest = WEIGHTS[kind]
    if values.integers(3):
        return values.integers(0, w.HIGHEST_BYTE[code] + 1, image), values.integers(lowest, highest, window)
    by_output = (window[0], 1, 1, 1)
    return np.full(image, w.HIGHEST_BYTE[code]), np.tile(
        values.choice([lowest, highest - 1], by_output), (1, *window[1:])
    )


def drawn_window(values):
    """A window of 3x3 or 5x5, or one of any shape."""
    if values.integers(2):
        size = int(values.choice([3, 5]))
        return {
            "kernel": (size, size),
            "stride": int(values.integers(1, 3)),
            "padding": size // 2,
            "dilation": 1,
        }

    def several(count, low, high):
        return tuple(int(n) for n in values.integers(low, high + 1, count))

    kernel, stride, dilation = several(2, 1, 3), several(2, 1, 2), several(2, 1, 2)
    return {"kernel": kernel, "stride": stride, "padding": several(4, 0, 2), "dilation": dilation}


@SOME
@given(endings(), st.sampled_from(TARGETS), st.sampled_from(list(w.HIGHEST_BYTE)), SEEDS)
def test_convolutions_of_bytes(fields, target, code, seed):
    values = np.random.default_rng(seed)
    depth, channels = int(values.choice([1, 3, 6, 8, 72, 268])), int(values.choice([3, 16, 40]))
    window, kind = drawn_window(values), values.choice(list(WEIGHTS))
    kernel = window.pop("kernel")
    x, stored = values_of(values, code, kind, (*SHAPE, depth), (channels, depth, *kernel))
    weight = 2 * stored + 1 if kind == "dorefa8" else stored
    options = {"weight": str(kind), "input": code, **fields, "arithmetic": "integer"}
    sizes = {"in_channels": depth, "out_channels": channels, "groups": 1}
    work = w.Conv2d(*SHAPE, kernel, **window, **sizes, **options)
    constants = scale_constants(values, channels, values.integers(20, 46))
    constants |= ending_constants(work, values, (SHAPE[0], work.out_height, work.out_width, channels))
    pack = packing.pack_ternary_quads if kind == "ternary" else packing.pack_quads
    vectors = Vectors(channels)
    packed = pack(stored[vectors.order()], vectors.width)
    offset = -weight.sum(axis=(1, 2, 3))[vectors.order()]
    if kind == "dorefa8":  # bytes of zero that fill up quads stand for 1
        offset -= work.window.count * (-depth % packing.QUAD)
    found = run_kernel(work, target, data=x, weight=packed, offset=offset, **in_lanes(vectors, constants))
    total = references.conv2d(x - constants.get("zero_point", 0), weight, **window)
    check(found, finished(work, total, constants))


@SOME
@given(endings(), st.sampled_from(TARGETS), st.sampled_from(list(w.HIGHEST_BYTE)), SEEDS)
def test_depthwise_convolutions_of_bytes(fields, target, code, seed):
    values = np.random.default_rng(seed)
    channels, window = int(values.choice([3, 16, 40])), drawn_window(values)
    kind, kernel = str(values.choice(["int8", "dorefa8"])), window.pop("kernel")
    x, stored = values_of(values, code, kind, (*SHAPE, channels), (channels, 1, *kernel))
    weight = 2 * stored + 1 if kind == "dorefa8" else stored
    options = {"channels": channels, "weight": kind, "input": code, **fields, "arithmetic": "integer"}
    work = w.DepthwiseConv2d(*SHAPE, kernel, **window, **options)
    constants = scale_constants(values, channels, values.integers(20, 46))
    constants |= ending_constants(work, values, (SHAPE[0], work.out_height, work.out_width, channels))
    vectors = Vectors(channels)
    packed = packing.lane_layout(stored[vectors.order()], vectors.width)
    found = run_kernel(work, target, data=x, weight=packed, **in_lanes(vectors, constants))
    meant = x - constants.get("zero_point", 0)
    total = references.conv2d(meant, weight, **window, groups=channels)
    check(found, finished(work, total, constants))


@pytest.mark.parametrize("target", TARGETS)
def test_dense_layers_of_bytes(target):
    values = np.random.default_rng(1)
    x, weight = values.integers(0, 256, (3, 33)), values.integers(-127, 128, (17, 33))
    constants = scale_constants(values, 17, 30)
    work = w.Dense(3, 33, 17, "int8", "uint8", relu=True, arithmetic="integer")
    vectors = Vectors(17)
    arranged = weight[vectors.order()]
    given = {"weight": packing.pack_quads(arranged[..., None, None], vectors.width)}
    given |= {"offset": -arranged.sum(axis=1), **in_lanes(vectors, constants)}
    found = run_kernel(work, target, data=x, **given)
    right = references.rescaled(x @ weight.T, *(constants[n] for n in ("multiplier", "bias", "shift")))
    assert np.abs(right).max() < references.LIMIT
    np.testing.assert_array_equal(found.reshape(3, 17), np.maximum(right, 0))


def fixed(values, shape):
    return values.integers(-references.LIMIT, references.LIMIT, shape, endpoint=True)


@pytest.mark.parametrize("target", TARGETS)
def test_what_lies_between_convolutions(target):
    values = np.random.default_rng(0)
    x, y = fixed(values, (2, 5, 7, 24)), fixed(values, (2, 5, 7, 24))
    size, integer = x[0].size, {"arithmetic": "integer"}

    def run(work, **arrays):
        return run_kernel(work, target, **arrays)

    np.testing.assert_array_equal(run(w.Relu(2, x.size, **integer), data=x), np.maximum(x, 0).ravel())
    clipped = np.clip(x, 0, 6 << 20).ravel()
    found = run(w.Relu6(2, x.size, **integer), data=x, six=np.array([6 << 20]))
    np.testing.assert_array_equal(found, clipped)
    total = np.clip(x + y, -references.LIMIT, references.LIMIT).ravel()
    np.testing.assert_array_equal(run(w.Add(2, x.size, **integer), left=x, right=y), total)
    constants = scale_constants(values, 24, 31)
    found = run(w.Affine(2, 35, 24, **integer), data=x, **constants)
    right = references.rescaled(x, *(constants[n] for n in ("multiplier", "bias", "shift")))
    right = np.clip(right, -references.LIMIT, references.LIMIT)
    np.testing.assert_array_equal(found.reshape(x.shape), right)
    found = run(w.ChannelShuffle(2, 35, 24, 3, **integer), data=x)
    np.testing.assert_array_equal(found.reshape(x.shape), references.channel_shuffle(x, 3))
    found = run(w.Concat(2, 35, (24, 24), **integer), data0=x, data1=y)
    np.testing.assert_array_equal(found.reshape(2, 5, 7, 48), np.concatenate([x, y], axis=-1))
    found = run(w.Subsample(2, 5, 7, 24, 2, 8, **integer), data=x)
    expected = np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, 8)))
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    found = run(w.MaxPool2d(2, 5, 7, 3, 2, 1, 24, **integer), data=x)
    np.testing.assert_array_equal(
        found.reshape(2, 3, 4, 24), references.max_pool(x, kernel=3, stride=2, padding=1)
    )
    for uncounted in (0, 1, (0, 1, 1, 0)):
        expected = references.avg_pool(x, kernel=3, stride=1, padding=1, uncounted=uncounted)
        work = w.AvgPool2d(2, 5, 7, 3, 1, 1, 24, uncounted=uncounted, **integer)
        found = run(work, data=x).reshape(x.shape)
        assert np.abs(found - expected).max() <= 0.5 + 9 * 2.0**-33 * references.LIMIT
    found = run(w.Interleave(2, 5, 7, 4, 1, (3, 2), (1, 1), (14, 12), **integer), data=x)
    expected = references.interleave(x, 1, (3, 2), (1, 1), (14, 12))
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    found = run(w.GlobalAvgPool(2, 35, 24, **integer), data=x).reshape(2, 24)
    assert np.abs(found - x.mean(axis=(1, 2))).max() <= 0.5 + 35 * 2.0**-33 * references.LIMIT
    codes = {f"code_{name}": value for name, value in scale_constants(values, 1, 40).items()}
    found = run(w.Quantize(1, size, "int8", **integer), data=x[0], **codes)
    steps = references.rescaled(x[0], *(codes[f"code_{n}"] for n in ("multiplier", "bias", "shift")))
    np.testing.assert_array_equal(found, np.clip(steps, 0, 255).ravel())


def test_the_fixed_point_mean_of_a_million_pixels():
    x = np.random.default_rng(0).integers(2**29, 2**29 + 2**20, (1_300_000, 2), np.int32)
    found = run_kernel(w.GlobalAvgPool(1, len(x), 2, arithmetic="integer"), data=x).reshape(2)
    np.testing.assert_allclose(found, x.mean(axis=0), rtol=2.0**-20)


def test_a_float_layer_may_write_fixed_point():
    x = np.float32([[0.5, -0.25, 1e9, -1e9, 3e-5, -3e-5]]).reshape(1, 1, 1, 6)
    unit = np.array([2.0**16])
    work = w.DepthwiseConv2d(1, 1, 1, 1, 1, 0, 6, "float", "float", arithmetic="integer")
    ones = np.ones(8, np.float32)  # a vector of eight lanes
    found = run_kernel(work, data=x, weight=ones, scale=ones, bias=0 * ones, unit=unit)
    most = references.LIMIT - 63  # as a float32 has it
    np.testing.assert_array_equal(found.ravel(), [32768, -16384, most, -most, 2, -2])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(1e-9, 1e4), st.floats(-1e6, 1e6), st.integers(-(2**24), 2**24), st.sampled_from([-1, 1]))
def test_factors_give_the_nearest_whole_number(scale, bias, x, sign):
    m, b, s = factors(np.array([sign * scale]), np.array([bias]))
    real = sign * scale * x + bias
    found = int((x * int(m[0]) + int(b[0])) >> int(s[0]))
    # half a step, and what 31 bits leave of the scale and 61 of the bias
    assert abs(found - real) <= 0.5 + 1e-6 + abs(scale * x) * 2.0**-28 + abs(x) * 2.0 ** -int(s[0])


@pytest.mark.parametrize(
    "name", ["resnet20", "mobilenet-0.25", "mobilenetv2", "shufflenet-g3", "squeezenet1.1"]
)
def test_int8_networks_know_no_float_between_image_and_logits(name):
    module = search_spaces.network(name, "int8", 10).eval()
    shape = (1, 3, 64, 64)
    graph = lower(module, shape).workloads
    # the image and what is made of it, and the logits
    floats = [each for each in graph if getattr(each, "arithmetic", "float") == "float"]
    floats = [each.family for each in floats if getattr(each, "code", "") != "byte"]  # which is pooled
    logits = ["conv2d", "global_avg_pool"] if name == "squeezenet1.1" else ["dense"]
    assert floats == ["to_nhwc", "quantize", *logits]


class Shortcut(nn.Module):
    """Int8 layers without a batch norm, their inputs added to their outputs."""

    def __init__(self):
        super().__init__()
        p = precisions.get("int8")
        self.first = QuantConv2d(16, 16, 3, p, relu=False)
        self.second = QuantConv2d(16, 16, 3, p)
        self.third = QuantConv2d(16, 16, 1, p)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = QuantLinear(16, 4, p)

    def forward(self, x):
        y = self.second(self.first(x)) + x
        y = self.third(y) + y
        return self.last(self.pool(y).flatten(1))


class Image(nn.Module):
    """A module behind a float convolution, whose real output is read in fixed point."""

    def __init__(self, module):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 1)
        self.module = module

    def forward(self, x):
        return self.module(self.first(x))


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e5])
def test_the_point_is_where_the_numbers_are(size):
    torch.manual_seed(0)
    module, x = Image(Shortcut()), torch.randn(32, 3, 6, 5) * size
    for _ in range(3):
        module(x)
    module.eval()
    workloads = lower(module, (1, 3, 6, 5)).workloads
    reals = [each.arithmetic for each in workloads if getattr(each, "residual", False)]
    assert reals == ["integer", "integer"]
    found = runtime.compile(module, (1, 3, 6, 5)).run(x.numpy())
    with torch.no_grad():
        expected = module(x).numpy()
    spread = np.abs(expected - module.module.last.bias.detach().numpy()).max()
    assert np.abs(found - expected).max() < 0.02 * spread


def test_code_for_a_machine_without_floats_has_none():
    """The C of a kernel between bytes has no float in it."""
    graph = lower(search_spaces.network("mobilenetv2", "int8", 10).eval(), (1, 3, 32, 32)).workloads
    inner = {each for each in graph if getattr(each, "arithmetic", None) == "integer"}
    assert {each.family for each in inner} >= {"conv2d", "depthwise_conv2d"}
    for each in inner:
        assert "f32" not in kernel_source(each, "kernel"), each.key


class Beside(nn.Module):
    """Two layers of other precisions that read the same, and a third that reads both."""

    def __init__(self, left, right, adds):
        super().__init__()
        first, second = precisions.get(left), precisions.get(right)
        self.stem = nn.Conv2d(3, 32, 3)
        self.left = QuantConv2d(32, 32, 1, first)
        self.right = QuantConv2d(32, 32, 1, second)
        self.adds = adds
        self.last = QuantConv2d(32 if adds else 64, 32, 3, first)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = QuantLinear(32, 3, second)

    def forward(self, x):
        x = self.stem(x)
        left, right = self.left(x), self.right(x)
        y = left + right if self.adds else torch.cat([left, right], 1)
        return self.dense(self.pool(self.last(y)).flatten(1))


@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("left", ["binary", "dithered", "dithered-3d", "float", "ternary"])
@pytest.mark.parametrize("right", ["int8", "dorefa4"])
def test_bytes_beside_other_codes(left, right, adds):
    torch.manual_seed(0)
    for pair in ((left, right), (right, left)):
        module, x = Beside(*pair, adds), torch.randn(8, 3, 8, 8)
        for _ in range(3):
            module(x)
        module.eval()
        found = runtime.compile(module, (1, 3, 8, 8)).run(x.numpy())
        with torch.no_grad():
            expected = module(x).numpy()
        spread = np.abs(expected - module.dense.bias.detach().numpy()).max()
        close = np.abs(found - expected) < 0.02 * spread
        assert close.mean() > 0.7, pair  # where a sign or a step falls on its other side


@pytest.mark.parametrize("seed", [131, 142])
def test_signs_and_bytes_of_one_real_number(seed):
    """Of fire modules with a float squeeze, a binary and an int8 expansion."""
    shape = (1, 3, 32, 32)
    module = trained(search_spaces.build(search_spaces.space("cifar").sample(seed=seed)), shape)
    x = torch.randn(16, *shape[1:])
    with torch.no_grad():
        expected = module(x).numpy()
    found = runtime.compile(module, shape).run(x.numpy())
    close = np.isclose(found, expected, rtol=0.05, atol=0.05 * np.abs(expected).max())
    assert close.mean() > 0.9  # behind a sign or a step that falls on its other side


def check_beside_torch(module, x, bias, share):
    """Between image and logits nothing but integers; the result is off by a share of its spread at most."""
    compiled = runtime.compile(module, (1, *x.shape[1:]))
    floats = [each.family for each in compiled.info.workloads if getattr(each, "arithmetic", "") == "float"]
    assert floats == ["quantize", "dense"]
    with torch.no_grad():
        expected = module(x).numpy()
    spread = np.abs(expected - bias.detach().numpy()).max()
    assert np.abs(compiled.run(x.numpy()) - expected).max() < share * spread


class Norms(nn.Module):
    """Batch norms that convolutions cannot take in, around a ring of additions."""

    def __init__(self, gain):
        super().__init__()
        p = precisions.get("int8")
        self.first = QuantConv2d(3, 16, 3, p, relu=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(16, momentum=1.0) for _ in range(3))
        self.second = QuantConv2d(16, 16, 1, p)
        self.gain = nn.BatchNorm2d(16, affine=False)
        self.gain.running_mean.fill_(-50.0 * gain)
        self.gain.running_var.fill_(gain**-2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = QuantLinear(16, 4, p)

    def forward(self, x):
        x = self.gain.eval()(self.first(x))
        y = self.norms[1](torch.relu(self.norms[0](x))) + x
        z = self.norms[2](self.second(y) + y + x)
        return self.last(self.pool(torch.relu(z)).flatten(1))


@pytest.mark.parametrize("gain", [1e-2, 1.0, 1e3])
def test_norms_around_additions(gain):
    torch.manual_seed(0)
    module, x = Norms(gain), torch.randn(16, 3, 8, 8)
    for _ in range(3):
        module(x)
    module.eval()
    check_beside_torch(module, x, module.last.bias, 0.03)


class Behind(nn.Module):
    """An int8 layer, a function of its real output, and another one; the output is as large as ``size``."""

    def __init__(self, function, size):
        super().__init__()
        p = precisions.get("int8")
        self.first = QuantConv2d(3, 16, 3, p, relu=False)
        self.first.weight.data *= size
        self.function = function
        self.last = QuantConv2d(16, 4, 1, p)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = QuantLinear(4, 3, p)

    def forward(self, x):
        return self.dense(self.pool(self.last(self.function(self.first(x)))).flatten(1))


@pytest.mark.parametrize("size", [1e-3, 1.0, 3e3])
@pytest.mark.parametrize(
    "function",
    [
        nn.Sequential(nn.MaxPool2d(2), nn.BatchNorm2d(16)),  # which brings any size to 1
        nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.ReLU(), nn.BatchNorm2d(16)),
        nn.Sequential(nn.ReLU6(), nn.AvgPool2d(2)),
        nn.Sequential(nn.ReLU6()),  # which ends between the bytes
        nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1)),  # whose inputs are larger than its outputs
    ],
    ids=["max-norm", "mean-norm", "relu6", "relu6-byte", "mean"],
)
def test_what_is_shrunk_on_the_way_does_not_saturate(function, size):
    torch.manual_seed(0)
    module = Behind(function, size).train()
    for layer in function:
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
            layer.weight.data = torch.randn(16)
            layer.weight.data[3] = 0
    x = torch.randn(16, 3, 8, 8)
    x[:, :, 3, 3] *= 20  # peaks, which a mean hides
    for _ in range(3):
        module(x)
    module.eval()
    check_beside_torch(module, x, module.dense.bias, 0.02)

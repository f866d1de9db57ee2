"""What convolutions do before they write: residual, ReLU, the next layer's bits or bytes, on every CPU."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import runtime
from runtime.kernels import packing
from runtime.kernels.bitserial import compares_counts
from runtime.kernels.covering import Cover, Grid, Vectors
from runtime.kernels.epilogue import epilogue_constants, epilogue_inputs
from runtime.lowering import lower
from runtime.lowering.thresholds import count_limits
from runtime.workload import BitserialConv2d, Conv2d, DepthwiseConv2d
from search_spaces import precisions
from search_spaces.layers import QuantConv2d, QuantLinear
from tests.runtime import references
from tests.runtime.harness import DISTINCT, TARGETS, lane_constants, pack_images, run_kernel
from tests.thinning import each_nth

SOME = settings(max_examples=14, deadline=None, derandomize=True)
SHAPE = (2, 5, 7)  # images, rows, columns


@st.composite
def endings(draw):
    """Fields of an epilogue, and the number of channels that it can write."""
    output = draw(st.sampled_from(["float", "uint8", "int8", "binary"]))
    fields = draw(st.sampled_from([{}, {"relu": True}, {"activation": "relu6"}]))
    fields = {**fields, "residual": draw(st.booleans()), "output": output}
    channels = draw(st.sampled_from([16, 17, 24, 32, 64, 65, 96]))
    if output != "float":
        fields["also_float"] = draw(st.booleans())
    if output == "binary":
        fields["threshold"] = draw(st.sampled_from(["zero", "channel", "position", "element"]))
        groups = {96: [1, 3]}.get(channels, [1, channels // 16])
        fields["output_groups"] = draw(st.sampled_from(groups if channels % 16 == 0 else [1]))
    return channels, fields


def expected_codes(workload, value, constants):
    if workload.output == "binary":
        return value < constants.get("threshold", np.float32(0))
    zero = constants.get("output_zero", 0)
    return np.clip(np.round(value * constants["inverse_step"]) + zero, 0, 255)


def unpack(codes, groups, channels):
    """Masks of 16 lanes -> bits (N, H, W, C); beyond the last channel there are none."""
    words = codes if codes.dtype == np.uint32 else codes.reshape(*codes.shape[:3], -1).view(np.uint32)
    by_group = np.ascontiguousarray(words).reshape(*codes.shape[:3], groups, -1)
    beyond = channels // groups % packing.WORD
    assert not beyond or not (by_group[..., -1] >> np.uint32(beyond)).any()
    return references.unpack_signs(by_group, groups, channels // groups) < 0


def check(workload, channels, found, value, constants):
    """Compare a kernel's outputs with its value (N, H, W, C) before the residual."""
    value = value + constants["residual"] if workload.residual else value
    value = np.maximum(value, 0) if workload.relu else value
    value = np.clip(value, 0, 6) if workload.activation == "relu6" else value
    outputs = list(found) if isinstance(found, tuple) else [found]
    if workload.output == "float" or workload.also_float:
        np.testing.assert_array_equal(outputs.pop(0).reshape(value.shape), value)
    if workload.output == "binary":
        bits = unpack(outputs.pop(0), workload.output_groups, channels)
        np.testing.assert_array_equal(bits.reshape(value.shape), expected_codes(workload, value, constants))
    elif workload.output != "float":
        codes = outputs.pop(0).reshape(value.shape)
        np.testing.assert_array_equal(codes, expected_codes(workload, value, constants))
    assert not outputs


def endings_constants(workload, channels, values):
    """Whole numbers, so that float sums are exact, with ties at the thresholds."""
    grid = Grid(*SHAPE[:2], Cover(SHAPE[2]), Vectors(channels))
    buffers = epilogue_inputs(workload, grid) + epilogue_constants(workload, grid)
    arrays = {b.name: values.integers(-9, 9, b.shape).astype(np.float32) for b in buffers}
    if "inverse_step" in arrays:
        arrays["inverse_step"] = np.float32([0.5])  # halves occur
    if "output_zero" in arrays:
        arrays["output_zero"] = values.integers(0, 256, 1)
    if "threshold" not in arrays or arrays["threshold"].shape[-1] == 1:
        logical = {"threshold": arrays["threshold"][..., 0]} if "threshold" in arrays else {}
        return arrays, {**arrays, **logical}
    by_channel = arrays["threshold"].reshape(*arrays["threshold"].shape[:2], -1)[..., :channels]
    in_lanes = {"threshold": by_channel[..., Vectors(channels).order()]}
    return {**arrays, **in_lanes}, {**arrays, "threshold": by_channel}


@SOME
@given(endings(), st.sampled_from(TARGETS), st.integers(0, 2**32 - 1))
def test_float_and_depthwise_convolutions(ending, target, seed):
    (channels, fields), values = ending, np.random.default_rng(seed)
    x = values.integers(-3, 4, (*SHAPE, channels)).astype(np.float32)
    weight = values.integers(-2, 3, (channels, 1, 3, 3)).astype(np.float32)
    bias = values.integers(-3, 4, channels).astype(np.float32)
    common = {"data": x, **lane_constants(Vectors(channels), bias=bias, scale=np.ones(channels))}
    order = Vectors(channels).order()
    depthwise = DepthwiseConv2d(*SHAPE, 3, 1, 1, channels, "float", "float", **fields)
    arrays, logical = endings_constants(depthwise, channels, values)
    found = run_kernel(depthwise, target, weight=packing.lane_layout(weight[order], 16), **common, **arrays)
    value = references.conv2d(x, weight, stride=1, padding=1, groups=channels) + bias
    check(depthwise, channels, found, value, logical)

    dense = Conv2d(*SHAPE, 1, 1, 0, channels, channels, 1, "float", "float", **fields)
    weight = values.integers(-2, 3, (channels, channels, 1, 1)).astype(np.float32)
    found = run_kernel(dense, target, weight=packing.lane_layout(weight[order], 16), **common, **arrays)
    check(dense, channels, found, references.conv2d(x, weight, stride=1, padding=0) + bias, logical)


@SOME
@given(endings(), st.sampled_from(TARGETS), st.sampled_from(["uint8", "int8"]), st.integers(0, 2**32 - 1))
def test_byte_convolutions(ending, target, code, seed):
    (channels, fields), values = ending, np.random.default_rng(seed)
    depth = int(values.integers(1, 10))
    zero = {"zero_point": values.integers(0, 256, 1)} if code == "int8" else {}
    x = values.integers(0, 256, (*SHAPE, depth))
    weight = values.integers(-127, 128, (channels, depth, 3, 3))
    workload = Conv2d(*SHAPE, 3, 1, 1, depth, channels, 1, "int8", code, **fields)
    arrays, logical = endings_constants(workload, channels, values)
    found = run_kernel(
        workload,
        target,
        data=x,
        weight=packing.pack_quads(weight[Vectors(channels).order()], 16),
        **lane_constants(
            Vectors(channels),
            offset=-weight.sum(axis=(1, 2, 3)),
            scale=np.full(channels, 2.0**-12),
            bias=np.zeros(channels),
        ),
        **zero,
        **arrays,
    )
    sums = references.conv2d(x - zero.get("zero_point", 0), weight, stride=1, padding=1)
    check(workload, channels, found, sums * 2.0**-12, logical)


@SOME
@given(
    endings(),
    st.sampled_from(TARGETS),
    st.sampled_from(["binary", "symmetric", "ternary"]),
    st.integers(0, 2**32 - 1),
)
def test_bitserial_convolutions(ending, target, code, seed):
    (channels, fields), values = ending, np.random.default_rng(seed)
    depth, symmetric = int(values.choice([1, 16, 33, 64])), code == "symmetric"
    x = values.choice([-1, 1], (*SHAPE, depth))
    weight = values.choice([-1, 1] if code == "binary" else [-1, 0, 1], (channels, depth, 3, 3))
    kind = "binary" if code == "binary" else "ternary"
    workload = BitserialConv2d(*SHAPE, 3, 1, 1, depth, channels, 1, kind, symmetric, **fields)
    vectors, order = Vectors(channels).shape, Vectors(channels).order()
    arranged = weight[order]
    bias = values.integers(-3, 4, channels).astype(np.float32)
    positive, negative = values.integers(-2, 3, (2, channels)).astype(np.float32)
    if code == "ternary":
        totals = [(arranged == sign).sum(axis=(1, 2, 3)).reshape(vectors) for sign in (1, -1)]
        scales = [(positive + negative) / 2, (positive - negative) / 2]
        packed = packing.pack_bitserial_ternary(arranged, 16)
    else:
        totals, scales = [np.abs(arranged).sum(axis=(1, 2, 3)).reshape(vectors)], [positive]
        pack = packing.pack_bitserial_symmetric if symmetric else packing.pack_bitserial_binary
        packed, negative = pack(arranged, 16), positive
    constants = {
        "weight": packed,
        "total": np.stack(totals, axis=1),
        "scale": np.stack([s[order].reshape(vectors) for s in scales], axis=1),
        "bias": bias[order].reshape(vectors),
    }
    arrays, logical = endings_constants(workload, channels, values)
    if compares_counts(workload):
        constants, arrays = count_limits(workload, constants, arrays.get("threshold")), {}
    found = run_kernel(workload, target, data=pack_images(x), **constants, **arrays)
    by_output = (-1, 1, 1, 1)
    real = np.where(weight > 0, positive.reshape(by_output), -negative.reshape(by_output)) * (weight != 0)
    value = references.conv2d(x, real, stride=1, padding=1, pad_value=1) + bias
    check(workload, channels, found, value, logical)


class Activated(nn.Module):
    """A layer of each kind before each activation, in a precision, their outputs side by side."""

    def __init__(self, precision):
        super().__init__()
        p = precisions.get(precision)
        kinds = (nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.Sigmoid)

        def layers(kind):
            depthwise, last = (QuantConv2d(16, 16, 3, p, groups=n, relu=False) for n in (16, 1))
            return nn.Sequential(nn.Conv2d(3, 16, 1), kind(), depthwise, kind(), last, kind())

        self.layers = nn.ModuleList(layers(kind) for kind in kinds)
        self.last = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), QuantLinear(16 * len(kinds), 8, p), nn.Hardswish()
        )

    def forward(self, x):
        return self.last(torch.cat([layer(x) for layer in self.layers], 1))


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_activations_are_done_by_the_kernels_before_them(precision):
    torch.manual_seed(0)
    module, x = Activated(precision), 4 * torch.randn(8, 3, 6, 5)
    for _ in range(3):
        module(x)
    module.eval()
    network = runtime.compile(module, (1, 3, 6, 5))
    found = [each for each in network.info.workloads if hasattr(each, "activation")]
    activations = ("relu6", "hardswish", "hardsigmoid", "silu", "sigmoid")
    assert [each.activation for each in found] == [*np.repeat(activations, 3), "hardswish"]
    assert not {each.family for each in network.info.workloads} & set(activations)
    with torch.no_grad():
        expected = module(x).numpy()
    bound = 1e-5 if precision == "float" else 0.02
    np.testing.assert_allclose(network.run(x.numpy()), expected, atol=bound * np.abs(expected).max())


class Residual(nn.Module):
    """Two layers and a shortcut, in a precision."""

    def __init__(self, precision):
        super().__init__()
        p = precisions.get(precision)
        self.layers = nn.Sequential(
            QuantConv2d(32, 32, 3, p), nn.BatchNorm2d(32), QuantConv2d(32, 32, 3, p), nn.BatchNorm2d(32)
        )

    def forward(self, x):
        return torch.relu(self.layers(x) + x)


def outputs(precision):
    found = lower(Residual(precision).eval(), (1, 32, 6, 6)).workloads
    return [(w.family, w.output, w.residual, w.relu) for w in found if hasattr(w, "output")]


def test_a_residual_block_is_two_kernels():
    assert outputs("binary") == [
        ("bitserial_conv2d", "binary", False, False),
        ("bitserial_conv2d", "float", True, True),
    ]
    assert outputs("int8") == [("conv2d", "uint8", False, False), ("conv2d", "float", True, True)]
    assert outputs("float") == [("conv2d", "float", False, True), ("conv2d", "float", True, True)]


@pytest.mark.parametrize("precision", each_nth(2, DISTINCT))
def test_residual_blocks_compute_what_torch_computes(precision):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 32, 1), Residual(precision), Residual(precision))
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)  # of both signs
        nn.init.normal_(norm.bias)
    module(torch.randn(8, 3, 9, 6))
    module.eval()
    x = torch.randn(20, 3, 9, 6)
    found = runtime.compile(module, (2, 3, 9, 6)).run(x.numpy())
    with torch.no_grad():
        expected = module(x).numpy()
    close = np.isclose(found, expected, rtol=1e-3, atol=1e-3)
    assert close.mean() > 0.97  # a value within a rounding error of a threshold may fall on its other side

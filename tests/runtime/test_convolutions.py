"""Convolution, depthwise and dense kernels against numpy on odd shapes: integers to the bit."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.kernels import packing
from runtime.kernels.base import lanes
from runtime.workload import BitserialConv2d, BitserialDense, Conv2d, Dense, DepthwiseConv2d
from tests.runtime import references
from tests.runtime.harness import lane_constants, pack_images, run_kernel

CHANNELS = st.sampled_from([1, 2, 3, 8, 16, 17, 32, 33, 48, 64, 100])
KERNELS = settings(max_examples=25, deadline=None, derandomize=True)
FLOAT = {"rtol": 1e-4, "atol": 1e-4}


@dataclass
class Case:
    """A convolution's shape and a generator for its values."""

    batch: int
    height: int
    width: int
    kernel: int
    stride: int
    padding: int
    in_channels: int
    out_channels: int
    groups: int
    seed: int

    @property
    def spatial(self):
        return self.batch, self.height, self.width, self.kernel, self.stride, self.padding

    @property
    def window(self):
        return {"stride": self.stride, "padding": self.padding, "groups": self.groups}

    def values(self):
        return np.random.default_rng(self.seed)


@st.composite
def cases(draw, channels=CHANNELS):
    kernel = draw(st.integers(1, 7))
    padding = draw(st.integers(0, kernel // 2))
    least = max(1, kernel - 2 * padding)
    groups = draw(st.sampled_from([1, 1, 2, 3, 4]))
    return Case(
        batch=draw(st.integers(1, 3)),
        height=draw(st.integers(least, least + 9)),
        width=draw(st.integers(least, least + 9)),
        kernel=kernel,
        stride=draw(st.integers(1, 3)),
        padding=padding,
        in_channels=draw(channels) * groups,
        out_channels=draw(channels) * groups,
        groups=groups,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def weight_shape(case):
    return case.out_channels, case.in_channels // case.groups, case.kernel, case.kernel


@KERNELS
@given(cases(), st.booleans())
def test_float_convolution(case, relu):
    values = case.values()
    x = values.standard_normal((case.batch, case.height, case.width, case.in_channels), np.float32)
    weight = values.standard_normal(weight_shape(case), np.float32) / np.sqrt(np.prod(weight_shape(case)[1:]))
    scale, bias = values.standard_normal((2, case.out_channels), np.float32)
    workload = Conv2d(
        *case.spatial, case.in_channels, case.out_channels, case.groups, "float", "float", relu=relu
    )
    width = lanes(case.out_channels // case.groups)
    constants = lane_constants(case.out_channels, case.groups, scale=scale, bias=bias)
    found = run_kernel(workload, data=x, weight=packing.lane_layout(weight, width), **constants)
    expected = references.conv2d(x, weight, **case.window) * scale + bias
    expected = np.maximum(expected, 0) if relu else expected
    np.testing.assert_allclose(found.reshape(expected.shape), expected, **FLOAT)


@KERNELS
@given(cases(), st.sampled_from(["uint8", "int8"]))
def test_int8_convolution_is_exact(case, code):
    values, zero = case.values(), {}
    if code == "int8":
        zero["zero_point"] = values.integers(0, 255, 1, endpoint=True)
    image = (case.batch, case.height, case.width, case.in_channels)
    x = values.integers(0, 255, image, np.int64, endpoint=True)
    weight = values.integers(-127, 127, weight_shape(case), np.int8, endpoint=True)
    ones, zeros = np.ones(case.out_channels, np.float32), np.zeros(case.out_channels, np.float32)
    workload = Conv2d(*case.spatial, case.in_channels, case.out_channels, case.groups, "int8", code)
    width = lanes(case.out_channels // case.groups)
    constants = lane_constants(case.out_channels, case.groups, scale=ones, bias=zeros)
    offset = -weight.astype(np.int64).sum(axis=(1, 2, 3))
    packed = packing.pack_quads(weight, width)
    found = run_kernel(workload, data=x, weight=packed, offset=offset, **constants, **zero)
    meant = x - zero.get("zero_point", 0)
    expected = references.conv2d(meant, weight.astype(np.int64), **case.window)
    # The kernel counts in int32 and hands out float32: both roundings are those of numpy.
    np.testing.assert_array_equal(found.reshape(expected.shape), expected.astype(np.float32))


@KERNELS
@given(cases(), st.sampled_from(["ternary", "binary"]))
def test_low_bit_weights_with_float_inputs(case, code):
    values = case.values()
    x = values.standard_normal((case.batch, case.height, case.width, case.in_channels), np.float32)
    codes = values.choice([-1, 0, 1] if code == "ternary" else [-1, 1], weight_shape(case))
    positive, negative = values.uniform(0.05, 0.2, (2, case.out_channels)).astype(np.float32)
    scale, bias = values.standard_normal((2, case.out_channels), np.float32)
    workload = Conv2d(*case.spatial, case.in_channels, case.out_channels, case.groups, code, "float")
    arranged = packing.lane_layout(codes, lanes(case.out_channels // case.groups))
    if code == "ternary":
        packed = packing.pack_lane_codes(packing.ternary_codes(arranged), 2)
    else:
        packed = packing.pack_lane_codes(arranged < 0, 1)
    vectors = {"positive": positive, "negative": negative, "scale": scale, "bias": bias}
    constants = lane_constants(case.out_channels, case.groups, **vectors)
    found = run_kernel(workload, data=x, weight=packed, **constants)
    by_output = (-1, 1, 1, 1)
    real = np.where(codes > 0, positive.reshape(by_output), -negative.reshape(by_output)) * (codes != 0)
    expected = references.conv2d(x, real, **case.window) * scale + bias
    np.testing.assert_allclose(found.reshape(expected.shape), expected, **FLOAT)


@KERNELS
@given(cases())
def test_binary_convolution_is_exact(case):
    values = case.values()
    x = values.choice([-1, 1], (case.batch, case.height, case.width, case.in_channels))
    weight = values.choice([-1, 1], weight_shape(case))
    workload = BitserialConv2d(*case.spatial, case.in_channels, case.out_channels, case.groups, "binary")
    width = lanes(case.out_channels // case.groups)
    ones, zeros = np.ones(case.out_channels), np.zeros(case.out_channels)
    found = run_kernel(
        workload,
        data=pack_images(x, case.groups),
        weight=packing.pack_bitserial_binary(weight, width),
        total=np.full(case.out_channels, np.prod(weight_shape(case)[1:])),
        **lane_constants(case.out_channels, case.groups, scale=ones, bias=zeros),
    )
    expected = references.conv2d(x, weight, **case.window, pad_value=1)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@KERNELS
@given(cases(), st.booleans())
def test_ternary_convolution_of_signs_is_exact_in_each_plane(case, relu):
    values = case.values()
    x = values.choice([-1, 1], (case.batch, case.height, case.width, case.in_channels))
    weight = values.choice([-1, 0, 1], weight_shape(case))
    # Whole numbers as scales: the sum over the two planes stays exact in float32.
    positive, negative = values.integers(1, 4, (2, case.out_channels))
    workload = BitserialConv2d(
        *case.spatial, case.in_channels, case.out_channels, case.groups, "ternary", relu=relu
    )
    width = lanes(case.out_channels // case.groups)
    totals = [(weight == sign).sum(axis=(1, 2, 3)).reshape(-1, width) for sign in (1, -1)]
    scales = [(positive + negative).reshape(-1, width) / 2, (positive - negative).reshape(-1, width) / 2]
    found = run_kernel(
        workload,
        data=pack_images(x, case.groups),
        weight=packing.pack_bitserial_ternary(weight, width),
        total=np.stack(totals, axis=1),
        scale=np.stack(scales, axis=1),
        bias=np.zeros(case.out_channels),
    )
    by_output = (-1, 1, 1, 1)
    real = np.where(weight > 0, positive.reshape(by_output), -negative.reshape(by_output)) * (weight != 0)
    expected = references.conv2d(x, real, **case.window, pad_value=1)
    expected = np.maximum(expected, 0) if relu else expected
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@KERNELS
@given(cases(), st.sampled_from(["float", "int8", "uint8"]), st.booleans())
def test_depthwise_convolution(case, code, relu):
    values, channels, zero = case.values(), case.in_channels, {}
    image = (case.batch, case.height, case.width, channels)
    if code == "int8":
        zero["zero_point"] = values.integers(0, 255, 1, endpoint=True)
    if code == "float":
        x = values.standard_normal(image, np.float32)
        weight = values.standard_normal((channels, 1, case.kernel, case.kernel), np.float32)
    else:
        x = values.integers(0, 255, image, np.int64, endpoint=True)
        weight = values.integers(-127, 127, (channels, 1, case.kernel, case.kernel), np.int8, endpoint=True)
    scale, bias = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    weight_code = "float" if code == "float" else "int8"
    workload = DepthwiseConv2d(*case.spatial, channels, weight_code, code, relu=relu)
    constants = lane_constants(channels, scale=scale, bias=bias)
    packed = packing.lane_layout(weight, lanes(channels))
    found = run_kernel(workload, data=x, weight=packed, **constants, **zero)
    x = x - zero.get("zero_point", 0)
    kind = float if code == "float" else np.int64
    window = {"stride": case.stride, "padding": case.padding, "groups": channels}
    expected = references.conv2d(x.astype(kind), weight.astype(kind), **window)
    expected = np.maximum(expected, 0) if relu else expected
    tolerance = FLOAT if code == "float" else {"rtol": 0, "atol": 0}
    np.testing.assert_allclose(found.reshape(expected.shape), expected, **tolerance)


@KERNELS
@given(cases(), st.sampled_from(["ternary", "binary"]), st.sampled_from(["float", "binary"]))
def test_low_bit_depthwise_convolution(case, code, input_code):
    values, channels = case.values(), case.in_channels
    image = (case.batch, case.height, case.width, channels)
    signs = values.choice([-1, 1], image)
    x = signs if input_code == "binary" else values.standard_normal(image, np.float32)
    codes = values.choice(
        [-1, 0, 1] if code == "ternary" else [-1, 1], (channels, 1, case.kernel, case.kernel)
    )
    positive, negative = values.integers(1, 4, (2, channels))
    arranged = packing.lane_layout(codes, lanes(channels))
    if code == "ternary":
        packed = packing.pack_lane_codes(packing.ternary_codes(arranged), 2)
    else:
        packed = packing.pack_lane_codes(arranged < 0, 1)
    ones, zeros = np.ones(channels), np.zeros(channels)
    vectors = {"positive": positive, "negative": negative, "scale": ones, "bias": zeros}
    workload = DepthwiseConv2d(*case.spatial, channels, code, input_code)
    data = pack_images(signs) if input_code == "binary" else x
    found = run_kernel(workload, data=data, weight=packed, **lane_constants(channels, **vectors))
    by_output = (-1, 1, 1, 1)
    real = np.where(codes > 0, positive.reshape(by_output), -negative.reshape(by_output)) * (codes != 0)
    window = {"stride": case.stride, "padding": case.padding, "groups": channels}
    pad_value = 1 if input_code == "binary" else 0
    expected = references.conv2d(x, real, **window, pad_value=pad_value)
    if input_code == "binary":
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    else:
        np.testing.assert_allclose(found.reshape(expected.shape), expected, **FLOAT)


@pytest.mark.parametrize(("batch", "inputs", "outputs"), [(1, 64, 10), (3, 33, 17), (5, 1, 100), (2, 100, 1)])
@pytest.mark.parametrize("code", ["float", "int8", "binary", "ternary"])
def test_dense(batch, inputs, outputs, code):
    values, width = np.random.default_rng(0), lanes(outputs)
    constants = lane_constants(outputs, scale=np.ones(outputs), bias=values.integers(-9, 9, outputs))
    bias = constants["bias"].reshape(-1)
    if code in ("binary", "ternary"):
        x = values.choice([-1, 1], (batch, inputs))
        weight = values.choice([-1, 1] if code == "binary" else [-1, 0, 1], (outputs, inputs))
        by_window = weight[..., None, None]
        planes = {"binary": [np.abs(weight)], "ternary": [weight == 1, weight == -1]}[code]
        totals = [plane.sum(axis=1).reshape(-1, width) for plane in planes]
        pack = {"binary": packing.pack_bitserial_binary, "ternary": packing.pack_bitserial_ternary}[code]
        scales = [np.ones((outputs // width, width)), np.zeros((outputs // width, width))][: len(planes)]
        found = run_kernel(
            BitserialDense(batch, inputs, outputs, code),
            data=packing.pack_signs(x),
            weight=pack(by_window, width),
            total=np.stack(totals, axis=1),
            scale=np.stack(scales, axis=1),
            bias=bias,
        )
    else:
        x, weight = values.integers(-99, 99, (batch, inputs)), values.integers(-99, 99, (outputs, inputs))
        by_window = weight[..., None, None]
        if code == "float":
            arrays = {"weight": packing.lane_layout(by_window.astype(np.float32), width)}
        else:
            arrays = {"weight": packing.pack_quads(by_window, width), "offset": -weight.sum(axis=1)}
            arrays["zero_point"] = np.array([100])
        data = x + arrays.get("zero_point", 0)
        found = run_kernel(Dense(batch, inputs, outputs, code, code), data=data, **arrays, **constants)
    np.testing.assert_array_equal(found.reshape(batch, outputs), x @ weight.T + bias)

"""Convolution, depthwise and dense kernels conform, against numpy on odd shapes: integers to the bit."""

from dataclasses import dataclass

import numpy as np

from runtime.kernels import packing
from runtime.kernels.covering import Vectors, vectors_of
from runtime.testing import Case, KernelConformance
from runtime.workload import (
    HIGHEST_BYTE,
    BitserialConv2d,
    BitserialDense,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    is_affine,
)
from tests.runtime import references
from tests.runtime.harness import lane_constants, pack_images

CHANNELS = (1, 2, 3, 8, 16, 17, 32, 33, 48, 64, 100)


@dataclass
class Shape:
    """A convolution's shape, and the generator of its values."""

    batch: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    in_channels: int
    out_channels: int
    groups: int
    values: np.random.Generator
    code: str = "float"
    is_depthwise: bool = False

    def work(self, kind, *others, **more):
        """A workload of this shape."""
        spatial = self.batch, self.height, self.width, self.kernel, self.stride, self.padding
        return kind(*spatial, *others, **more, dilation=self.dilation)

    @property
    def channels(self):
        return self.in_channels, self.out_channels, self.groups

    @property
    def window(self):
        window = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return {**window, "groups": self.groups}

    @property
    def image(self):
        return self.batch, self.height, self.width, self.in_channels

    @property
    def weight(self):
        return self.out_channels, self.in_channels // self.groups, *self.kernel

    @property
    def vectors(self):
        if self.is_depthwise:
            return Vectors(self.out_channels)
        if self.code == "binary":
            return vectors_of(self.work(BitserialConv2d, *self.channels, "binary"))
        return vectors_of(self.work(Conv2d, *self.channels, "float", self.code))

    @property
    def lanes(self):
        return self.vectors.width

    def in_lanes(self, weight):
        """Weights (O, ...) as the lanes of all vectors have them."""
        return weight[self.vectors.order()]

    def constants(self, **vectors):
        return lane_constants(self.vectors, **vectors)


def drawn(random, code="float", is_depthwise=False):
    def number(low, high):
        return int(random.integers(low, high, endpoint=True))

    is_square = random.integers(4) == 0

    def two(low, high):
        """A number for rows and columns."""
        rows, columns = number(low, high), number(low, high)
        return (rows, rows) if is_square else (rows, columns)

    groups = int(random.choice([1, 1, 2, 3, 4]))
    kernel, stride, dilation = two(1, 7), two(1, 3), two(1, 2)
    extent = [(taps - 1) * gap + 1 for taps, gap in zip(kernel, dilation, strict=True)]
    top, left, bottom, right = (number(0, each // 2) for each in (*extent, *extent))
    padding = (min(top, left, bottom, right),) * 4 if is_square else (top, left, bottom, right)
    least = [max(1, each - padding[i] - padding[i + 2]) for i, each in enumerate(extent)]
    inputs, outputs = (int(random.choice(CHANNELS)) * groups for _ in range(2))
    if is_depthwise:
        outputs = groups = inputs
    height, width = (number(each, each + 9) for each in least)
    window = kernel, stride, padding, dilation
    return Shape(number(1, 3), height, width, *window, inputs, outputs, groups, random, code, is_depthwise)


def rectified(expected, relu):
    return np.maximum(expected, 0) if relu else expected


def real_weights(codes, positive, negative):
    """What codes of three values stand for, with two scales (O,)."""
    by_output = (-1, 1, 1, 1)
    return np.where(codes > 0, positive.reshape(by_output), -negative.reshape(by_output)) * (codes != 0)


class OfSums(KernelConformance):
    """Kernels that sum many numbers."""

    examples = 6


class TestFloatConvolution(OfSums):
    rtol, atol = 1e-4, 1e-4

    def case(self, random):
        shape, relu = drawn(random), bool(random.integers(2))
        x = random.standard_normal(shape.image, np.float32)
        weight = random.standard_normal(shape.weight, np.float32) / np.sqrt(np.prod(shape.weight[1:]))
        scale, bias = random.standard_normal((2, shape.out_channels), np.float32)
        work = shape.work(Conv2d, *shape.channels, "float", "float", relu=relu)
        given = {"data": x, "weight": packing.lane_layout(shape.in_lanes(weight), shape.lanes)}
        expected = references.conv2d(x, weight, **shape.window) * scale + bias
        return Case(work, given | shape.constants(scale=scale, bias=bias), rectified(expected, relu))


class TestByteConvolution(OfSums):
    """The kernel counts in int32 and hands out float32: both roundings are those of numpy."""

    def case(self, random):
        shape, code = drawn(random, "uint8"), str(random.choice(list(HIGHEST_BYTE)))
        highest = HIGHEST_BYTE[code]
        zero = {"zero_point": random.integers(0, highest, 1, endpoint=True)} if is_affine(code) else {}
        x = random.integers(0, highest, shape.image, np.int64, endpoint=True)
        weight = random.integers(-127, 127, shape.weight, np.int8, endpoint=True).astype(np.int64)
        given = {"data": x, "weight": packing.pack_quads(shape.in_lanes(weight), shape.lanes), **zero}
        given["offset"] = -shape.in_lanes(weight).sum(axis=(1, 2, 3))
        given |= shape.constants(scale=np.ones(shape.out_channels), bias=np.zeros(shape.out_channels))
        expected = references.conv2d(x - zero.get("zero_point", 0), weight, **shape.window)
        return Case(shape.work(Conv2d, *shape.channels, "int8", code), given, expected.astype(np.float32))


class TestConvolutionWithLowBitWeights(OfSums):
    rtol, atol = 1e-4, 1e-4

    def case(self, random):
        shape, code = drawn(random), str(random.choice(["ternary", "binary"]))
        x = random.standard_normal(shape.image, np.float32)
        codes = random.choice([-1, 0, 1] if code == "ternary" else [-1, 1], shape.weight)
        positive, negative = random.uniform(0.05, 0.2, (2, shape.out_channels)).astype(np.float32)
        scale, bias = random.standard_normal((2, shape.out_channels), np.float32)
        vectors = {"positive": positive, "negative": negative, "scale": scale, "bias": bias}
        given = {
            "data": x,
            "weight": packed_in_lanes(shape.in_lanes(codes), code, shape.lanes),
            **shape.constants(**vectors),
        }
        real = real_weights(codes, positive, negative)
        expected = references.conv2d(x, real, **shape.window) * scale + bias
        return Case(shape.work(Conv2d, *shape.channels, code, "float"), given, expected)


def packed_in_lanes(codes, code, width):
    arranged = packing.lane_layout(codes, width)
    if code == "ternary":
        return packing.pack_lane_codes(packing.ternary_codes(arranged), 2)
    return packing.pack_lane_codes(arranged < 0, 1)


class TestBinaryConvolution(OfSums):
    def case(self, random):
        shape = drawn(random, "binary")
        x, weight = random.choice([-1, 1], shape.image), random.choice([-1, 1], shape.weight)
        given = {
            "data": pack_images(x, shape.groups),
            "weight": packing.pack_bitserial_binary(shape.in_lanes(weight), shape.lanes),
            "total": np.full(shape.vectors.shape, np.prod(shape.weight[1:])),
            **shape.constants(scale=np.ones(shape.out_channels), bias=np.zeros(shape.out_channels)),
        }
        expected = references.conv2d(x, weight, **shape.window, pad_value=1)
        return Case(shape.work(BitserialConv2d, *shape.channels, "binary"), given, expected)


class TestTernaryConvolutionOfSigns(OfSums):
    """Whole numbers as scales: the sum over the two planes stays exact in float32."""

    def case(self, random):
        shape, relu = drawn(random, "binary"), bool(random.integers(2))
        x, weight = random.choice([-1, 1], shape.image), random.choice([-1, 0, 1], shape.weight)
        positive, negative = random.integers(1, 4, (2, shape.out_channels))
        totals = [(weight == sign).sum(axis=(1, 2, 3)) for sign in (1, -1)]
        scales = [(positive + negative) / 2, (positive - negative) / 2]
        given = {
            "data": pack_images(x, shape.groups),
            "weight": packing.pack_bitserial_ternary(shape.in_lanes(weight), shape.lanes),
            "total": np.stack([shape.in_lanes(each).reshape(-1, shape.lanes) for each in totals], axis=1),
            "scale": np.stack([shape.in_lanes(each).reshape(-1, shape.lanes) for each in scales], axis=1),
            "bias": np.zeros(shape.vectors.shape),
        }
        real = real_weights(weight, positive, negative)
        expected = rectified(references.conv2d(x, real, **shape.window, pad_value=1), relu)
        return Case(shape.work(BitserialConv2d, *shape.channels, "ternary", relu=relu), given, expected)


class OfDepthwise(OfSums):
    def filled(self, shape, code, x, weight, expected, **given):
        """A case whose sums are scaled by 1."""
        relu = bool(shape.values.integers(2))
        work = shape.work(DepthwiseConv2d, shape.in_channels, *code, relu=relu)
        vectors = {"scale": np.ones(shape.in_channels), "bias": np.zeros(shape.in_channels)}
        given = {"data": x, "weight": weight, **shape.constants(**vectors), **given}
        return Case(work, given, rectified(expected, relu))


class TestFloatDepthwise(OfDepthwise):
    rtol, atol = 1e-4, 1e-4

    def case(self, random):
        shape = drawn(random, is_depthwise=True)
        x = random.standard_normal(shape.image, np.float32)
        weight = random.standard_normal(shape.weight, np.float32)
        expected = references.conv2d(x.astype(float), weight.astype(float), **shape.window)
        packed = packing.lane_layout(shape.in_lanes(weight), shape.lanes)
        return self.filled(shape, ("float", "float"), x, packed, expected)


class TestByteDepthwise(OfDepthwise):
    def case(self, random):
        shape, code = drawn(random, is_depthwise=True), str(random.choice(["uint8", "int8"]))
        zero = {"zero_point": random.integers(0, 255, 1, endpoint=True)} if code == "int8" else {}
        x = random.integers(0, 255, shape.image, np.int64, endpoint=True)
        weight = random.integers(-127, 127, shape.weight, np.int64, endpoint=True)
        expected = references.conv2d(x - zero.get("zero_point", 0), weight, **shape.window)
        packed = packing.lane_layout(shape.in_lanes(weight), shape.lanes)
        return self.filled(shape, ("int8", code), x, packed, expected, **zero)


class OfLowBitDepthwise(OfDepthwise):
    def drawn(self, random, x_of):
        shape, code = drawn(random, is_depthwise=True), str(random.choice(["ternary", "binary"]))
        codes = random.choice([-1, 0, 1] if code == "ternary" else [-1, 1], shape.weight)
        positive, negative = random.integers(1, 4, (2, shape.in_channels))
        packed = packed_in_lanes(shape.in_lanes(codes), code, shape.lanes)
        scales = shape.constants(positive=positive, negative=negative)
        return shape, code, x_of(shape.image), packed, scales, real_weights(codes, positive, negative)


class TestLowBitDepthwise(OfLowBitDepthwise):
    rtol, atol = 1e-4, 1e-4

    def case(self, random):
        found = self.drawn(random, lambda image: random.standard_normal(image, np.float32))
        shape, code, x, packed, scales, real = found
        expected = references.conv2d(x, real, **shape.window)
        return self.filled(shape, (code, "float"), x, packed, expected, **scales)


class TestLowBitDepthwiseOfSigns(OfLowBitDepthwise):
    def case(self, random):
        found = self.drawn(random, lambda image: random.choice([-1, 1], image))
        shape, code, x, packed, scales, real = found
        expected = references.conv2d(x, real, **shape.window, pad_value=1)
        return self.filled(shape, (code, "binary"), pack_images(x), packed, expected, **scales)


class OfDense(KernelConformance):
    examples = 4

    def drawn(self, random):
        """Batch, features that come in and go out; whole numbers as a bias, in lanes."""
        batch, inputs, outputs = int(random.integers(1, 6)), *random.choice([1, 17, 33, 64, 100], 2).tolist()
        return batch, inputs, outputs, random.integers(-9, 9, outputs)


class OfWholeNumbers(OfDense):
    code = ""

    def case(self, random):
        batch, inputs, outputs, bias = self.drawn(random)
        x, weight = random.integers(-99, 99, (batch, inputs)), random.integers(-99, 99, (outputs, inputs))
        vectors = Vectors(outputs)
        arranged, width = weight[vectors.order()], vectors.width
        by_window = arranged[..., None, None]
        if self.code == "float":
            given = {"data": x, "weight": packing.lane_layout(by_window.astype(np.float32), width)}
        else:
            given = {"data": x + 100, "zero_point": np.array([100]), "offset": -arranged.sum(axis=1)}
            given["weight"] = packing.pack_quads(by_window, width)
        given |= lane_constants(vectors, scale=np.ones(outputs), bias=bias)
        return Case(Dense(batch, inputs, outputs, self.code, self.code), given, x @ weight.T + bias)


class TestFloatDense(OfWholeNumbers):
    code = "float"


class TestByteDense(OfWholeNumbers):
    code = "int8"


class TestBitserialDense(OfDense):
    def case(self, random):
        batch, inputs, outputs, bias = self.drawn(random)
        code, vectors = str(random.choice(["binary", "ternary"])), Vectors(outputs)
        x = random.choice([-1, 1], (batch, inputs))
        weight = random.choice([-1, 1] if code == "binary" else [-1, 0, 1], (outputs, inputs))
        arranged = weight[vectors.order()]
        planes = [np.abs(arranged)] if code == "binary" else [arranged == 1, arranged == -1]
        pack = packing.pack_bitserial_binary if code == "binary" else packing.pack_bitserial_ternary
        scales = [np.full(vectors.shape, float(i == 0)) for i in range(len(planes))]
        given = {
            "data": packing.pack_signs(x),
            "weight": pack(arranged[..., None, None], vectors.width),
            "total": np.stack([plane.sum(axis=1).reshape(vectors.shape) for plane in planes], axis=1),
            "scale": np.stack(scales, axis=1),
            **lane_constants(vectors, bias=bias),
        }
        return Case(BitserialDense(batch, inputs, outputs, code), given, x @ weight.T + bias)

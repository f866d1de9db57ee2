"""Kernels of activations, norms, borders, resizing and slices conform, against torch in double precision."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from runtime import workload as w
from runtime.testing import Case, KernelConformance
from tests.runtime.harness import run_kernel


def normal(random, *shape):
    return random.standard_normal(shape, np.float32)


def number(random, low, high):
    """A whole number, both ends included."""
    return int(random.integers(low, high, endpoint=True))


def by_torch(function, *arrays):
    """What torch makes of arrays in double precision."""
    return function(*(torch.from_numpy(a).double() for a in arrays)).numpy()


def planes(random, *more):
    """An image (N, H, W, C) of odd sides, and the sides of another."""
    height, width, *rest = (number(random, 1, 9) for _ in range(2 + len(more)))
    channels = (3, 16, 20, 64)[number(random, 0, 3)]
    return normal(random, number(random, 1, 2), height, width, channels), (*rest,)


def as_torch(function):
    """A function of (N, C, H, W) for (N, H, W, C)."""
    return lambda x: function(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class OfLayers(KernelConformance):
    examples, rtol, atol = 2, 1e-5, 1e-6


class Activation(OfLayers):
    """An activation, with its constants."""

    constants: ClassVar = {}

    def case(self, random):
        x = 4 * normal(random, number(random, 1, 300))
        work = self.workload(x.size)
        return Case(work, {"data": x, **self.constants}, by_torch(self.function, x))


class TestSilu(Activation):
    workload, function = staticmethod(lambda n: w.Silu(1, n)), staticmethod(F.silu)


class TestHardsigmoid(Activation):
    workload, function = staticmethod(lambda n: w.Hardsigmoid(1, n)), staticmethod(F.hardsigmoid)


class TestHardswish(Activation):
    workload, function = staticmethod(lambda n: w.Hardswish(1, n)), staticmethod(F.hardswish)


class TestGelu(Activation):
    workload, function = staticmethod(lambda n: w.Gelu(1, n)), staticmethod(F.gelu)


class TestGeluByTanh(Activation):
    workload = staticmethod(lambda n: w.Gelu(1, n, tanh=True))
    function = staticmethod(lambda x: F.gelu(x, approximate="tanh"))


class TestElu(Activation):
    constants: ClassVar = {"alpha": np.array([0.7], np.float32)}
    workload, function = staticmethod(lambda n: w.Elu(1, n)), staticmethod(lambda x: F.elu(x, 0.7))


class Norm(OfLayers):
    rtol, atol = 1e-5, 1e-5

    def given(self, random, channels):
        scale, bias = normal(random, 2, channels)
        return {"scale": scale, "bias": bias, "epsilon": np.array([1e-3], np.float32)}


class TestLayerNorm(Norm):
    def case(self, random):
        batch, rows = number(random, 1, 3), number(random, 1, 5)
        features = (17, 96, 16 * 300)[number(random, 0, 2)]
        x, given = 2 + normal(random, batch, rows, features), self.given(random, features)
        expected = by_torch(
            lambda x, a, b: F.layer_norm(x, (features,), a, b, 1e-3), x, given["scale"], given["bias"]
        )
        return Case(w.LayerNorm(batch, rows, features), {"data": x, **given}, expected)


class TestGroupNorm(Norm):
    def case(self, random):
        groups, depth = number(random, 1, 4), (1, 3, 16, 40)[number(random, 0, 3)]
        batch, pixels, channels = number(random, 1, 2), number(random, 2, 600), groups * depth
        x, given = 2 + normal(random, batch, pixels, channels), self.given(random, channels)

        def normed(x, a, b):
            return F.group_norm(x.transpose(1, 2), groups, a, b, 1e-3).transpose(1, 2)

        expected = by_torch(normed, x, given["scale"], given["bias"])
        return Case(w.GroupNorm(batch, pixels, channels, groups), {"data": x, **given}, expected)


class TestSoftmax(OfLayers):
    log = False

    def case(self, random):
        batch, rows, features = (
            number(random, 1, 3),
            number(random, 1, 5),
            (10, 33, 1000)[number(random, 0, 2)],
        )
        x = 5 * normal(random, batch, rows, features) + 100
        function = torch.log_softmax if self.log else torch.softmax
        return Case(
            w.Softmax(batch, rows, features, self.log), {"data": x}, by_torch(lambda x: function(x, -1), x)
        )


class TestLogSoftmax(TestSoftmax):
    log = True


class TestPad2d(OfLayers):
    def case(self, random):
        x, _ = planes(random)
        top, bottom, left, right = (number(random, 0, 3) for _ in range(4))
        before, behind, is_zero = number(random, 0, 1), number(random, 0, 20), bool(random.integers(2))
        value = 0.0 if is_zero else 1.5
        border = [(0, 0), (top, bottom), (left, right), (before, behind)]
        expected = np.pad(x, border, constant_values=value)
        work = w.Pad2d(*x.shape, top, bottom, left, right, before, behind, is_zero)
        return Case(work, {"data": x, **({} if is_zero else {"value": np.float32(value)})}, expected)


class TestTakePixels(OfLayers):
    def case(self, random):
        x, sides = planes(random, "height", "width")
        row, column = (random.integers(0, own, n) for own, n in zip(x.shape[1:3], sides, strict=True))
        work = w.TakePixels(*x.shape[:3], *sides, x.shape[-1])
        return Case(work, {"data": x, "row": row, "column": column}, x[:, row][:, :, column])


class TestResizeBilinear(OfLayers):
    def case(self, random):
        x, sides = planes(random, "height", "width")
        arguments, parts = {"data": x}, []
        for name, far, own, n in zip(
            ("row", "column"), ("below", "behind"), x.shape[1:3], sides, strict=True
        ):
            near, share = random.integers(0, own, n), random.random(n, np.float32)
            beside = np.minimum(near + 1, own - 1)
            arguments |= {name: near, f"{name}_{far}": beside, f"{name}_share": share}
            parts.append((near, beside, share.astype(np.float64)))
        expected = x.astype(np.float64)
        for axis, (near, beside, share) in enumerate(parts, 1):
            share = np.expand_dims(share, [i for i in range(4) if i != axis])
            expected = expected.take(near, axis) * (1 - share) + expected.take(beside, axis) * share
        return Case(w.ResizeBilinear(*x.shape[:3], *sides, x.shape[-1]), arguments, expected)


class TestAdaptiveAvgPool(OfLayers):
    def case(self, random):
        x, sides = planes(random, "height", "width")
        expected = by_torch(as_torch(lambda x: F.adaptive_avg_pool2d(x, sides)), x)
        return Case(w.AdaptiveAvgPool(*x.shape[:3], *sides, x.shape[-1]), {"data": x}, expected)


class TestSlice(OfLayers):
    def case(self, random):
        batch, pixels, channels = (
            number(random, 1, 3),
            number(random, 1, 40),
            (12, 32, 100)[number(random, 0, 2)],
        )
        start = number(random, 0, channels - 1) // 4 * 4
        count, x = number(random, 1, channels - start), normal(random, batch, pixels, channels)
        work = w.Slice(batch, pixels, channels, start, count)
        return Case(work, {"data": x}, x[..., start : start + count])


class TestPermute(OfLayers):
    def case(self, random):
        shape = tuple(number(random, 1, 9) for _ in range(number(random, 2, 4)))
        order = tuple(int(i) for i in random.permutation(len(shape)))
        x = normal(random, number(random, 1, 2), *shape)
        return Case(w.Permute(len(x), shape, order), {"data": x}, x.transpose(0, *(i + 1 for i in order)))


EDGES = np.array([-np.inf, -1e30, -104, -88, -1e-30, 0, 1e-30, 88, 104, 1e30, np.nan], np.float32)


@pytest.mark.parametrize(
    ("workload", "function"),
    [
        (w.Sigmoid, torch.sigmoid),
        (w.Silu, F.silu),
        (w.Hardsigmoid, F.hardsigmoid),
        (w.Hardswish, F.hardswish),
        (w.Gelu, F.gelu),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_activations_all_over_their_range_and_beyond(workload, function):
    x = np.concatenate([EDGES, np.linspace(-30, 30, 4000, dtype=np.float32)])
    found, expected = run_kernel(workload(1, x.size), data=x), by_torch(function, x)
    finite = np.isfinite(x)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-6, atol=1e-6)
    assert np.isnan(found[len(EDGES) - 1])


def test_norms_of_many_numbers_far_from_zero():
    x = 50 + np.random.default_rng(0).standard_normal((1, 12544, 16)).astype(np.float32)
    ones, zeros = np.ones(16, np.float32), np.zeros(16, np.float32)
    found = run_kernel(
        w.GroupNorm(1, 12544, 16, 1), data=x, scale=ones, bias=zeros, epsilon=np.array([1e-5], np.float32)
    )
    expected = (x - x.mean(dtype=np.float64)) / x.std(dtype=np.float64)
    # in float32, x has 4e-6 of itself
    np.testing.assert_allclose(found.reshape(x.shape), expected, atol=2e-4)

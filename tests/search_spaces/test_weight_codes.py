"""Every weight code against its contract."""

import pytest
import torch

from search_spaces import InvalidInput, precisions
from search_spaces.layers import QuantConv2d
from search_spaces.precision import Precision
from search_spaces.quantizers import channel_scales, output_scales, ternary_codes
from search_spaces.testing import WeightCodeConformance
from search_spaces.weight_codes import weight_codes


class TestFloat(WeightCodeConformance):
    precision = precisions.get("float")


class TestInt8(WeightCodeConformance):
    precision = precisions.get("int8")

    def gradient(self, weight, scales, grad):
        """Straight through but for a largest weight whose quotient by the step rounds to above 127."""
        per_step = 1 / channel_scales(weight).view(-1, 1, 1, 1)
        return grad * ((weight * per_step).abs() <= 127)


class TestLearnedTernary(WeightCodeConformance):
    precision = precisions.get("ternary")

    def gradient(self, weight, scales, grad):
        codes = ternary_codes(weight)
        ones = torch.ones_like(weight)
        return grad * torch.where(
            codes > 0, scales["positive"], torch.where(codes < 0, scales["negative"], ones)
        )


class TestTernaryUnderBytes(TestLearnedTernary):
    precision = precisions.get("ternary-int8")


class TestAnalyticTernary(WeightCodeConformance):
    precision = precisions.get("twn")


class TestUnscaledBinary(WeightCodeConformance):
    precision = precisions.get("bnn")

    def gradient(self, weight, scales, grad):
        return grad * (weight.abs() <= 1)


class TestLearnedBinary(WeightCodeConformance):
    precision = precisions.get("binary")

    def gradient(self, weight, scales, grad):
        return grad * (weight.abs() <= 1) * scales["scale"].view(-1, 1, 1, 1)


class TestAnalyticBinary(WeightCodeConformance):
    precision = precisions.get("xnor")

    def gradient(self, weight, scales, grad):
        scale = output_scales(weight).view(-1, 1, 1, 1)
        return grad * (1 / weight[0].numel() + scale * (weight.abs() <= 1))


class TestDoReFa4(WeightCodeConformance):
    precision = precisions.get("dorefa4")
    is_idempotent = False

    def gradient(self, weight, scales, grad):
        """That of what is rounded."""
        latent = weight.clone().requires_grad_()
        (latent.tanh() / latent.tanh().abs().max().clamp_min(1e-12)).backward(grad)
        return latent.grad


class TestDoReFa2(TestDoReFa4):
    precision = precisions.get("dorefa2")


class TestDoReFa1(WeightCodeConformance):
    precision = precisions.get("dorefa1")


class TestDoReFa16(TestDoReFa4):
    precision = precisions.get("dorefa16")


class TestLearnedLevels1(WeightCodeConformance):
    precision = precisions.get("lq1-float")


class TestLearnedLevels2(WeightCodeConformance):
    precision = precisions.get("lq2")


class TestLearnedLevels3(WeightCodeConformance):
    precision = precisions.get("lq3")


class TestDoReFa8(TestDoReFa4):
    precision = precisions.get("dorefa8")


SUITES = (
    TestDoReFa1,
    TestDoReFa16,
    TestLearnedLevels1,
    TestLearnedLevels2,
    TestLearnedLevels3,
    *(TestFloat, TestInt8, TestLearnedTernary, TestAnalyticTernary),
    *(TestUnscaledBinary, TestLearnedBinary, TestAnalyticBinary, TestDoReFa2, TestDoReFa4, TestDoReFa8),
)


def test_every_code_has_its_suite():
    codes = {precisions.get(name).weight_code for name in precisions}
    assert {type(code) for code in codes} == {type(suite.precision.weight_code) for suite in SUITES}
    assert {code.name for code in codes} == set(weight_codes)


@pytest.mark.parametrize(
    ("weight", "scale", "says"),
    [
        ("int4", "learned", "precision.weight: unknown name 'int4'; did you mean 'int8'"),
        ("int8", "analytic", "precision.scale: 'analytic' does not go with 'int8' weights; choose 'learned'"),
        ("ternary", "none", "precision.scale: .*; choose 'learned' or 'analytic'"),
    ],
)
def test_codes_that_there_are_not_are_refused(weight, scale, says):
    with pytest.raises(InvalidInput, match=says):
        Precision("mine", weight, "float", scale=scale)


def test_codes_that_their_storage_does_not_hold_are_refused(monkeypatch):
    layer = QuantConv2d(2, 3, 1, precisions.get("dorefa8"))
    monkeypatch.setattr(layer.weight_code, "storage", "int8")
    with pytest.raises(InvalidInput, match=r"precision.weight: 'dorefa8' stores .* which int8 does not hold"):
        layer.stored_weights()

"""Quantizers against their papers' equations, read literally."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.quantizers import (
    channel_scales,
    dither_mask,
    dithered,
    fake_quantize,
    sign,
    ternarize,
    ternary_codes,
)


def test_sign_maps_zero_to_plus_one():
    x = torch.tensor([-2.0, -1e-30, -0.0, 0.0, 1e-30, 3.0])
    assert sign(x).tolist() == [-1, -1, 1, 1, 1, 1]


def test_sign_passes_gradients_within_one_only():
    x = torch.tensor([-1.5, -1.0, -0.5, 0.0, 1.0, 1.001], requires_grad=True)
    sign(x).backward(torch.arange(1.0, 7.0))
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0]


def equation_10(i_x, i_y, i_z):
    """Equations 9 and 10 as they are printed, with Python's integers and operators."""
    m = (((i_x + i_z * 67) + i_y * 236) * 119 & 255) / 255.0
    return 2.0 * m - 1.0


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (70, 9, 4), (2, 40, 300)])
@pytest.mark.parametrize("mode", ["2d", "3d"])
def test_dither_mask_is_equation_10(shape, mode):
    channels, height, width = shape
    expected = [
        [[equation_10(x, y, 1 if mode == "2d" else z) for x in range(width)] for y in range(height)]
        for z in range(channels)
    ]
    assert torch.equal(dither_mask(*shape, mode), torch.tensor(expected, dtype=torch.float64).float())


def test_dither_mask_values_by_hand():
    # 67 * 119 = 7973 = 31 * 256 + 37; one column on 37 + 119 = 156; one row on 37 + 236 * 119 % 256 = 217
    expected = torch.tensor([[37, 156], [217, 80]]) / 255 * 2 - 1
    torch.testing.assert_close(dither_mask(1, 2, 2, "2d")[0], expected)


def test_dithered_sign_keeps_the_mean_of_grey():
    grey = torch.full((1, 1, 64, 64), 0.25)
    assert sign(dithered(grey, "2d")).mean().item() == pytest.approx(0.25, abs=0.02)


def test_features_are_dithered_as_channels_of_one_pixel():
    x = torch.randn(4, 9)
    assert torch.equal(dithered(x, "3d"), dithered(x.view(4, 9, 1, 1), "3d").view(4, 9))


def test_ternary_codes_are_zero_up_to_and_at_the_threshold():
    weight = torch.tensor([1.0, 0.0501, 0.05, 0.0, -0.05, -0.0501, -0.7])
    assert ternary_codes(weight).tolist() == [1, 1, 0, 0, 0, -1, -1]
    assert ternary_codes(torch.zeros(3)).tolist() == [0, 0, 0]


floats = st.floats(-2, 2, width=32)


@settings(deadline=None)
@given(st.lists(floats, min_size=1, max_size=30), floats, floats, st.integers(0, 2**31))
def test_ttq_is_equations_1_to_5(weights, positive, negative, seed):
    grads = torch.randn(len(weights), generator=torch.Generator().manual_seed(seed)).double()
    w, p, n = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (weights, positive, negative)
    )
    result = ternarize(w, p, n)
    result.backward(grads)
    delta = 0.05 * max(abs(v) for v in weights)
    above, below = [v > delta for v in w.tolist()], [v < -delta for v in w.tolist()]
    values = [p.item() if a else -n.item() if b else 0.0 for a, b in zip(above, below, strict=True)]
    factors = [p.item() if a else n.item() if b else 1.0 for a, b in zip(above, below, strict=True)]
    assert result.tolist() == values
    assert w.grad.tolist() == [g * f for g, f in zip(grads.tolist(), factors, strict=True)]
    assert p.grad.item() == pytest.approx(sum(g for g, a in zip(grads.tolist(), above, strict=True) if a))
    assert n.grad.item() == pytest.approx(-sum(g for g, b in zip(grads.tolist(), below, strict=True) if b))


def test_ttq_scale_gradients_are_those_of_the_loss():
    torch.manual_seed(0)
    weight, grads = torch.randn(50).double(), torch.randn(50).double()
    scales = [torch.tensor(1.3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)]
    for scale in scales:
        scale.requires_grad_()

    def loss(positive, negative):
        return (grads * ternarize(weight, positive, negative)).sum()

    # the loss is linear in both scales, so differences of any width are exact
    assert torch.autograd.gradcheck(loss, scales)


def test_fake_quantize_rounds_halves_to_even_and_clamps():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, 300.0, -300.0])
    assert fake_quantize(x, torch.tensor(1.0), -127, 127).tolist() == [0, 2, 2, 0, 127, -127]
    assert fake_quantize(x, torch.tensor(0.5), 0, 255).tolist() == [0.5, 1.5, 2.5, 0, 127.5, 0]


def test_fake_quantize_passes_gradients_within_the_range_only():
    x = torch.tensor([-0.1, 0.0, 1.0, 25.5, 25.6], requires_grad=True)
    fake_quantize(x, torch.tensor(0.1), 0, 255).backward(torch.arange(1.0, 6.0))
    assert x.grad.tolist() == [0, 2, 3, 4, 0]


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_int8_weights_are_at_most_half_a_step_off(channels, seed):
    weight = torch.randn(channels, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    scales = channel_scales(weight)
    torch.testing.assert_close(scales * 127, weight.abs().amax((1, 2, 3)))
    steps = scales.view(-1, 1, 1, 1)
    assert ((fake_quantize(weight, steps, -127, 127) - weight).abs() <= 0.501 * steps).all()


def test_scales_of_zero_weights_are_positive():
    assert (channel_scales(torch.zeros(2, 3)) > 0).all()

"""Quantizers against their papers' equations, read literally."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from search_spaces.plain_layers import OutputScale
from search_spaces.quantizers import (
    binarize_analytically,
    channel_scales,
    dither_mask,
    dithered,
    dorefa_weight,
    fake_quantize,
    levels,
    output_scales,
    sign,
    symmetric_codes,
    symmetric_scale,
    ternarize,
    ternarize_symmetrically,
    ternary_codes,
)

SEEDS = st.integers(0, 2**31)


def test_sign_maps_zero_to_plus_one():
    x = torch.tensor([-2.0, -1e-30, -0.0, 0.0, 1e-30, 3.0])
    assert sign(x).tolist() == [-1, -1, 1, 1, 1, 1]


def test_sign_passes_gradients_within_one_only():
    x = torch.tensor([-1.5, -1.0, -0.5, 0.0, 1.0, 1.001], requires_grad=True)
    sign(x).backward(torch.arange(1.0, 7.0))
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize(("low", "high"), [(-127, 127), (0, 255), (-3, 0), (-1, 1)])
def test_gradients_pass_up_to_both_ends_and_no_float_further(dtype, as_tensors, low, high):
    ends = torch.tensor([low, high], dtype=dtype)
    beyond = torch.nextafter(ends, torch.tensor([-np.inf, np.inf], dtype=dtype))
    tiny = torch.finfo(dtype).tiny  # a denormal is as good as a zero
    x = torch.cat([ends, torch.where(ends == 0, beyond.sign() * tiny, beyond), torch.tensor([low + 0.5])])
    x = x.to(dtype).requires_grad_()
    bounds = (torch.tensor(float(low)), torch.tensor(float(high))) if as_tensors else (low, high)
    fake_quantize(x, torch.tensor(1.0, dtype=dtype), *bounds).backward(torch.full_like(x, 3))
    assert x.grad.tolist() == [3, 3, 0, 0, 3]


@pytest.mark.parametrize("mode", ["2d", "3d"])
def test_quantizers_leave_channels_last_where_they_are(mode):
    x, step = torch.randn(2, 6, 3, 4), torch.tensor(0.1)
    for quantize in (sign, lambda x: dithered(x, mode), lambda x: fake_quantize(x, step, 0, 255)):
        given = x.clone(memory_format=torch.channels_last).requires_grad_()
        found = quantize(given)
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(found, quantize(x))
        found.backward(x.clone(memory_format=torch.channels_last))
        assert given.grad.is_contiguous(memory_format=torch.channels_last)


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


@pytest.mark.parametrize("mode", ["2d", "3d"])
def test_features_of_an_image_get_the_mask_of_its_pixels(mode):
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(dithered(x.flatten(1), mode, (4, 5)), dithered(x, mode).flatten(1))


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


def gradient(function, weight, to):
    """The gradient that ``function`` gives for a loss whose gradient of the result is ``to``."""
    weight = weight.clone().requires_grad_()
    function(weight).backward(to)
    return weight.grad


@given(arrays(np.float32, (4, 3, 2), elements=st.floats(-2, 2, width=32)), SEEDS)
def test_symmetric_ternary_is_the_best_scale_for_its_codes(weights, seed):
    weight = torch.from_numpy(weights)
    codes, scale = symmetric_codes(weight).double(), symmetric_scale(weight).double()
    delta = 0.7 * weights.astype(np.float64).__abs__().mean()
    clear = abs(abs(weights) - delta) > 1e-5  # beside the threshold, rounding decides
    expected = np.sign(weights) * (abs(weights) > delta)
    np.testing.assert_array_equal(codes.numpy()[clear], expected[clear])
    nonzero = codes != 0
    if nonzero.any():
        # equation 5 minimizes |w - a t|^2 for these codes: its derivative by a is zero there
        residual = ((weight.double() - scale * codes) * codes).sum()
        assert abs(float(residual)) < 1e-4
    g = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(gradient(ternarize_symmetrically, weight, g), g)
    assert torch.equal(ternarize_symmetrically(weight), symmetric_codes(weight) * symmetric_scale(weight))


@given(arrays(np.float32, (4, 3, 2), elements=st.floats(-2, 2, width=32)), SEEDS)
def test_xnor_is_equations_4_and_6_and_its_gradient(weights, seed):
    weight = torch.from_numpy(weights)
    scales = abs(weights).reshape(4, -1).mean(1)
    signs = np.where(weights >= 0, 1, -1)
    np.testing.assert_allclose(
        binarize_analytically(weight).numpy(), signs * scales[:, None, None], rtol=1e-5
    )
    g = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
    expected = g.numpy() * (1 / 6 + scales[:, None, None] * (abs(weights) <= 1))
    np.testing.assert_allclose(
        gradient(binarize_analytically, weight, g).numpy(), expected, rtol=1e-4, atol=1e-6
    )


def test_the_analytic_scale_fits_the_signs_best():
    weight = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    fitted = (weight - binarize_analytically(weight)).square().sum(1)
    for factor in (0.9, 1.1):
        assert (fitted < (weight - factor * binarize_analytically(weight)).square().sum(1)).all()


@pytest.mark.parametrize("bits", range(2, 9))
def test_dorefa_is_equations_5_6_and_9(bits):
    weight = torch.randn(300, generator=torch.Generator().manual_seed(bits))
    bent = np.tanh(weight.double().numpy())
    unit = bent / (2 * abs(bent).max()) + 0.5
    highest = 2**bits - 1
    expected = 2 * np.round(unit * highest) / highest - 1
    found = dorefa_weight(weight, bits).numpy()
    clear = abs(unit * highest % 1 - 0.5) > 1e-3
    np.testing.assert_allclose(found[clear], expected[clear], atol=1e-6)
    steps = found * highest
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert set(np.round(steps).astype(int) % 2) == {1}, "odd numbers"
    assert abs(found).max() == 1
    x = torch.tensor([-0.2, 0.0, 0.3, 0.51, 1.0, 1.7])
    found = levels(x, bits).numpy()
    np.testing.assert_allclose(found, np.round(x.clip(0, 1).numpy() * highest) / highest, atol=1e-6)
    assert gradient(lambda t: levels(t, bits), x, torch.ones(6)).tolist() == [0, 1, 1, 1, 1, 0]


def test_the_gradient_of_dorefas_weights_is_that_of_the_function_before_rounding():
    weight = torch.randn(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    to = torch.randn(40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = gradient(lambda w: dorefa_weight(w, 8), weight, to)

    def smooth(w):
        return ((w.tanh() / w.tanh().abs().max()) * to).sum()

    for index in range(40):
        step = torch.zeros(40, dtype=torch.float64)
        step[index] = 1e-6
        slope = (smooth(weight + step) - smooth(weight - step)) / 2e-6
        assert found[index] == pytest.approx(float(slope), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("case", [1, 2, 3, 4])
def test_output_scales_are_equations_4_to_7(case):
    layer = OutputScale(3, 4, 5, case)
    torch.manual_seed(case)
    for factor in layer.factors:
        nn.init.normal_(factor)
    a, *rest = (f.detach().numpy() for f in layer.factors)
    if case == 1:
        expected = np.broadcast_to(a, (3, 4, 5))
    elif case == 2:
        expected = a
    elif case == 3:
        expected = np.einsum("c,hw->chw", a[:, 0, 0], rest[0][0])
    else:
        expected = np.einsum("c,h,w->chw", a[:, 0, 0], rest[0][0, :, 0], rest[1][0, 0])
    counts = {1: 3, 2: 60, 3: 3 + 20, 4: 3 + 4 + 5}
    assert sum(f.numel() for f in layer.factors) == counts[case]
    x = torch.randn(2, 3, 4, 5)
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy() * expected, rtol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(np.broadcast_to(layer.merged().numpy(), (3, 4, 5)), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_learned_scales_come_closer_than_analytic_ones(seed):
    """The ordering of XNOR-Net++'s table 2: direct, XNOR-Net, case 1, cases 3 and 4.

    As there, binary weights are sign(W), W and the input are normal, and the scales are trained on that
    input; zeros around it for both. Case 3 holds case 4, so once it has converged it is the closer of the
    two; the paper has them a standard deviation apart, the other way round.
    """
    torch.manual_seed(seed)
    weight, x = torch.randn(64, 64, 3, 3), torch.randn(1, 64, 16, 16)
    real = F.conv2d(x, weight, padding=1)
    signs = F.conv2d(sign(x), sign(weight), padding=1)

    def distance(found):
        return float((found.detach() - real).abs().mean())

    def learned(case):
        layer = OutputScale(64, 16, 16, case)
        for factor in layer.factors:
            nn.init.constant_(factor, 0.8 ** (1 / len(layer.factors)))
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
        for _ in range(300):
            optimizer.zero_grad()
            (layer(signs) - real).abs().mean().backward()
            optimizer.step()
        return distance(layer(signs))

    alpha = output_scales(weight).view(1, -1, 1, 1)
    beta = F.conv2d(x.abs().mean(1, keepdim=True), torch.full((1, 1, 3, 3), 1 / 9), padding=1)
    case1, case3, case4 = (learned(case) for case in (1, 3, 4))
    assert distance(signs) > distance(alpha * beta * signs) > case1 > case4 > case3

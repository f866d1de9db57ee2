"""LQ-Net's levels against a reference that tries every code, and least squares by numpy."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import precisions
from search_spaces.activation import InputActivation
from search_spaces.layers import QuantConv2d
from search_spaces.learned_levels import (
    first_basis,
    levels_of,
    nearest_rows,
    quantize_all,
    quantize_rows,
    refit,
)

SOME = settings(max_examples=30, deadline=None, derandomize=True)
NUMBERS = {"bits": st.integers(1, 3), "lowest": st.sampled_from([-1, 0]), "seed": st.integers(0, 2**32 - 1)}


def all_codes(bits, lowest):
    """Every row of digits."""
    return np.array(list(product([lowest, 1], repeat=bits)), float)


def nearest_codes(numbers, basis, lowest):
    """The digits of the nearest level of each number, by trying all: (K, n)."""
    codes = all_codes(len(basis), lowest)
    return codes[np.abs(numbers[:, None] - codes @ basis).argmin(axis=1)]


def drawn(bits, lowest, seed, rows=3, count=200):
    """Numbers (R, K), not negative where digits are 0 and 1, and bases (R, n)."""
    values = np.random.default_rng(seed)
    numbers = values.standard_normal((rows, count)) * values.uniform(0.1, 5)
    numbers = np.maximum(numbers, 0) if lowest == 0 else numbers
    return torch.tensor(numbers), torch.tensor(values.uniform(0.2, 2, (rows, bits)))


@given(**NUMBERS)
@SOME
def test_numbers_take_the_nearest_of_all_levels(bits, lowest, seed):
    numbers, basis = drawn(bits, lowest, seed)
    levels = levels_of(basis, lowest)
    found = levels.values.gather(1, nearest_rows(numbers, levels)).numpy()
    expected = [nearest_codes(x, v, lowest) @ v for x, v in zip(numbers.numpy(), basis.numpy(), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose((levels.digits @ basis[..., None])[..., 0], levels.values)


@given(**NUMBERS)
@SOME
def test_a_fit_is_the_least_squares_solution_for_the_nearest_codes(bits, lowest, seed):
    numbers, basis = drawn(bits, lowest, seed)
    found = refit(numbers, basis, lowest).numpy()
    for x, v, fitted in zip(numbers.numpy(), basis.numpy(), found, strict=True):
        codes = nearest_codes(x, v, lowest)
        expected, _, rank, _ = np.linalg.lstsq(codes, x, rcond=None)
        if rank == bits:
            np.testing.assert_allclose(fitted, expected, rtol=1e-4, atol=1e-5)
        else:  # many bases are as good
            np.testing.assert_allclose(codes @ fitted, codes @ expected, rtol=1e-4, atol=1e-5)


@given(**NUMBERS)
@SOME
def test_the_error_never_grows(bits, lowest, seed):
    numbers, basis = drawn(bits, lowest, seed)

    def error(basis):
        levels = levels_of(basis, lowest)
        return (levels.values.gather(1, nearest_rows(numbers, levels)) - numbers).square().sum(1)

    before = error(basis)
    for _ in range(5):
        basis = refit(numbers, basis, lowest)
        now = error(basis)
        assert (now <= before * (1 + 1e-6) + 1e-9).all()
        before = now


@pytest.mark.parametrize(("bits", "most"), [(1, 0.37), (2, 0.125), (3, 0.045)])
def test_normal_numbers_are_coded_about_as_well_as_they_can_be(bits, most):
    """Max's quantizers lose 0.363, 0.118 and 0.0345 of the variance; sums of a basis are fewer levels."""
    numbers = torch.randn(4, 20_000, generator=torch.Generator().manual_seed(0))
    levels = levels_of(first_basis(numbers, bits, -1), -1)
    lost = (levels.values.gather(1, nearest_rows(numbers, levels)) - numbers).square().mean()
    assert lost < most


def test_one_bit_is_the_mean_of_sizes():
    numbers = torch.randn(5, 300)
    torch.testing.assert_close(first_basis(numbers, 1, -1)[:, 0], numbers.abs().mean(1))


@pytest.mark.parametrize("numbers", [torch.zeros(2, 50), torch.full((2, 50), 3.0)])
@pytest.mark.parametrize("lowest", [-1, 0])
def test_numbers_that_are_all_alike_are_coded_exactly(numbers, lowest):
    levels = levels_of(first_basis(numbers, 2, lowest), lowest)
    found = levels.values.gather(1, nearest_rows(numbers, levels))
    torch.testing.assert_close(found, numbers, rtol=1e-4, atol=1e-4)


def test_gradients_go_straight_through():
    weight, to = torch.randn(3, 2, 3, 3, requires_grad=True), torch.randn(3, 2, 3, 3)
    (found,) = torch.autograd.grad(quantize_rows(weight, torch.rand(3, 2)), weight, to)
    assert torch.equal(found, to)
    basis = torch.tensor([0.5, -0.25, 1.0])  # from -0.25 to 1.5
    x = torch.tensor([-1.0, -0.25, -0.2, 0.0, 0.7, 1.5, 1.6], requires_grad=True)
    (found,) = torch.autograd.grad(quantize_all(x, basis).sum(), x)
    assert found.tolist() == [0, 1, 1, 1, 1, 1, 0]


def test_a_basis_moves_a_tenth_of_the_way_once_ten_batches_were_seen():
    torch.manual_seed(0)
    activation = InputActivation(precisions.get("lq2"), relu=True).train()
    for _ in range(12):
        activation(torch.randn(4, 3, 8, 8))
    before, batch = activation.basis.clone(), torch.randn(4, 3, 8, 8) * 2
    activation(batch)
    fitted = refit(batch.clamp_min(0).reshape(1, -1), before[None], 0)[0]
    torch.testing.assert_close(activation.basis, 0.9 * before + 0.1 * fitted)
    assert set(activation.eval()(batch).unique().tolist()) <= set(
        levels_of(activation.basis, 0).values.tolist()
    )


def test_zero_is_a_level_of_inputs_whatever_they_were():
    for relu in (True, False):
        activation = InputActivation(precisions.get("lq3"), relu=relu).train()
        activation(torch.randn(2, 3, 8, 8) - 0.5)
        assert (levels_of(activation.basis, 0).values == 0).any()


def test_the_basis_of_weights_follows_them_in_training_only():
    torch.manual_seed(0)
    layer, x = QuantConv2d(4, 5, 3, precisions.get("lq2")), torch.randn(1, 4, 5, 5)
    assert "basis" not in dict(layer.named_parameters()) and "basis" in layer.state_dict()
    with torch.no_grad():
        layer.weight += 0.1 * torch.randn_like(layer.weight)
    before = layer.basis.clone()
    layer.eval()(x)
    assert torch.equal(layer.basis, before)
    layer.train()(x)
    torch.testing.assert_close(layer.basis, refit(layer.weight.detach().flatten(1), before, -1))


def test_weights_in_other_memory_give_the_same():
    activation = InputActivation(precisions.get("lq2"), relu=True).train()
    x = torch.randn(2, 4, 6, 6)
    activation(x)
    other = activation.eval()(x.to(memory_format=torch.channels_last))
    assert torch.equal(other, activation(x)) and other.is_contiguous(memory_format=torch.channels_last)

"""LQ-Net's levels: sums of a few learned numbers, which are fitted to what is coded with them.

[LQ] is Zhang et al., *LQ-Nets: Learned Quantization for Highly Accurate and Compact Deep Neural Networks*. A
basis v of n numbers makes 2^n levels, ``v . b``. Digits b are -1 and 1 for weights, 0 and 1 for activations,
so that a zero, and with it padding, is a level whatever v is.
"""

import itertools
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd import Function

from search_spaces.quantizers import passed

Lowest = Literal[-1, 0]
"""The lower digit; the higher one is 1."""

RIDGE = 1e-8
"""Share of the numbers by which a fit is held to the basis before it, where their codes leave it open."""

FIRST_FITS = 10
"""Alternations from a start that knows nothing of the numbers."""


class Levels(NamedTuple):
    """The levels of bases (..., n), the lowest first.

    Attributes:
        values: (..., 2^n).
        thresholds: (..., 2^n - 1), halfway between neighbours; a number that reaches one is coded above it.
        digits: (..., 2^n, n): the digits that each level has.
    """

    values: Tensor
    thresholds: Tensor
    digits: Tensor


@lru_cache(maxsize=16)
def _all_digits(bits: int, lowest: Lowest) -> Tensor:
    """Of all codes 0 to 2^n - 1, the digit of v_0 first: (2^n, n)."""
    codes = torch.arange(1 << bits, device="cpu")
    ones = (codes[:, None] >> torch.arange(bits, device="cpu")) & 1
    return torch.where(ones == 1, 1, lowest)


def levels_of(basis: Tensor, lowest: Lowest) -> Levels:
    """The levels that bases (..., n) make ([LQ] section 3.2)."""
    digits = _all_digits(basis.shape[-1], lowest).to(basis)
    values, order = torch.sort((basis[..., None, :] * digits).sum(-1), dim=-1, stable=True)
    thresholds = (values[..., 1:] + values[..., :-1]) / 2
    return Levels(values, thresholds, digits[order])


def refit(numbers: Tensor, basis: Tensor, lowest: Lowest) -> Tensor:
    """One alternation of quantization error minimization ([LQ] algorithm 1); a new basis (R, n).

    Numbers (R, K) are coded by the nearest levels of their row's basis (R, n), as the rows of B; then v is
    the least squares solution ``(B^T B)^-1 B^T x``. The error never grows. What the codes leave open stays.
    """
    levels = levels_of(basis, lowest)
    reached = [numbers >= threshold[:, None] for threshold in levels.thresholds.unbind(-1)]
    counts, sums = _by_level(numbers, reached)
    digits = levels.digits.double()
    gram = torch.einsum("rl,rli,rlj->rij", counts, digits, digits)  # B^T B
    product = torch.einsum("rl,rli->ri", sums, digits)  # B^T x
    ridge = RIDGE * numbers.shape[1]
    gram = gram + ridge * torch.eye(basis.shape[-1], dtype=gram.dtype, device=gram.device)
    fitted = torch.linalg.solve(gram, product + ridge * basis.double())
    return cast(Tensor, fitted.to(basis.dtype))


def _by_level(numbers: Tensor, reached: list[Tensor]) -> tuple[Tensor, Tensor]:
    """How many numbers of a row have each level, and their sum: (R, 2^n), in float64."""
    count = torch.full_like(numbers[:, 0], numbers.shape[1], dtype=torch.float64)
    counts = [count, *(each.sum(-1).double() for each in reached), torch.zeros_like(count)]
    total = numbers.sum(-1, dtype=torch.float64)
    sums = [
        total,
        *((numbers * each).sum(-1, dtype=torch.float64) for each in reached),
        torch.zeros_like(total),
    ]
    return tuple(  # type: ignore[return-value]  # two of them
        torch.stack([above - below for above, below in itertools.pairwise(each)], -1)
        for each in (counts, sums)
    )


def first_basis(numbers: Tensor, bits: int, lowest: Lowest) -> Tensor:
    """A basis (R, n) fitted to numbers (R, K): from evenly spaced levels over the middle of them."""
    size = numbers.abs().mean(-1, keepdim=True).clamp_min(1e-8)  # (R, 1)
    spaced = size * 2.0 ** torch.arange(bits, device=numbers.device) * (2.0 if lowest == 0 else 1.5) / 2**bits
    basis: Tensor = size if bits == 1 and lowest == -1 else spaced
    for _ in range(FIRST_FITS):
        basis = refit(numbers, basis, lowest)
    return basis


def nearest_rows(numbers: Tensor, levels: Levels) -> Tensor:
    """Which level each number of the rows (R, K) has: whole numbers of 0 to 2^n - 1."""
    found = torch.zeros_like(numbers, dtype=torch.int64)
    for threshold in levels.thresholds.unbind(-1):
        found += numbers >= threshold[:, None]
    return found


class _OfRows(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, basis: Tensor) -> Tensor:
        levels = levels_of(basis, -1)
        which = nearest_rows(weight.flatten(1), levels)
        return levels.values.gather(1, which).view_as(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def quantize_rows(weight: Tensor, basis: Tensor) -> Tensor:
    """Each weight (O, ...) as the nearest level of its output channel's basis (O, n).

    Gradient: straight through to the weights; the basis is fitted, and takes none ([LQ] section 3.3).
    """
    return cast(Tensor, _OfRows.apply(weight, basis))  # type: ignore[no-untyped-call]  # torch's


class _OfOne(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, basis: Tensor) -> Tensor:
        values, thresholds, _ = levels_of(basis, 0)
        ctx.save_for_backward(x, values)
        found = values[0].expand(x.shape)
        for value, threshold in zip(values[1:], thresholds, strict=True):
            found = torch.where(x >= threshold, value, found)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, values = ctx.saved_tensors
        return passed(grads[0], x, values[0], values[-1]), None


def quantize_all(x: Tensor, basis: Tensor) -> Tensor:
    """Each number, of any shape, as the nearest level of one basis (n,) with digits 0 and 1.

    Gradient: straight through between the lowest and the highest level, else 0, as [LQ]'s code clips it.
    """
    return cast(Tensor, _OfOne.apply(x, basis))  # type: ignore[no-untyped-call]  # torch's

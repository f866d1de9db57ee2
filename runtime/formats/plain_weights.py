"""Weights of a trained layer as whole numbers and few reals, from which the layer computes the same.

A layer keeps latent weights that its codes are made of. All that prediction needs are the codes and their
scales, so a file holds these, and latent weights are made that give the same codes again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.formats.coding import entropy_bits

Reals = NDArray[np.float32]

RAW, SPARSE, LEVELS, CODES, SCALED, BENT = range(6)
"""Forms of weights. As they are; those that are not zero; which of a few numbers; codes; codes times a scale,
of the layer or of each output channel; codes behind the tanh of DoReFa's equation 9."""
SHRUNK = 0.9
"""What the codes of ``BENT`` are multiplied by, so that they have an inverse tanh; it cancels."""
MOST_LEVELS = 4096
CLOSE = 1e-6
"""How far a scale that is computed from weights may move: it is a sum of floats in another order."""


def no_reals() -> Reals:
    """None, (0,)."""
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class Plain:
    """Weights (O, ...) in a form.

    Attributes:
        form: one of the six.
        shape: of the weights.
        symbols: whole numbers from 0, one for each weight; none in ``RAW``.
        first: what the symbol 0 stands for, in forms of codes.
        step: between what two symbols stand for.
        kinds: symbols are below.
        zero: the symbol of a weight of zero, if there is one.
        reals: scales, or the numbers of ``LEVELS`` in their order; in ``SPARSE`` none.
        kept: weights that are stored as they are.
    """

    form: int
    shape: tuple[int, ...]
    symbols: NDArray[np.int64]
    first: int = 0
    step: int = 1
    kinds: int = 1
    zero: int | None = None
    reals: Reals = field(default_factory=no_reals)
    kept: Reals = field(default_factory=no_reals)

    def weights(self) -> Reals:
        """The latent weights that a layer gets, float32 of ``shape``."""
        return _restored(self).reshape(self.shape).astype(np.float32)


def plain(layer: Any) -> Plain:
    """A layer's weights in the first form that gives the same codes and scales, or the cheapest of floats."""
    weights = layer.weight.detach().cpu().numpy().astype(np.float32)
    stored = layer.stored_weights() if hasattr(layer, "stored_weights") else None
    if stored is None or stored.values.dtype.kind not in "iu":
        return _of_floats(weights)
    return next((each for each in _of_codes(weights, stored) if _gives(layer, each, stored)), _raw(weights))


def _of_floats(weights: Reals) -> Plain:
    """Raw, sparse or in levels, whichever takes least."""
    weights = weights + np.float32(0)  # a negative zero is a zero
    if not np.isfinite(weights).all():
        return _raw(weights)
    flat = weights.reshape(-1)
    held, found = flat[flat != 0], [(32.0 * flat.size, _raw(weights))]
    sparse = Plain(SPARSE, weights.shape, (flat != 0).astype(np.int64), kinds=2, zero=0, kept=held)
    found.append((32.0 * held.size + entropy_bits(sparse.symbols), sparse))
    levels, symbols = np.unique(flat, return_inverse=True)
    if len(levels) <= MOST_LEVELS:
        zero = int(np.searchsorted(levels, 0)) if 0 in levels else None
        several = Plain(
            LEVELS, weights.shape, symbols.reshape(-1), kinds=len(levels), zero=zero, reals=levels
        )
        found.append((32.0 * len(levels) + entropy_bits(symbols), several))
    return min(found, key=lambda each: each[0])[1]


def _of_codes(weights: Reals, stored: Any) -> Iterator[Plain]:
    """Forms to try, the cheapest first."""
    codes = stored.values.astype(np.int64)
    signs = np.sign(codes)
    yield _coded(CODES, codes)
    yield _coded(CODES, signs)
    yield _coded(BENT, codes)
    largest = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
    top = np.abs(codes).max(initial=1)
    for scales in (largest, stored.positive * np.float32(top)):
        yield _coded(SCALED, codes, _once(scales.astype(np.float32)))


def _coded(form: int, codes: NDArray[np.int64], reals: Reals | None = None) -> Plain:
    reals = no_reals() if reals is None else reals
    values = np.unique(codes)
    first = int(values[0])
    step = int(np.gcd.reduce(np.diff(values))) if len(values) > 1 else 1
    kinds = (int(values[-1]) - first) // step + 1
    symbols = (codes.reshape(-1) - first) // step
    return Plain(form, codes.shape, symbols, first, step, kinds, zero_of(first, step, kinds), reals)


def zero_of(first: int, step: int, kinds: int) -> int | None:
    """The symbol that stands for zero, among those that stand for ``first``, ``first + step``, ..."""
    place, rest = divmod(-first, step)
    return place if rest == 0 and 0 <= place < kinds else None


def _once(scales: Reals) -> Reals:
    """One scale where all channels have the same."""
    return scales[:1] if (scales == scales[0]).all() else scales


def _raw(weights: Reals) -> Plain:
    return Plain(RAW, weights.shape, np.zeros(0, np.int64), kept=weights.reshape(-1))


def _restored(given: Plain) -> NDArray[Any]:
    if given.form == RAW:
        return given.kept
    if given.form == SPARSE:
        flat = np.zeros(given.symbols.size, np.float32)
        flat[given.symbols == 1] = given.kept
        return flat
    if given.form == LEVELS:
        return given.reals[given.symbols]
    codes = given.symbols * given.step + given.first
    if given.form == CODES:
        return codes
    top = max(abs(given.first), abs(given.first + given.step * (given.kinds - 1)), 1)
    if given.form == BENT:
        return np.arctanh(SHRUNK * codes / top)
    scales = np.broadcast_to(given.reals, given.shape[0])[:, None]
    by_channel = codes.reshape(given.shape[0], -1)
    stepped = by_channel.astype(np.float32) * (scales / np.float32(top))
    # the largest exactly, as steps are computed from it
    return np.where(np.abs(by_channel) == top, np.sign(by_channel) * scales, stepped)


def _gives(layer: Any, given: Plain, stored: Any) -> bool:
    """Whether a layer of these weights has the same codes, and scales that differ by roundings at most."""
    import torch

    was = layer.weight.detach().clone()
    try:
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(given.weights()))
        found = layer.stored_weights()
    finally:
        with torch.no_grad():
            layer.weight.copy_(was)
    if not np.array_equal(found.values, stored.values):
        return False
    close = CLOSE if given.form == SCALED else 0.0
    pairs = ((found.positive, stored.positive), (found.negative, stored.negative))
    return all(np.allclose(one, other, rtol=close, atol=0) for one, other in pairs)

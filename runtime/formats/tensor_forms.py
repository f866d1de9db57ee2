"""How each tensor of a trained network is stored: weights in a form of theirs, all else where it is new.

What a freshly built network has anyway, such as the statistics of a folded batch norm, is not stored.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.formats.coding import Part
from runtime.formats.coding.bits import BitReader, BitWriter
from runtime.formats.plain_weights import (
    BENT,
    LEVELS,
    MOST_LEVELS,
    RAW,
    SCALED,
    SPARSE,
    Plain,
    Reals,
    no_reals,
    plain,
    zero_of,
)
from search_spaces.errors import CodingError, InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from search_spaces import Buildable

FORM_BITS = 3
MOST_CODE = 1 << 20
CONVOLUTION_GAPS, DENSE_GAPS = 8, 5
"""Bits of the gaps of Deep Compression's sparse layers."""


@dataclass(frozen=True)
class Other:
    """A tensor that holds no layer's weights.

    Attributes:
        is_new: whether it differs from a freshly built network's; others are not stored.
        reals: how many it has.
        integers: its numbers, where they are whole ones.
    """

    is_new: bool
    reals: int = 0
    integers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Content:
    """All that a file stores of a network, in the order of its tensors."""

    tensors: list[Plain | Other]
    reals: NDArray[np.floating[Any]]
    kept: Reals

    @property
    def weights(self) -> list[Plain]:
        """Those of layers."""
        return [each for each in self.tensors if isinstance(each, Plain)]

    @property
    def reals_count(self) -> int:
        """Of all tensors, as they are described."""
        return sum(_reals_of(each) for each in self.tensors)

    def kept_count(self, symbols: Sequence[NDArray[np.int64]]) -> int:
        """Weights that are stored as they are."""
        return sum(_kept_of(own, each) for own, each in zip(self.weights, symbols, strict=True))

    def filled(self, symbols: Sequence[NDArray[np.int64]], reals: Reals, kept: Reals) -> "Content":
        """The same with numbers that were read."""
        tensors, place, at, left = list[Plain | Other](), 0, 0, iter(symbols)
        for each in self.tensors:
            count = _reals_of(each)
            own, place = reals[place : place + count], place + count
            if isinstance(each, Plain):
                codes = next(left)
                held = _kept_of(each, codes)
                each = replace(each, symbols=codes, reals=own, kept=kept[at : at + held])
                at += held
            tensors.append(each)
        return Content(tensors, reals, kept)


def part_of(weights: Plain) -> Part:
    """What a coder must know of weights before it reads them."""
    gaps = DENSE_GAPS if len(weights.shape) == 2 else CONVOLUTION_GAPS
    count = 0 if weights.form == RAW else math.prod(weights.shape)
    return Part(count, weights.kinds, weights.zero, gaps)


def taken(module: "nn.Module", architecture: "Buildable", dtype: str) -> Content:
    """What is to be stored of a trained network; ``dtype`` is that of real numbers.

    Raises:
        InvalidInput: a number is too large for it.
    """
    own, fresh = copy.deepcopy(module).cpu().eval(), _fresh(architecture)
    fold_norms(own)
    layers, defaults = _layers(own), fresh.state_dict()
    tensors, reals = list[Plain | Other](), list[Reals]()
    found = own.state_dict()
    for name, default in defaults.items():  # in their order, which a module that was changed may have lost
        tensor = found[name]
        if name in layers:
            weights = plain(layers[name])
            tensors.append(weights)
            reals.append(weights.reals)
            continue
        other, numbers = _other(name, tensor, default)
        tensors.append(other)
        reals.append(numbers)
    kept = [each.kept for each in tensors if isinstance(each, Plain)]
    none = no_reals()
    return Content(tensors, _rounded(np.concatenate([none, *reals]), dtype), np.concatenate([none, *kept]))


def fold_norms(module: "nn.Module") -> None:
    """Let batch norms with weights compute the same from a mean of 0 and a variance of 1, in place.

    w (x - m) / sqrt(v + e) + b = a x / sqrt(1 + e) + (b - a m / sqrt(1 + e)), a = w sqrt((1 + e) / (v + e)).
    """
    import torch
    from torch import nn

    for norm in module.modules():
        if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or not norm.affine:
            continue
        if norm.running_mean is None or norm.running_var is None:
            continue
        mean, variance = norm.running_mean.double(), norm.running_var.double()
        one = 1 + norm.eps
        with torch.no_grad():
            factor = norm.weight.double() * (one / (variance + norm.eps)).sqrt()
            norm.bias.copy_(norm.bias.double() - factor * mean / one**0.5)
            norm.weight.copy_(factor)
            norm.running_mean.zero_()
            norm.running_var.fill_(1)


def put_back(architecture: "Buildable", content: Content) -> "nn.Module":
    """The network with what was stored of it, in eval mode.

    Raises:
        CodingError: a number is not finite.
    """
    import torch

    if not np.isfinite(content.reals.astype(np.float32)).all() or not np.isfinite(content.kept).all():
        raise CodingError("a number of it is not finite")
    module, place, reals = _fresh(architecture), 0, content.reals
    with torch.no_grad():
        for tensor, stored in zip(module.state_dict().values(), content.tensors, strict=True):
            if isinstance(stored, Plain):
                tensor.copy_(torch.from_numpy(stored.weights()))
                place += len(stored.reals)
            elif stored.is_new and stored.integers:
                tensor.copy_(torch.tensor(stored.integers).reshape(tensor.shape))
            elif stored.is_new:
                numbers = reals[place : place + stored.reals].astype(np.float32)
                tensor.copy_(torch.from_numpy(numbers.copy()).reshape(tensor.shape))
                place += stored.reals
    return module.eval()


def described(content: Content) -> bytes:
    """How tensors are stored, as bits."""
    writer = BitWriter()
    for each in content.tensors:
        if isinstance(each, Plain):
            _describe_weights(writer, each)
            continue
        writer.write(int(each.is_new), 1)
        for number in each.integers if each.is_new else ():
            writer.signed(number)
    return writer.to_bytes()


def undescribed(data: bytes, module: "nn.Module") -> Content:
    """What ``described`` said of the tensors of a module, whose own numbers do not matter; without numbers.

    Raises:
        CodingError: it says something that cannot be.
    """
    reader, layers, tensors = BitReader(data), _layers(module), list[Plain | Other]()
    for name, tensor in module.state_dict().items():
        if name in layers:
            tensors.append(_read_weights(reader, tuple(tensor.shape)))
        elif not reader.read(1):
            tensors.append(Other(False))
        elif tensor.is_floating_point():
            tensors.append(Other(True, tensor.numel()))
        else:
            tensors.append(Other(True, integers=tuple(reader.signed() for _ in range(tensor.numel()))))
    reader.end()
    none = no_reals()
    return Content(tensors, none, none)


def _fresh(architecture: "Buildable") -> "nn.Module":
    import torch

    import search_spaces

    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay
        return search_spaces.build(architecture)


def _layers(module: "nn.Module") -> dict[str, Any]:
    """Layers with weights, by the names of these."""
    from torch import nn

    from search_spaces.layers import QuantConv2d, QuantLinear

    kinds = (QuantConv2d, QuantLinear, nn.Conv2d, nn.Linear)
    return {
        f"{name}.weight" if name else "weight": m
        for name, m in module.named_modules()
        if isinstance(m, kinds)
    }


def _other(name: str, tensor: "Tensor", default: "Tensor") -> tuple[Other, Reals]:
    """How a tensor is stored, and its real numbers; how many batches it has seen in training is not."""
    none = no_reals()
    if name.rpartition(".")[2] in ("batches", "num_batches_tracked") or tensor.equal(default):
        return Other(False), none
    if tensor.is_floating_point():
        return Other(True, tensor.numel()), tensor.float().numpy().reshape(-1)
    return Other(True, integers=tuple(int(number) for number in tensor.reshape(-1).tolist())), none


def _rounded(reals: Reals, dtype: str) -> NDArray[np.floating[Any]]:
    with np.errstate(over="ignore"):
        found: NDArray[np.floating[Any]] = reals.astype(np.dtype(dtype).newbyteorder("<"))
    if not np.isfinite(found).all():
        problem = f"a scale or bias of {np.abs(reals).max():g} does not fit {dtype}"
        raise InvalidInput("float16_scales", problem, "leave it out")
    return found


def _reals_of(tensor: Plain | Other) -> int:
    return tensor.reals if isinstance(tensor, Other) else len(tensor.reals)


def _kept_of(weights: Plain, symbols: NDArray[np.int64]) -> int:
    if weights.form == RAW:
        return math.prod(weights.shape)
    return int((symbols == 1).sum()) if weights.form == SPARSE else 0


def _describe_weights(writer: BitWriter, weights: Plain) -> None:
    writer.write(weights.form, FORM_BITS)
    if weights.form == LEVELS:
        writer.count(weights.kinds - 1)
        writer.count(0 if weights.zero is None else weights.zero + 1)
    elif weights.form not in (RAW, SPARSE):
        writer.signed(weights.first)
        writer.count(weights.step - 1)
        writer.count(weights.kinds - 1)
    if weights.form == SCALED:
        writer.write(int(len(weights.reals) > 1), 1)


def _read_weights(reader: BitReader, shape: tuple[int, ...]) -> Plain:
    form, empty = reader.read(FORM_BITS), np.zeros(0, np.int64)
    if form > BENT:
        raise CodingError("its weights have a form that there is not")
    if form == RAW:
        return Plain(form, shape, empty)
    if form == SPARSE:
        return Plain(form, shape, empty, kinds=2, zero=0)
    if form == LEVELS:
        kinds, zero = reader.count() + 1, reader.count() - 1
        _require(kinds <= MOST_LEVELS and zero < kinds)
        return Plain(
            form,
            shape,
            empty,
            kinds=kinds,
            zero=None if zero < 0 else zero,
            reals=np.zeros(kinds, np.float32),
        )
    first, step, kinds = reader.signed(), reader.count() + 1, reader.count() + 1
    _require(abs(first) <= MOST_CODE and step <= MOST_CODE and kinds <= MOST_LEVELS)
    scales = 0 if form != SCALED else shape[0] if reader.read(1) else 1
    zero_at = zero_of(first, step, kinds)
    return Plain(form, shape, empty, first, step, kinds, zero_at, np.zeros(scales, np.float32))


def _require(holds: bool) -> None:
    if not holds:
        raise CodingError("its weights have more kinds than there can be")

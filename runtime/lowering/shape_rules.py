"""Rules for steps that move numbers or name them again: flatten, view, concatenation, shuffle, padding."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.rulebook import At, rule, torch_shape
from runtime.workload import AvgPool2d, ChannelShuffle, Concat, Subsample, ToNhwc
from search_spaces import plain_layers

IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout)
"""Layers that give the tensor that they get."""


@rule(*IDENTITIES, view=True)
@rule("contiguous", "detach", torch.detach, view=True)
def _identity(at: At, input: Value, memory_format: Any = None) -> Value:
    return at.tensor(input)


@rule("clone", torch.clone)
def _clone(at: At, input: Value, memory_format: Any = None) -> Value:
    return at.tensor(input)


@rule(F.dropout, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout, view=True)
def _dropout(at: At, input: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    at.require(not training, "dropout draws random numbers; pass training=self.training")
    return at.tensor(input)


@rule(nn.Flatten, options=("start_dim", "end_dim"), view=True)
@rule(torch.flatten, "flatten", view=True)
def _flatten(at: At, input: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    rank = len(at.tensor(input).shape)
    known = all(isinstance(d, int) and -rank <= d < rank for d in (start_dim, end_dim))
    at.require(known, f"dimensions {start_dim} and {end_dim} are not of a tensor of {rank}")
    first, last = start_dim % rank, end_dim % rank
    if first == last:
        return input
    at.require(first == 1 and last == rank - 1, "only flattening from dimension 1 to the last is computed")
    return at.builder.rows(at.name, input)


@rule("view", "reshape", view=True)
def _view(at: At, input: Value, *shape: Any) -> Value:
    return _reshaped(at, input, shape[0] if len(shape) == 1 else shape)


@rule(torch.reshape, view=True)
def _reshape(at: At, input: Value, shape: Any) -> Value:
    return _reshaped(at, input, shape)


def _reshaped(at: At, input: Value, shape: Any) -> Value:
    """The value under another shape: the same one, as rows, or as images of other sides."""
    value, given = at.tensor(input), tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    before = torch_shape(value)
    at.require(all(isinstance(d, int) for d in given), f"{shape} is not a shape")
    wanted = _completed(given, math.prod(before))
    fits = wanted is not None and math.prod(wanted) == math.prod(before)
    at.require(wanted is not None and fits, f"a tensor of shape {before} is none of shape {given}")
    if wanted == before:
        return value
    is_known = wanted is not None and len(wanted) in (2, 4) and wanted[0] == before[0]
    problem = f"from shape {before} to {given} is not computed: only rows (N, -1), or images (N, C, H, W)"
    at.require(is_known, problem)
    rows = at.builder.rows(at.name, value)
    return rows if wanted is None or len(wanted) == 2 else _as_images(at, rows, wanted)


def _completed(shape: tuple[int, ...], count: int) -> tuple[int, ...] | None:
    """The shape with its -1 as a number; None where there is none that fits."""
    if shape.count(-1) > 1 or min(shape, default=1) < -1:
        return None
    known = math.prod(d for d in shape if d != -1)
    if -1 not in shape:
        return shape
    return tuple(count // known if d == -1 else d for d in shape) if known and count % known == 0 else None


def _as_images(at: At, rows: Value, shape: tuple[int, ...]) -> Value:
    """Rows in torch's order (C, H, W) as images (N, H, W, C)."""
    n, channels, height, width = shape
    nhwc = n, height, width, channels
    if channels == 1 or height * width == 1:
        return at.builder.view(rows, nhwc)
    return at.emit(ToNhwc(n, height, width, channels), [rows], nhwc, part="to_nhwc")


@rule(torch.cat, torch.concat)
def _concat(at: At, tensors: Any, dim: int = 0) -> Value:
    is_list = isinstance(tensors, list | tuple) and tensors and all(isinstance(t, Value) for t in tensors)
    at.require(is_list, "only a list of tensors is concatenated")
    n, *plane, _ = tensors[0].shape
    rank = len(plane) + 2
    along = isinstance(dim, int) and dim in (1, 1 - rank)
    at.require(along, "only concatenation along the channels (dim=1) is computed")
    agree = all(t.shape[:-1] == tensors[0].shape[:-1] for t in tensors)
    at.require(agree, "the images to concatenate differ in size")
    channels = tuple(t.shape[-1] for t in tensors)
    return at.emit(Concat(n, math.prod(plane), channels), list(tensors), (n, *plane, sum(channels)))


@rule(plain_layers.ChannelShuffle, nn.ChannelShuffle, options=("groups",))
@rule(F.channel_shuffle)
def _channel_shuffle(at: At, input: Value, groups: int) -> Value:
    n, height, width, channels = at.image(input).shape
    at.require(groups > 0 and channels % groups == 0, f"{groups} groups do not divide {channels} channels")
    return at.emit(ChannelShuffle(n, height * width, channels, groups), [input], input.shape)


@rule(nn.ZeroPad2d, options=("padding",), view=True)
def _zero_pad(at: At, input: Value, padding: Any) -> Value:
    return _pad(at, input, padding)


@rule(F.pad, view=True)
def _pad(at: At, input: Value, pad: Any, mode: str = "constant", value: Any = None) -> Value:
    n, height, width, channels = at.image(input).shape
    given = tuple(pad)
    at.require(mode == "constant" and not value, "only padding with zeros is computed")
    whole = len(given) % 2 == 0 and all(isinstance(p, int) for p in given)
    at.require(whole, f"padding {given} is not pairs of whole numbers")
    sides, behind = (*given, 0, 0, 0, 0)[:4], (*given, *[0] * 8)[4:8]
    border, added = sides[0], behind[1]
    fits = set(sides) == {border} and behind == (0, added, 0, 0) and min(border, added) >= 0
    at.require(fits, "only zeros of one width around an image, or behind its channels, are computed")
    if border:
        work = AvgPool2d(n, height, width, 1, 1, border, channels)
        input = at.emit(work, [input], (n, work.out_height, work.out_width, channels))
    if added:
        n, height, width, _ = input.shape
        behind_all = Subsample(n, height, width, channels, 1, added)
        input = at.emit(behind_all, [input], (n, height, width, channels + added), part="channels")
    return input

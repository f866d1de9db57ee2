"""Rules for steps that change the sides of an image: borders, resizing, repeating."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from runtime.graph import Constants, Value
from runtime.lowering.arrangement import Tensor
from runtime.lowering.mean_rules import adaptive_mean
from runtime.lowering.operands import expanded
from runtime.lowering.rulebook import At, finite_number, rule, torch_shape
from runtime.workload import Pad2d, ResizeBilinear, TakePixels

PADDED = 3  # axes of torch's that a border may have: columns, rows, channels


@rule(nn.ZeroPad2d, options=("padding",), view=True)
def _zero_pad(at: At, input: Value, padding: Any) -> Value:
    return _pad(at, input, padding)


@rule(nn.ConstantPad2d, options=("padding", "value"), view=True)
def _constant_pad(at: At, input: Value, padding: Any, value: Any) -> Value:
    return _pad(at, input, padding, "constant", value)


@rule(F.pad, view=True)
def _pad(at: At, input: Value, pad: Any, mode: str = "constant", value: Any = None) -> Value:
    n, height, width, channels = at.image(input).shape
    given = tuple(pad)
    at.require(mode == "constant", f"mode '{mode}' is not computed; only constant padding is")
    whole = len(given) % 2 == 0 and all(isinstance(p, int) for p in given)
    at.require(whole, f"padding {given} is not pairs of whole numbers")
    at.require(min(given, default=0) >= 0, "a negative padding is not computed; take a slice")
    sides, images = (*given, *[0] * 6)[:6], given[6:]
    at.require(not any(images), "a padding of the batch is not computed")
    if not any(sides):
        return input
    left, right, top, bottom, before, behind = sides
    number = finite_number(at, value or 0)
    border = (top, bottom, left, right, before, behind)
    work = Pad2d(n, height, width, channels, *border, is_zero=number == 0)
    shape = (n, height + top + bottom, width + left + right, channels + before + behind)
    if not number:
        return at.emit(work, [input], shape)
    return at.emit(work, [input], shape, lambda: {"value": np.array([number], np.float32)}, ("pad", number))


RESIZING = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")


@rule(nn.Upsample, options=RESIZING)
@rule(nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d, options=RESIZING)
@rule(F.interpolate, F.upsample)
def _resize(
    at: At,
    input: Value,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Value:
    n, height, width, channels = at.image(input).shape
    at.require(not antialias, "antialias is not computed; only antialias=False is")
    known = ("nearest", "nearest-exact", "bilinear", "area")
    at.require(mode in known, f"mode '{mode}' is not computed; only {', '.join(known)} are")
    scales = None if scale_factor is None else _pair(at, "scale_factor", scale_factor)
    at.require((size is None) != (scales is None), "it takes either a size or a scale_factor")
    sides = (
        _pair(at, "size", size)
        if scales is None
        else tuple(math.floor(float(own * scale)) for own, scale in zip((height, width), scales, strict=True))
    )
    whole = all(isinstance(side, int) and side > 0 for side in sides)
    at.require(whole, f"an image of {height}x{width} cannot be resized to {sides}")
    if mode == "area":
        return adaptive_mean(at, input, sides)
    ratios = ratios_of((height, width), sides, scales, recompute_scale_factor)
    shape, work = (n, *sides, channels), (n, height, width, *sides, channels)
    made_of = (mode, align_corners, *map(float, ratios))
    if mode != "bilinear":
        half = np.float32(0.5 if mode == "nearest-exact" else 0)
        places = [nearest_lines(*each, half) for each in zip((height, width), sides, ratios, strict=True)]
        tables: Constants = {"row": places[0], "column": places[1]}
        return at.emit(TakePixels(*work), [input], shape, lambda: tables, made_of)
    between = [
        lines_between(*each, align_corners) for each in zip((height, width), sides, ratios, strict=True)
    ]
    names = ("row", "row_below", "row_share"), ("column", "column_behind", "column_share")
    found = {name: t for own, ts in zip(names, between, strict=True) for name, t in zip(own, ts, strict=True)}
    return at.emit(ResizeBilinear(*work), [input], shape, lambda: found, made_of)


@rule("expand", view=True, takes="any")
def _expand(at: At, input: Tensor, *size: Any) -> Tensor:
    given = size[0] if len(size) == 1 and isinstance(size[0], tuple | list) else size
    own = torch_shape(at.any_tensor(input))
    at.require(all(isinstance(side, int) for side in given), f"{given} is not a shape")
    at.require(len(given) == len(own), f"a tensor of shape {own} is not expanded to {tuple(given)}")
    shape = tuple(before if side == -1 else side for before, side in zip(own, given, strict=True))
    if shape == own:
        return input
    fits = all(side == before or before == 1 for before, side in zip(own, shape, strict=True))
    at.require(fits and shape[0] == own[0], f"a tensor of shape {own} is not expanded to {tuple(given)}")
    image = at.image(at.plain(input))
    n, channels, height, width = shape
    return expanded(at, image, (n, height, width, channels))


@rule("expand_as", view=True, takes="any")
def _expand_as(at: At, input: Tensor, other: Any) -> Tensor:
    return _expand(at, input, torch_shape(at.any_tensor(other)))


def _pair(at: At, option: str, given: Any) -> tuple[Any, Any]:
    """An option for rows and columns, as two positive numbers."""
    pair = tuple(given) if isinstance(given, tuple | list) else (given, given)
    numbers = all(isinstance(each, int | float) and each > 0 for each in pair)
    at.require(len(pair) == 2 and numbers, f"{option} {given} is not one or two positive numbers")
    return pair[0], pair[1]


def ratios_of(
    own: tuple[int, ...], sides: tuple[int, ...], scale_factor: Any, recompute_scale_factor: bool | None
) -> list[np.float32]:
    """How many rows and columns of an image one of the resized image stands for, in float32 as in torch."""
    kept = scale_factor is not None and not recompute_scale_factor
    given = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor, scale_factor)
    return [
        np.float32(1 / scale) if kept else np.float32(size) / np.float32(side)
        for size, side, scale in zip(own, sides, given, strict=True)
    ]


def nearest_lines(own: int, side: int, ratio: np.float32, half: np.float32) -> NDArray[np.int32]:
    """Which of ``own`` rows stands at each of ``side`` places, in float32 as torch reckons.

    Unless asked to be exact, torch forgets a scale that gives as many rows, or twice as many.
    """
    if not half and side in (own, 2 * own):
        ratio = np.float32(own / side)
    places = (np.arange(side, dtype=np.float32) + half) * ratio
    found: NDArray[np.int32] = np.minimum(np.floor(places).astype(np.int32), own - 1)
    return found


def lines_between(
    own: int, side: int, ratio: np.float32, align_corners: bool | None
) -> tuple[NDArray[Any], ...]:
    """The rows before and behind each of ``side`` places, and the share of the one behind, as torch does."""
    steps, half = np.arange(side, dtype=np.float32), np.float32(0.5)
    if own == side:
        ratio = np.float32(1)  # whatever scale gave as many
    if align_corners:
        places = steps * (np.float32(own - 1) / np.float32(side - 1) if side > 1 else np.float32(0))
    else:
        places = np.maximum((steps + half) * ratio - half, np.float32(0))
    near = np.minimum(places.astype(np.int32), own - 1)
    return near, np.minimum(near + 1, own - 1), places - near.astype(np.float32)

"""Rules for steps that change the sides of an image: borders, resizing, repeating."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from runtime.formats.onnx.graph import Tensor
from runtime.formats.onnx.pool_rules import adaptive_mean
from runtime.formats.onnx.rulebook import At, exporter
from runtime.lowering.resizing_rules import lines_between, nearest_lines, ratios_of


@exporter(nn.ZeroPad2d)
def _zero_pad(at: At, input: Tensor, padding: Any) -> str:
    return _pad(at, input, padding, 0)


@exporter(nn.ConstantPad2d)
def _constant_pad(at: At, input: Tensor, padding: Any, value: Any) -> str:
    return _pad(at, input, padding, value)


@exporter(F.pad)
def _pad(at: At, input: Tensor, pad: Any, value: Any) -> str:
    left, right, top, bottom, before, behind = (*pad, *[0] * 6)[:6]
    if not any(pad):
        return input.name
    pads = np.array([0, before, top, left, 0, behind, bottom, right], np.int64)
    return at.op("Pad", input, pads, *([np.float32(value)] if value else []))


@exporter("expand")
def _expand(at: At, input: Tensor) -> str:
    return at.op("Expand", input, np.array([1, *at.shape[1:]], np.int64))


@exporter("expand_as")
def _expand_as(at: At, input: Tensor) -> str:
    return _expand(at, input)


@exporter(nn.Upsample, nn.UpsamplingNearest2d, F.interpolate)
def _resize(
    at: At,
    input: Tensor,
    scale_factor: Any,
    mode: str,
    align_corners: bool | None,
    recompute_scale_factor: bool | None,
) -> str:
    """Rows and columns are taken by their places as torch reckons these, which ``Resize`` does otherwise."""
    if mode == "area":
        return adaptive_mean(at, input)
    own, sides = input.shape[2:], at.shape[2:]
    ratios = ratios_of(own, sides, scale_factor, recompute_scale_factor)
    found = input.name
    for axis, (size_before, side, ratio) in enumerate(zip(own, sides, ratios, strict=True), start=2):
        if mode == "bilinear":
            near, behind, share = lines_between(size_before, side, ratio, align_corners)
            found = _between(at, found, axis, near, behind, share)
        else:
            half = np.float32(0.5 if mode == "nearest-exact" else 0)
            places = nearest_lines(size_before, side, ratio, half)
            found = at.op("Gather", found, places.astype(np.int64), axis=axis)
    return found


def _between(
    at: At, image: str, axis: int, near: NDArray[Any], behind: NDArray[Any], share: NDArray[Any]
) -> str:
    """Each line as its shares of two lines."""
    first, second = (at.op("Gather", image, each.astype(np.int64), axis=axis) for each in (near, behind))
    parts = share.reshape(-1, 1) if axis == 2 else share  # along rows, or columns
    return at.op(
        "Add", at.op("Mul", first, np.float32(1) - parts), at.op("Mul", second, parts.astype(np.float32))
    )

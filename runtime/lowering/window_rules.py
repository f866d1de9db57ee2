"""Rules for pools, whose windows torch checks when it runs."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.mean_rules import global_mean
from runtime.lowering.rulebook import At, rule
from runtime.lowering.windows import ceiled, leaves_the_image, pool_window
from runtime.workload import AvgPool2d, MaxPool2d, Window

WINDOW = ("kernel_size", "stride", "padding")


@rule(nn.MaxPool2d, options=(*WINDOW, "dilation", "ceil_mode", "return_indices"))
@rule(F.max_pool2d, torch.max_pool2d)
def _max_pool(
    at: At,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Value:
    at.require(not return_indices, "indices are not computed; use return_indices=False")
    _, height, width, _ = at.image(input).shape
    window = pool_window(at, kernel_size, stride, padding, dilation)
    window = ceiled(window, height, width) if ceil_mode else window
    beside = leaves_the_image(window, height, width)
    at.require(not beside, "a window lies in the padding alone, where there is no largest; use less padding")
    return _pool(at, input, MaxPool2d, window)


@rule(nn.AvgPool2d, options=(*WINDOW, "ceil_mode", "count_include_pad", "divisor_override"))
@rule(F.avg_pool2d)
def _avg_pool(
    at: At,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    image = at.image(input)
    _, height, width, _ = image.shape
    known = divisor_override is None or (isinstance(divisor_override, int) and divisor_override > 0)
    at.require(known, f"divisor_override {divisor_override} is no whole number of 1 or more")
    given = pool_window(at, kernel_size, stride, padding)
    window = ceiled(given, height, width) if ceil_mode else given
    covers_all = window.taps == (height, width) and not window.is_padded and not divisor_override
    if covers_all and height != width:
        return global_mean(at, image)  # its window is the image, whatever the image's sides are
    within = given.padding if count_include_pad else (0, 0, 0, 0)
    sides = tuple(side - counted for side, counted in zip(window.padding, within, strict=True))
    return _pool(at, image, AvgPool2d, window, uncounted=sides, divisor=divisor_override or 0)


def _pool(at: At, input: Value, kind: Any, window: Window, **how: Any) -> Value:
    n, height, width, channels = at.image(input).shape
    size = window.outputs(height, width)
    at.require(min(size) > 0, "its window is larger than the image")
    workload = kind(n, height, width, channels=channels, **window.fields, **how)
    return at.emit(workload, [input], (n, *size, channels))

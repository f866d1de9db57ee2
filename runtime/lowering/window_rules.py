"""Rules for pools, whose windows torch checks when it runs."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.mean_rules import global_mean
from runtime.lowering.rulebook import At, rule
from runtime.workload import AvgPool2d, MaxPool2d

WINDOW = ("kernel_size", "stride", "padding")


def one_number(at: At, option: str, value: Any, least: int) -> int:
    """A window's option as one number, at least ``least``: both directions must agree."""
    at.require(not isinstance(value, str), f"{option} '{value}' is not computed; give a number")
    given = tuple(value) if isinstance(value, tuple | list) else (value,)
    whole = all(isinstance(each, int) and not isinstance(each, bool) for each in given)
    at.require(whole and len(given) in (1, 2), f"{option} {value} is not one or two whole numbers")
    at.require(len(set(given)) == 1, f"{option} {value} is not the same in both directions")
    at.require(given[0] >= least, f"{option} {value} is less than {least}, which torch refuses too")
    return int(given[0])


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
    at.require(dilation in (1, (1, 1), [1, 1]), "dilation is not computed; use dilation 1")
    at.require(not return_indices, "indices are not computed; use return_indices=False")
    return _pool(at, input, MaxPool2d, (kernel_size, stride, padding), ceil_mode)


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
    counts_padding = padding in (0, (0, 0), [0, 0]) or count_include_pad
    at.require(counts_padding, "only means that count the padding are computed")
    at.require(divisor_override is None, "divisor_override is not computed")
    image = at.image(input)
    whole = tuple(kernel_size) if isinstance(kernel_size, tuple | list) else (kernel_size, kernel_size)
    if whole == image.shape[1:3] and padding in (0, (0, 0), [0, 0]) and whole[0] != whole[-1]:
        return global_mean(at, image)  # its window is the image, whatever the image's sides are
    return _pool(at, image, AvgPool2d, (kernel_size, stride, padding), ceil_mode)


def _pool(at: At, input: Value, kind: Any, window: tuple[Any, Any, Any], ceil_mode: bool) -> Value:
    n, height, width, channels = at.image(input).shape
    kernel = one_number(at, "kernel_size", window[0], 1)
    stride = kernel if window[1] in (None, []) else one_number(at, "stride", window[1], 1)
    padding = one_number(at, "padding", window[2], 0)
    at.require(2 * padding <= kernel, f"padding {padding} is more than half of its window of {kernel}")
    if ceil_mode:
        full = all(_is_same_ceiled(size, kernel, stride, padding) for size in (height, width))
        at.require(full, "ceil_mode is not computed for images of this size; use ceil_mode=False")
    workload = kind(n, height, width, kernel, stride, padding, channels)
    at.require(min(workload.out_height, workload.out_width) > 0, "its window is larger than the image")
    return at.emit(workload, [input], (n, workload.out_height, workload.out_width, channels))


def _is_same_ceiled(size: int, kernel: int, stride: int, padding: int) -> bool:
    """Whether as many windows fit an image if their number is rounded up, as torch does it."""
    room = size + 2 * padding - kernel
    down, up = room // stride, -(-room // stride)
    return down == up or up * stride >= size + padding  # that one would start in the padding

"""Rules for pools and means, over windows, over whole images, and over any axes."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from runtime.formats.onnx.graph import Tensor
from runtime.formats.onnx.rulebook import At, exporter
from runtime.formats.onnx.windows import apart, bordered, two, window

Sides = tuple[int, int, int, int]


@exporter(nn.MaxPool2d, F.max_pool2d)
def _max_pool(at: At, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> str:
    kernel, gaps = two(kernel_size), two(dilation)
    steps = two(stride or kernel)
    input = apart(at, input)
    image, pads = _within(
        at, input, kernel, _sides(at, input, kernel, steps, padding, gaps), np.float32(-np.inf)
    )
    return at.op("MaxPool", image, kernel_shape=kernel, **window(steps, pads, gaps))


@exporter(nn.AvgPool2d, F.avg_pool2d)
def _avg_pool(
    at: At,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    count_include_pad: bool,
    divisor_override: int | None,
) -> str:
    kernel = two(kernel_size)
    steps = two(stride or kernel)
    pads = _sides(at, input, kernel, steps, padding, (1, 1))
    counted = two(padding) * 2
    if divisor_override is not None:
        sums = bordered(at, input.name, pads, np.float32(0))
        mean = at.op("AveragePool", sums, kernel_shape=kernel, **window(steps))
        return at.op("Mul", mean, np.float32(prod(kernel) / divisor_override))
    image = input.name
    if count_include_pad:  # and not what a window lacks behind it
        image = bordered(at, image, counted, np.float32(0))
        pads = tuple(side - own for side, own in zip(pads, counted, strict=True))  # type: ignore[assignment]  # four
    return at.op("AveragePool", image, kernel_shape=kernel, **window(steps, pads))


def _sides(
    at: At,
    input: Tensor,
    kernel: tuple[int, int],
    steps: tuple[int, int],
    padding: Any,
    gaps: tuple[int, int],
) -> Sides:
    """The padding with which a pool's windows are as many as in torch: above, left, below, right."""
    given, behind = two(padding), []
    for size, found, taps, step, side, gap in zip(
        input.shape[2:], at.shape[2:], kernel, steps, given, gaps, strict=True
    ):
        extent = (taps - 1) * gap + 1
        behind.append(max(side, (found - 1) * step + extent - size - side))
    return given[0], given[1], behind[0], behind[1]


def _within(
    at: At, input: Tensor, kernel: tuple[int, int], pads: Sides, value: np.float32
) -> tuple[str, Sides]:
    """The image, and padding that is smaller than the window, which onnxruntime asks for."""
    if all(side < taps for side, taps in zip(pads, kernel * 2, strict=True)):
        return input.name, pads
    return bordered(at, input.name, pads, value), (0, 0, 0, 0)


@exporter(nn.AdaptiveAvgPool2d)
def _adaptive_pool(at: At, input: Tensor) -> str:
    return adaptive_mean(at, input)


def adaptive_mean(at: At, input: Tensor) -> str:
    """The means of windows that fill an image, as many as the output has pixels; they may overlap."""
    sizes, wanted = input.shape[2:], at.shape[2:]
    if wanted == sizes:
        return input.name
    if wanted == (1, 1):
        return at.op("GlobalAveragePool", input)
    if all(size % side == 0 for size, side in zip(sizes, wanted, strict=True)):
        kernel = [size // side for size, side in zip(sizes, wanted, strict=True)]
        return at.op("AveragePool", input, kernel_shape=kernel, strides=kernel)
    rows, columns = (_shares(size, side) for size, side in zip(sizes, wanted, strict=True))
    return at.op("MatMul", rows, at.op("MatMul", input, columns.T))


def _shares(size: int, count: int) -> NDArray[np.float32]:
    """What each of ``size`` numbers has of each of ``count`` means, (count, size)."""
    found = np.zeros((count, size), np.float32)
    for place in range(count):
        start, end = place * size // count, -(-(place + 1) * size // count)
        found[place, start:end] = 1 / (end - start)
    return found


@exporter("mean")
def _mean(at: At, input: Tensor, dim: Any, keepdim: bool) -> str:
    rank = len(input.shape)
    given = dim if isinstance(dim, tuple | list) else (dim,)
    axes = sorted({each % rank for each in given} or range(rank))
    if axes == [2, 3] and rank == 4 and keepdim:
        return at.op("GlobalAveragePool", input)
    return at.op("ReduceMean", input, np.array(axes, np.int64), keepdims=None if keepdim else 0)

"""What each kernel computes, in numpy, written for reading: NHWC images, real numbers, no packing."""

import numpy as np


def both(given):
    """Of rows and of columns."""
    return given if isinstance(given, tuple) else (given, given)


def pad(x, padding, value):
    """Surround an image (N, H, W, C); padding is top, left, bottom, right, or one number."""
    top, left, bottom, right = padding if isinstance(padding, tuple) else (padding,) * 4
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def windows(x, kernel, stride, dilation=1):
    """All windows of an image: (N, Ho, Wo, C, rows, columns)."""
    (rows, columns), (down, right) = both(kernel), both(dilation)
    extent = (rows - 1) * down + 1, (columns - 1) * right + 1
    found = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(1, 2))
    return found[:, :: both(stride)[0], :: both(stride)[1], :, ::down, ::right]


def conv2d(x, weight, *, stride, padding, dilation=1, groups=1, pad_value=0):
    """Convolution of x (N, H, W, C) with weight (O, C / groups, rows, columns) -> (N, Ho, Wo, O)."""
    found = windows(pad(x, padding, pad_value), weight.shape[-2:], stride, dilation)
    parts = [
        np.einsum("nyxckl,ockl->nyxo", part, own)
        for part, own in zip(np.split(found, groups, axis=3), np.split(weight, groups), strict=True)
    ]
    return np.concatenate(parts, axis=-1)


def max_pool(x, *, kernel, stride, padding, dilation=1):
    """The largest value in each window."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return windows(pad(x, padding, lowest), kernel, stride, dilation).max(axis=(-2, -1))


def avg_pool(x, *, kernel, stride, padding, uncounted=0, divisor=0):
    """The mean of each window: the padding's zeros count but for those ``uncounted`` on each side."""
    total = windows(pad(x, padding, 0), kernel, stride).sum(axis=(-2, -1))
    counted = np.ones_like(pad(x, padding, 0))
    top, left, bottom, right = uncounted if isinstance(uncounted, tuple) else (uncounted,) * 4
    counted[:, :top] = counted[:, :, :left] = 0
    counted[:, counted.shape[1] - bottom :] = counted[:, :, counted.shape[2] - right :] = 0
    return total / (divisor or windows(counted, kernel, stride).sum(axis=(-2, -1)))


def interleave(x, groups, stride, start, size):
    """Phases in the channels (G, rows, columns, C / G) of an image, pixel by pixel side by side."""
    n, height, width, _ = x.shape
    (rows, columns), (top, left) = stride, start
    split = x.reshape(n, height, width, groups, rows, columns, -1)
    whole = split.transpose(0, 1, 4, 2, 5, 3, 6).reshape(n, height * rows, width * columns, -1)
    return whole[:, top : top + size[0], left : left + size[1]]


def signs(x, threshold=0.0):
    """+1 where x reaches the threshold, else -1."""
    return np.where(x >= threshold, 1, -1)


def unpack_signs(packed, groups, depth):
    """Packed words (N, H, W, G, words) -> -1 and +1 (N, H, W, C), bit by bit."""
    n, height, width, _, _ = packed.shape
    found = np.empty((n, height, width, groups, depth), int)
    for c in range(depth):
        found[..., c] = np.where(packed[..., c // 32] >> np.uint32(c % 32) & 1, -1, 1)
    return found.reshape(n, height, width, groups * depth)


def channel_shuffle(x, groups):
    """Channel g * (C / groups) + i goes to i * groups + g."""
    depth = x.shape[-1] // groups
    found = np.empty_like(x)
    for g in range(groups):
        for i in range(depth):
            found[..., i * groups + g] = x[..., g * depth + i]
    return found


LIMIT = 2**30 - 1


def rescaled(x, multiplier, bias, shift):
    """(multiplier * x + bias) / 2^shift, rounded down; int64."""
    return (x.astype(np.int64) * multiplier + bias) >> shift

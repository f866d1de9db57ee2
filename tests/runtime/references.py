"""What each kernel computes, in numpy, written for reading: NHWC images, real numbers, no packing."""

import numpy as np


def pad(x, padding, value):
    """Surround an image (N, H, W, C)."""
    return np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=value)


def windows(x, kernel, stride):
    """All windows of an image: (N, Ho, Wo, C, K, K)."""
    found = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(1, 2))
    return found[:, ::stride, ::stride]


def conv2d(x, weight, *, stride, padding, groups=1, pad_value=0):
    """Convolution of x (N, H, W, C) with weight (O, C / groups, K, K) -> (N, Ho, Wo, O)."""
    kernel = weight.shape[-1]
    found = windows(pad(x, padding, pad_value), kernel, stride)
    parts = [
        np.einsum("nyxckl,ockl->nyxo", part, own)
        for part, own in zip(np.split(found, groups, axis=3), np.split(weight, groups), strict=True)
    ]
    return np.concatenate(parts, axis=-1)


def max_pool(x, *, kernel, stride, padding):
    """The largest value in each window."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return windows(pad(x, padding, lowest), kernel, stride).max(axis=(-2, -1))


def avg_pool(x, *, kernel, stride, padding):
    """The mean of each window, padding counted as zeros."""
    return windows(pad(x, padding, 0), kernel, stride).mean(axis=(-2, -1))


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

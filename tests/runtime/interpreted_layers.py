"""Kernels without weights in numpy, for the interpreter: activations, norms, pools, moves of numbers."""

import math

import numpy as np
import torch
from torch.nn import functional as F

from runtime.kernels import packing
from tests.runtime import references


class NotInterpreted(Exception):  # noqa: N818 - it tells that a graph is one for the compiler
    """A graph holds a kernel that works on bytes."""


def unpacked(words, count):
    """Bits of uint32 words along the last axis, the lowest first: (..., words) -> (..., count) of 0 and 1."""
    bits = words[..., None] >> np.arange(packing.WORD, dtype=np.uint32) & np.uint32(1)
    return bits.reshape(*words.shape[:-1], -1)[..., :count].astype(np.int64)


def sliding(work):
    """How a window slides."""
    return {"stride": work.stride, "padding": work.padding, "dilation": work.dilation}


def max_pool(work, given):
    """Of floats, and of signs: the largest is -1 where all are."""
    x = given["data"].reshape(work.batch, work.height, work.width, work.channels)
    how = {"kernel": work.kernel, **sliding(work)}
    if work.code == "float" and work.arithmetic == "float":
        return [references.max_pool(x, **how)]
    if work.code != "binary":
        raise NotInterpreted(work.key)
    signs = 1.0 - 2 * unpacked(x, work.channels * packing.WORD)
    if work.mixed:
        turned = unpacked(given["smallest"].reshape(-1), work.channels * packing.WORD)
        signs = signs * (1 - 2 * turned)
    largest = references.max_pool(signs, **how)
    if work.mixed:
        largest = largest * (1 - 2 * turned)
    return [packing.pack_codes(largest < 0, 1)]


def avg_pool(work, given):
    """Means of windows."""
    x = given["data"].reshape(work.batch, work.height, work.width, work.channels).astype(np.float64)
    if work.arithmetic != "float":
        raise NotInterpreted(work.key)
    window = {"kernel": work.kernel, "stride": work.stride, "padding": work.padding}
    return [references.avg_pool(x, **window, uncounted=work.uncounted, divisor=work.divisor)]


def interleave(work, given):
    """Phases side by side."""
    depth = work.channels // work.groups * math.prod(work.stride) * work.groups
    x = given["data"].reshape(work.batch, work.height, work.width, depth)
    return [references.interleave(x, work.groups, work.stride, work.start, work.size)]


def subsample(work, given):
    """Some pixels, and more channels."""
    x = given["data"].reshape(work.batch, work.height, work.width, work.channels)
    found = x[:, :: work.stride, :: work.stride]
    return [np.pad(found, ((0, 0), (0, 0), (0, 0), (0, work.added)))]


def affine(work, given):
    """A scale and a bias for each channel, perhaps a scale for each pixel."""
    x = given["data"].reshape(work.batch, work.pixels, work.channels).astype(np.float64)
    scale = given["scale"].reshape(-1, work.channels)
    found = x * scale + given["bias"].reshape(-1)
    return [np.maximum(0, found) if getattr(work, "relu", False) else found]


def prelu(work, given):
    """Another slope below zero."""
    x = given["data"].reshape(work.batch, work.pixels, work.channels)
    return [np.where(x < 0, x * given["slope"].reshape(-1), x)]


def concat(work, given):
    """Channels side by side."""
    parts = [
        part.reshape(work.batch, work.pixels, own)
        for part, own in zip(given.values(), work.channels, strict=True)
    ]
    return [np.concatenate(parts, axis=-1)]


def channel_shuffle(work, given):
    """Channels of groups interleaved."""
    x = given["data"].reshape(work.batch, 1, work.pixels, work.channels)
    return [references.channel_shuffle(x, work.groups)]


def to_nhwc(work, given):
    """Channels last."""
    x = given["data"].reshape(work.batch, work.channels, work.height, work.width)
    return [x.transpose(0, 2, 3, 1)]


def to_nchw(work, given):
    """Channels first."""
    x = given["data"].reshape(work.batch, work.height, work.width, work.channels)
    return [x.transpose(0, 3, 1, 2)]


def of_floats(function):
    """A kernel that is one formula of its inputs."""

    def kernel(work, given):
        if getattr(work, "arithmetic", "float") != "float":
            raise NotInterpreted(work.key)
        return [function(work, *given.values())]

    return kernel


def by_torch(function):
    """A kernel that is a function of torch's on all its numbers, in double precision."""
    return of_floats(lambda work, x: function(torch.from_numpy(x).double()).numpy())


def elu(work, given):
    """With a constant below zero."""
    x = given["data"].astype(np.float64)
    return [np.where(x > 0, x, given["alpha"] * np.expm1(np.minimum(x, 0)))]


def gelu(work, given):
    """Either form."""
    how = "tanh" if work.tanh else "none"
    return by_torch(lambda x: F.gelu(x, approximate=how))(work, given)


def normed(work, given):
    """Numbers of each group less their mean, over their deviation."""
    x = given["data"].astype(np.float64)  # (N, pixels, G, vectors, lanes)
    centred = x - x.mean(axis=(1, 3, 4), keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=(1, 3, 4), keepdims=True) + given["epsilon"])
    scale, bias = (given[name].reshape(x.shape[2:]) for name in ("scale", "bias"))
    return [centred / deviation * scale + bias]


def softmax(work, given):
    """Shares of a row, or their logarithms."""
    x = given["data"].reshape(-1, work.features).astype(np.float64)
    found = x - x.max(axis=1, keepdims=True)
    found = found - np.log(np.exp(found).sum(axis=1, keepdims=True))
    return [found if work.log else np.exp(found)]


def pad2d(work, given):
    """A border, and channels before and behind."""
    if work.arithmetic != "float":
        raise NotInterpreted(work.key)
    x = given["data"].reshape(work.batch, work.height, work.width, work.channels)
    border = (0, 0), (work.top, work.bottom), (work.left, work.right), (work.before, work.behind)
    return [np.pad(x, border, constant_values=given.get("value", np.zeros(1)).item())]


def take_pixels(work, given):
    """Rows and columns by tables."""
    return [given["data"][:, given["row"]][:, :, given["column"]]]


def resize_bilinear(work, given):
    """Means of two rows of means of two columns."""
    rows, columns = (given[f"{name}_share"].astype(np.float64) for name in ("row", "column"))
    rows, columns = rows.reshape(-1, 1, 1, 1), columns.reshape(-1, 1, 1)
    upper, lower = (given["data"][:, given[name]] for name in ("row", "row_below"))
    x = upper * (1 - rows) + lower * rows
    return [x[:, :, given["column"]] * (1 - columns) + x[:, :, given["column_behind"]] * columns]


def adaptive_avg_pool(work, given):
    """Means of windows that fill the image."""
    x = given["data"].reshape(work.batch, work.height, work.width, work.channels).astype(np.float64)
    for axis, own, sides in ((1, work.height, work.out_height), (2, work.width, work.out_width)):
        ends = [(i * own // sides, -(-(i + 1) * own // sides)) for i in range(sides)]
        x = np.stack([x.take(range(*each), axis).mean(axis) for each in ends], axis)
    return [x]


def slice_of(work, given):
    """Some channels."""
    x = given["data"].reshape(work.batch, work.pixels, work.channels)
    return [x[..., work.start : work.start + work.count]]


def permute(work, given):
    """Axes in another order."""
    return [given["data"].transpose(0, *(axis + 1 for axis in work.order))]


def quantize(work, given):
    """Bytes."""
    raise NotInterpreted(work.key)


def global_mean(work, x):
    """The mean over all pixels."""
    return x.reshape(work.batch, work.pixels, work.channels).astype(np.float64).mean(axis=1)


KERNELS = {
    "quantize": quantize,
    "max_pool2d": max_pool,
    "avg_pool2d": avg_pool,
    "global_avg_pool": of_floats(global_mean),
    "relu": of_floats(lambda work, x: np.maximum(0, x)),
    "relu6": of_floats(lambda work, x: np.minimum(np.maximum(0, x), 6)),
    "sigmoid": of_floats(lambda work, x: 1 / (1 + np.exp(-x.astype(np.float64)))),
    "silu": by_torch(F.silu),
    "hardsigmoid": by_torch(F.hardsigmoid),
    "hardswish": by_torch(F.hardswish),
    "gelu": gelu,
    "elu": elu,
    "layer_norm": normed,
    "group_norm": normed,
    "softmax": softmax,
    "pad2d": pad2d,
    "take_pixels": take_pixels,
    "resize_bilinear": resize_bilinear,
    "adaptive_avg_pool": adaptive_avg_pool,
    "slice": slice_of,
    "permute": permute,
    "add": of_floats(lambda work, a, b: a.reshape(-1) + b.reshape(-1)),
    "scale_channels": of_floats(lambda work, x, factor: x * factor[:, None, :]),
    "affine": affine,
    "affine_map": affine,
    "prelu": prelu,
    "concat": concat,
    "channel_shuffle": channel_shuffle,
    "subsample": subsample,
    "interleave": interleave,
    "to_nhwc": to_nhwc,
    "to_nchw": to_nchw,
}

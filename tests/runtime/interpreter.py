"""Runs an operator graph in numpy, node by node, from memory to memory as compiled code does.

It takes a second where compiling takes a minute, and knows the kernels of floats, of packed signs and of
ternary and binary weights. It is written for reading, and shares with the kernels only how words are filled.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

from runtime.kernels import packing
from runtime.kernels.base import kernel_for
from runtime.kernels.covering import vectors_of
from tests.runtime import references

LANES = 16


class NotInterpreted(Exception):  # noqa: N818 - it tells that a graph is one for the compiler
    """A graph holds a kernel that works on bytes."""


def run(graph, images):
    """What the compiled network gives for one batch, float32 (N, C, H, W)."""
    memory = {graph.input.index: raw(images, "float32")}
    for node in graph.nodes:
        buffers = kernel_for(node.workload).buffers(node.workload)
        inputs = [b for b in buffers if b.role == "input"]
        given = {
            b.name: memory[v.index].view(b.dtype).reshape(b.shape)
            for b, v in zip(inputs, node.inputs, strict=True)
        }
        results = KERNELS[node.workload.family](node.workload, {**given, **node.constants})
        outputs = [b for b in buffers if b.role == "output"]
        for buffer, value, result in zip(outputs, node.outputs, results, strict=True):
            assert result.size == math.prod(buffer.shape), f"{node.name} writes another size"
            memory[value.index] = raw(result, buffer.dtype)
    return memory[graph.output.index].view(np.float32).reshape(graph.output.shape)


def raw(array, dtype):
    """The bytes of an array."""
    return np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8)


def unpacked(words, count):
    """Bits of uint32 words along the last axis, the lowest first: (..., words) -> (..., count) of 0 and 1."""
    bits = words[..., None] >> np.arange(packing.WORD, dtype=np.uint32) & np.uint32(1)
    return bits.reshape(*words.shape[:-1], -1)[..., :count].astype(np.int64)


def by_channel(work, lanes):
    """What kernels take for each lane (..., vectors, lanes) -> (..., O); some channels have two lanes."""
    flat = lanes.reshape(*lanes.shape[:-2], -1)
    _, first = np.unique(vectors_of(work).order(), return_index=True)
    return flat[..., first]


def of_lanes(work, taps):
    """Weights in the kernels' layout (vectors, K, K, C, lanes) -> (O, C, K, K)."""
    return np.moveaxis(by_channel(work, np.moveaxis(taps, 0, -2)), -1, 0).transpose(0, 3, 1, 2)


def words_of(work, bits):
    """Bits (N, H, W, C) -> words of each group of the next layer, as masks where they hold more than one."""
    depth = bits.shape[-1] // work.output_groups
    words = packing.pack_codes(bits.reshape(*bits.shape[:-1], -1, depth), 1)
    return words if depth == LANES else words.view(np.uint16)


def decoded(work, given, depth):
    """The real weights (O, C, K, K) of a kernel that takes real numbers."""
    if work.weight not in ("ternary", "binary"):
        return of_lanes(work, given["weight"]).astype(np.float64)
    bits = {"ternary": 2, "binary": 1}[work.weight]
    vectors, words, lanes = given["weight"].shape
    flat = unpacked(given["weight"].transpose(0, 2, 1), words * packing.WORD)  # (V, lanes, bits)
    codes = flat.reshape(vectors, lanes, -1, bits) @ (1 << np.arange(bits))
    rows, columns = references.both(work.kernel)
    codes = codes[..., : rows * columns * depth].reshape(vectors, lanes, rows, columns, depth)
    positive, negative = (given[name][:, :, None, None, None] for name in ("positive", "negative"))
    is_negative = codes == (2 if work.weight == "ternary" else 1)
    is_positive = codes == (1 if work.weight == "ternary" else 0)
    real = is_positive * positive.astype(np.float64) - is_negative * negative.astype(np.float64)
    return of_lanes(work, np.moveaxis(real, 1, -1))


def finished(work, given, found):
    """Residual, ReLU and output code of sums (N, H, W, O) that are scaled."""
    if getattr(work, "residual", False):
        found = found + given["residual"].reshape(found.shape)
    if work.relu:
        found = np.maximum(0, found)
    if work.activation != "none":
        shape = found.shape
        (found,) = KERNELS[work.activation](None, {"data": found.reshape(-1)})
        found = found.reshape(shape)
    code = getattr(work, "output", "float")
    results = [found] if code == "float" or work.also_float else []
    if code == "binary":
        table = given.get("threshold", np.zeros((1, 1, 1, 1), np.float32))
        table = table[..., 0] if table.shape[-1] == 1 else by_channel(work, table)
        results.append(words_of(work, found.astype(np.float32) < table))
    elif code != "float":
        raise NotInterpreted(code)
    return results


def sliding(work):
    """How a window slides."""
    return {"stride": work.stride, "padding": work.padding, "dilation": work.dilation}


def conv2d(work, given):
    """Sums, scales, biases, and what follows them."""
    if work.input != "float" or getattr(work, "arithmetic", "float") != "float":
        raise NotInterpreted(work.key)
    depth = work.in_channels // work.groups
    x = given["data"].reshape(work.batch, work.height, work.width, work.in_channels).astype(np.float64)
    how = {**sliding(work), "groups": work.groups}
    total = references.conv2d(x, decoded(work, given, depth), **how)
    return finished(work, given, total * by_channel(work, given["scale"]) + by_channel(work, given["bias"]))


def depthwise(work, given):
    """Each channel by itself."""
    if work.input not in ("float", "binary") or work.arithmetic != "float":
        raise NotInterpreted(work.key)
    shape = work.batch, work.height, work.width, work.channels
    is_signs = work.input == "binary"
    x = 1.0 - 2 * unpacked(given["data"], work.channels) if is_signs else given["data"]
    how = {**sliding(work), "groups": work.channels}
    weight = decoded(work, given, 1)
    total = references.conv2d(
        x.reshape(shape).astype(np.float64), weight, **how, pad_value=1.0 if is_signs else 0
    )
    return finished(work, given, total * by_channel(work, given["scale"]) + by_channel(work, given["bias"]))


class AsImage:
    """A dense layer's workload as that of an image of one pixel."""

    def __init__(self, work):
        self.__dict__.update({f: getattr(work, f) for f in work.__dataclass_fields__})
        self.height = self.width = self.kernel = self.stride = self.dilation = self.groups = 1
        self.padding, self.key = 0, work.key
        self.in_channels, self.out_channels = work.in_features, work.out_features


def dense(work, given):
    """A convolution of one pixel."""
    return conv2d(AsImage(work), given)


def bitserial(work, given):
    """Sums of signs times signs or ternary codes, by multiplication."""
    groups = work.groups
    depth = work.in_channels // groups
    words = given["data"][..., 0]  # (N, H, W, G, words)
    x = references.unpack_signs(words, groups, depth)
    planes = [
        unpacked(np.moveaxis(given["weight"][..., p, :], 3, -1), depth)
        for p in range(given["weight"].shape[-2])
    ]
    planes = [of_lanes(work, np.moveaxis(p, -1, 3)) for p in planes]  # (O, C / G, K, K) of 0 and 1
    if work.weight == "binary":
        codes = 1 - 2 * planes[0]
    elif getattr(work, "symmetric", False):
        codes = planes[0] * (1 - 2 * planes[1])
    else:
        codes = planes[0] - planes[1]
    how = {**sliding(work), "groups": groups, "pad_value": 1}
    total = references.conv2d(x, codes, **how)
    if "limit" in given:
        differing = (np.abs(codes).sum(axis=(1, 2, 3)) - total) // 2
        return [words_of(work, differing > by_channel(work, given["limit"]))]
    scales = by_channel(work, np.moveaxis(given["scale"], 1, 0)).astype(np.float64)
    found = scales[0] * total
    if len(scales) == 2:
        found = found + scales[1] * references.conv2d(x, np.abs(codes), **how)
    return finished(work, given, found + by_channel(work, given["bias"]))


def bitserial_dense(work, given):
    """A convolution of one pixel."""
    return bitserial(AsImage(work), given)


def sign_pack(work, given):
    """Bits of what is below its threshold."""
    depth = work.channels // work.groups
    table = given.get("threshold", np.zeros(1, np.float32))
    shape = work.batch, work.height, work.width, work.groups, depth
    return [packing.pack_codes(given["data"].reshape(shape) < table, 1)]


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
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise,
    "dense": dense,
    "bitserial_conv2d": bitserial,
    "bitserial_dense": bitserial_dense,
    "sign_pack": sign_pack,
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

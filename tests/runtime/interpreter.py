"""Runs an operator graph in numpy, node by node, from memory to memory as compiled code does.

It takes a second where compiling takes a minute, and knows the kernels of floats, of packed signs and of
ternary and binary weights. It is written for reading, and shares with the kernels only how words are filled.
"""

import math

import numpy as np

from runtime.kernels import packing
from runtime.kernels.base import kernel_for
from runtime.kernels.covering import vectors_of
from tests.runtime import interpreted_layers, references
from tests.runtime.interpreted_layers import NotInterpreted, sliding, unpacked

LANES = 16


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
    if work.weight.startswith("lq"):
        return sum_of_basis(work, given, depth)
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


def sum_of_basis(work, given, depth):
    """Real weights (O, C, K, K) that are numbers of their channel, each with a sign."""
    vectors, planes, words, lanes = given["weight"].shape
    bits = unpacked(given["weight"].transpose(0, 1, 3, 2), words * packing.WORD)  # (V, planes, lanes, bits)
    rows, columns = references.both(work.kernel)
    signs = 1.0 - 2 * bits.reshape(vectors, planes, lanes, -1)[..., : rows * columns * depth]
    real = (signs * given["basis"][..., None].astype(np.float64)).sum(axis=1)  # (V, lanes, K K C)
    return of_lanes(work, np.moveaxis(real.reshape(vectors, lanes, rows, columns, depth), 1, -1))


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
    if work.input_bits * work.weight_bits > 1 or work.digits:
        return of_planes(work, given, depth)
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


def of_planes(work, given, depth):
    """Sums of planes of signs, or of 0 and 1, times planes of signs, each pair with its factor."""
    how = {**sliding(work), "groups": work.groups, "pad_value": 0 if work.digits else 1}
    found = by_channel(work, given["bias"]).astype(np.float64)
    for plane in range(work.input_bits * work.weight_bits):
        own, other = divmod(plane, work.weight_bits)
        x = references.unpack_signs(given["data"][..., own], work.groups, depth)
        x = (1 - x) // 2 if work.digits else x
        packed = np.moveaxis(given["weight"][..., other, :], 3, -1)
        weight = 1 - 2 * of_lanes(work, np.moveaxis(unpacked(packed, depth), -1, 3))
        scale = by_channel(work, given["scale"][:, plane]).astype(np.float64)
        # a plane of 0 and 1 is counted as minus twice its product
        found = found + references.conv2d(x, weight, **how) * scale * (-2 if work.digits else 1)
    return finished(work, given, found)


def levels(work, given):
    """Each number as a level."""
    which = (given["data"][..., None] >= given["threshold"]).sum(axis=-1)
    return [given["level"][which]]


def steps(work, given):
    """Each number as a multiple of a step."""
    return [np.round(np.clip(given["data"], 0, 1) * work.highest) / work.highest]


def level_pack(work, given):
    """The digits of each number's level."""
    shape = work.batch, work.height, work.width, work.groups, work.channels // work.groups
    x = given["data"].reshape(shape)
    if work.affine:
        by_group = shape[-2:]
        x = x * given["scale"].reshape(by_group) + given["bias"].reshape(by_group)
    which = (x[..., None] >= given["threshold"]).sum(axis=-1)
    return [np.stack([packing.pack_codes(own[which] != 0, 1) for own in given["digit"]], axis=-1)]


def bitserial_dense(work, given):
    """A convolution of one pixel."""
    return bitserial(AsImage(work), given)


def sign_pack(work, given):
    """Bits of what is below its threshold."""
    depth = work.channels // work.groups
    table = given.get("threshold", np.zeros(1, np.float32))
    shape = work.batch, work.height, work.width, work.groups, depth
    return [packing.pack_codes(given["data"].reshape(shape) < table, 1)]


KERNELS = {
    **interpreted_layers.KERNELS,
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise,
    "dense": dense,
    "bitserial_conv2d": bitserial,
    "bitserial_dense": bitserial_dense,
    "sign_pack": sign_pack,
    "levels": levels,
    "steps": steps,
    "level_pack": level_pack,
}

"""Rules for the layers with weights: which kernel family a layer becomes, and its packed constants."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants, Value
from runtime.kernels import packing
from runtime.kernels.base import kernel_for, lanes
from runtime.lowering.builder import GraphBuilder, UnsupportedLayerError
from runtime.lowering.tensors import as_it_runs, in_float32, numbers
from runtime.workload import (
    BYTE_WEIGHTS,
    BitserialConv2d,
    BitserialDense,
    ByteCode,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    InputCode,
    Quantize,
    SignPack,
    SpatialWorkload,
    ThresholdKind,
    WeightCode,
    Workload,
)

if TYPE_CHECKING:
    from search_spaces.activation import InputActivation

HIGHEST = {"dorefa8": 256}
"""What a byte of a weight counts at most, where it is not 127; twice itself, before inputs are added."""

FLOAT_INPUT_WEIGHTS = ("float", "ternary", "binary")
BYTE_INPUT_WEIGHTS = (*BYTE_WEIGHTS, "ternary")


@dataclass(frozen=True)
class Weights:
    """A layer's weights: codes (O, C/G, K, K), scales of positive and of negative codes (O,), bias (O,)."""

    values: NDArray[Any]
    positive: NDArray[np.float32]
    negative: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Outline:
    """What decides on a layer's kernel, without its weights' values.

    Attributes:
        layer: the module.
        code: of its weights.
        shape: (O, C/G, K, K).
        read: gives the weights.
        is_symmetric: whether a ternary code has one scale by its rule. That two learned ones happen to be
            equal, as before training, is no reason: a network must not change its kernels while it learns.
    """

    layer: Any
    code: WeightCode
    shape: tuple[int, int, int, int]
    read: Callable[[Any], Weights]
    is_symmetric: bool = False


@dataclass(frozen=True)
class Window:
    """How a convolution slides; a dense layer is a 1x1 window."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1


def convolve(
    builder: GraphBuilder,
    name: str,
    value: Value,
    activation: "InputActivation | None",
    weights: Outline,
    window: Window,
) -> Value:
    """Emit the activation of the input and the convolution (or dense) kernel of a layer.

    Raises:
        UnsupportedLayerError: no kernel takes this input code with these weights, or the window does not fit.
    """
    out_channels, depth, *_ = weights.shape
    in_channels = depth * window.groups
    if value.shape[-1] != in_channels:
        raise UnsupportedLayerError(
            f"layer '{name}': it takes {in_channels} channels, but gets {value.shape[-1]}"
        )
    is_depthwise = window.groups > 1 and in_channels == out_channels == window.groups
    code = _kernel_input(activation)
    coded = (
        value
        if activation is None
        else activate(builder, name, value, activation, 1 if is_depthwise else window.groups)
    )
    workload = _workload(name, value, code, weights, window, is_depthwise)

    def constants() -> Constants:
        step = float(activation.scale) if activation is not None and activation.is_bytes else 1.0
        found = _constants(workload, weights.read(weights.layer), step, is_depthwise)
        if activation is not None and activation.is_affine:
            found["zero_point"] = _zero_point(activation)
        expected = [b for b in kernel_for(workload).buffers(workload) if b.role == "constant"]
        return {b.name: found[b.name].reshape(b.shape) for b in expected}

    pixels = (workload.out_height, workload.out_width) if isinstance(workload, SpatialWorkload) else ()
    shape = (value.shape[0], *pixels, out_channels)
    return builder.emit(name, workload, [coded], shape, constants, weights.layer)


def activate(
    builder: GraphBuilder, name: str, value: Value, activation: "InputActivation", groups: int
) -> Value:
    """Emit what a layer does to its input: nothing, a ReLU, a quantization, or a sign."""
    if activation.code == "float":
        return builder.relu(name, value) if activation.relu else value
    if activation.code == "binary":
        return _sign_pack(builder, name, value, activation, groups)
    step, zero = np.float32(float(activation.scale)), _zero_point(activation)  # numpy has no bfloat16
    workload = Quantize(builder.batch, math.prod(value.shape), cast(ByteCode, activation.code))

    def constants() -> Constants:
        inverse = {"inverse_step": np.array([1 / step], np.float32)}
        return {**inverse, "output_zero": zero} if activation.is_affine else inverse

    same = step, int(zero[0])
    return builder.emit(f"{name}.quantize", workload, [value], value.shape, constants, same, "codes")


def _zero_point(activation: "InputActivation") -> NDArray[np.int32]:
    """What a zero is coded as, (1,)."""
    return np.array([int(activation.zero_point)], np.int32)


def _sign_pack(
    builder: GraphBuilder, name: str, value: Value, activation: "InputActivation", groups: int
) -> Value:
    """Emit the packing of signs; a dither mask m becomes the threshold -m."""
    n, *pixels, channels = value.shape
    height, width = pixels or (1, 1)
    dither, plane = activation.dither, (1, 1) if pixels else activation.plane
    kinds: dict[str | None, ThresholdKind] = {None: "zero", "2d": "position", "3d": "element"}
    # features of one image are channels here, with a threshold each
    kind: ThresholdKind = kinds[dither] if plane == (1, 1) or dither is None else "element"
    workload = SignPack(n, height, width, channels, groups, kind)
    make = dict if dither is None else partial(_thresholds, workload, dither, plane)
    return builder.emit(f"{name}.sign", workload, [value], value.shape, make, (dither, plane), "codes")


def _thresholds(signs: SignPack, dither: str, plane: tuple[int, int]) -> Constants:
    """The dither mask as the thresholds of a sign: one for each pixel (2d), or each pixel and channel."""
    from search_spaces.quantizers import dither_mask

    if plane != (1, 1):
        mask = dither_mask(signs.channels // math.prod(plane), *plane, dither).numpy()
        return {"threshold": -mask.astype(np.float32).reshape(1, 1, signs.groups, -1)}
    shape = signs.channels, signs.height, signs.width
    mask = -dither_mask(*shape, dither).numpy().astype(np.float32)
    mask = np.broadcast_to(mask, shape).transpose(1, 2, 0)  # (H, W, C)
    table = mask[..., :1, None] if dither == "2d" else mask.reshape(*shape[1:], signs.groups, -1)
    return {"threshold": np.ascontiguousarray(table)}


def _workload(
    name: str, value: Value, code: Any, weights: Outline, window: Window, is_depthwise: bool
) -> Workload:
    allowed = {"float": FLOAT_INPUT_WEIGHTS, "binary": ("binary", "ternary")}.get(code, BYTE_INPUT_WEIGHTS)
    if weights.code not in allowed:
        raise UnsupportedLayerError(
            f"layer '{name}': no kernel takes {weights.code} weights with {code} inputs"
        )
    out_channels, depth, *_ = weights.shape
    most = (1 << 31) // (255 * HIGHEST.get(weights.code, 127))  # products that fit an int32 for certain
    count = depth * window.kernel**2
    if code in ("uint8", "int8") and count > most:
        raise UnsupportedLayerError(
            f"layer '{name}': a sum of {count} bytes may not fit 32 bits, of {most} it does"
        )
    if len(value.shape) == 2:
        if code == "binary":
            return BitserialDense(value.shape[0], depth, out_channels, weights.code, weights.is_symmetric)
        return Dense(value.shape[0], depth, out_channels, weights.code, code)
    n, height, width, channels = value.shape
    spatial = (n, height, width, window.kernel, window.stride, window.padding)
    if min(height, width) + 2 * window.padding < window.kernel:
        raise UnsupportedLayerError(
            f"layer '{name}': its {window.kernel}x{window.kernel} window is larger than the image"
        )
    if is_depthwise:
        return DepthwiseConv2d(*spatial, channels, weights.code, code)
    if code == "binary":
        groups, symmetric = window.groups, weights.is_symmetric
        return BitserialConv2d(*spatial, channels, out_channels, groups, weights.code, symmetric)
    return Conv2d(*spatial, channels, out_channels, window.groups, weights.code, code)


def _constants(workload: Any, weights: Weights, step: float, is_depthwise: bool) -> Constants:
    """Weights, scales and bias in the kernel's layout."""
    out_channels = len(weights.values)
    groups = 1 if is_depthwise else getattr(workload, "groups", 1)
    width = lanes(out_channels if is_depthwise else out_channels // groups)
    vectors = {
        name: packing.lane_vectors(getattr(weights, name), width) for name in ("positive", "negative", "bias")
    }
    if isinstance(workload, BitserialConv2d | BitserialDense):
        return _bitserial_constants(workload, weights, vectors, width)
    code = workload.weight
    stored = (weights.values - 1) // 2 if code == "dorefa8" else weights.values
    arranged = packing.lane_layout(stored, width)
    if code == "ternary" and workload.input in ("uint8", "int8") and not is_depthwise:
        offset = _byte_offset(weights, width)
        scale = (vectors["positive"] * np.float32(step)).astype(np.float32)
        packed = packing.pack_ternary_quads(weights.values, width)
        return {"weight": packed, "scale": scale, "bias": vectors["bias"], "offset": offset}
    if code in ("ternary", "binary"):
        codes = packing.ternary_codes(arranged) if code == "ternary" else arranged < 0
        packed = packing.pack_lane_codes(codes, 2 if code == "ternary" else 1)
        return {**vectors, "weight": packed, "scale": np.full_like(vectors["bias"], step)}
    scale = (vectors["positive"] * np.float32(step)).astype(np.float32)
    constants = {"weight": arranged, "scale": scale, "bias": vectors["bias"]}
    if code in BYTE_WEIGHTS and not is_depthwise:
        constants["weight"] = packing.pack_quads(stored, width)
        constants["offset"] = _byte_offset(weights, width, absent=1 if code == "dorefa8" else 0)
    return constants


def _byte_offset(weights: Weights, width: int, absent: int = 0) -> NDArray[np.int32]:
    """What a sum lacks for each step that stands for zero, (O / lanes, lanes).

    ``absent`` is what the weights stand for that fill up quads; they meet inputs of zero.
    """
    _, depth, *window = weights.values.shape
    filled = (packing.quads(depth) * packing.QUAD - depth) * math.prod(window) * absent
    sums = weights.values.astype(np.int64).sum(axis=(1, 2, 3)) + filled
    found: NDArray[np.int32] = packing.lane_vectors((-sums).astype(np.int32), width)
    return found


def _bitserial_constants(
    workload: BitserialConv2d | BitserialDense, weights: Weights, vectors: Constants, width: int
) -> Constants:
    if workload.weight == "binary":
        packed = packing.pack_bitserial_binary(weights.values, width)
        total = np.full_like(vectors["bias"], np.prod(weights.values.shape[1:]), dtype=np.int32)[:, None]
        return {
            "weight": packed,
            "total": total,
            "scale": vectors["positive"][:, None],
            "bias": vectors["bias"],
        }
    if workload.symmetric:
        nonzero = (weights.values != 0).sum(axis=(1, 2, 3)).astype(np.int32)
        return {
            "weight": packing.pack_bitserial_symmetric(weights.values, width),
            "total": packing.lane_vectors(nonzero, width)[:, None],
            "scale": vectors["positive"][:, None],
            "bias": vectors["bias"],
        }
    counts = [packing.lane_vectors((weights.values == s).sum(axis=(1, 2, 3)), width) for s in (1, -1)]
    positive, negative = vectors["positive"], vectors["negative"]
    scales = [(positive + negative) / 2, (positive - negative) / 2]
    return {
        "weight": packing.pack_bitserial_ternary(weights.values, width),
        "total": np.stack(counts, axis=1).astype(np.int32),
        "scale": np.stack(scales, axis=1),
        "bias": vectors["bias"],
    }


def _kernel_input(activation: "InputActivation | None") -> InputCode:
    """What kernels read: unsigned bytes are the same to them however many steps they have."""
    if activation is None:
        return "float"
    return "uint8" if activation.code.startswith("uint") else cast(InputCode, activation.code)


def quantized(layer: Any) -> Outline:
    """One of our quantized layers."""
    code = _kernel_weights(layer)
    read = _real_weights if code == "float" and layer.precision.weight != "float" else _quantized_weights
    return Outline(layer, code, _window_shape(layer), read, layer.is_symmetric)


def _kernel_weights(layer: Any) -> WeightCode:
    """The code in which a kernel takes a layer's weights: bytes where inputs are, floats if need be."""
    code, inputs = layer.precision.weight, layer.activation.code
    if layer.activation.is_bytes and code != "float":
        if code == "dorefa8":
            return "dorefa8"
        return "ternary" if layer.is_symmetric else "int8"
    if code.startswith("dorefa") and inputs == "float":
        return "float"
    return cast(WeightCode, code)


def plain(layer: Any) -> Outline:
    """Torch's own convolution or linear layer."""
    return Outline(layer, "float", _window_shape(layer), _float_weights)


def _window_shape(layer: Any) -> tuple[int, int, int, int]:
    """(O, C/G, K, K); the weights of a dense layer are those of a 1x1 window."""
    out_channels, depth, *window = layer.weight.shape
    return (out_channels, depth, *(window or (1, 1)))


def _quantized_weights(layer: Any) -> Weights:
    with as_it_runs(layer) as own:
        codes = in_float32(own).weight_codes()
        return Weights(_windows(codes.values), codes.positive, codes.negative, _bias(own))


def _real_weights(layer: Any) -> Weights:
    with as_it_runs(layer) as own:
        return _reals(own, in_float32(own).quantized_weight())


def _float_weights(layer: Any) -> Weights:
    with as_it_runs(layer) as own:
        return _reals(own, own.weight)


def _reals(own: Any, weight: Any) -> Weights:
    """Weights that are as they are, times 1."""
    values = numbers(own, weight)
    ones = np.ones(len(values), np.float32)
    return Weights(_windows(values), ones, ones, _bias(own))


def _windows(values: NDArray[Any]) -> NDArray[Any]:
    """(O, C/G, K, K), of a dense layer's too."""
    return values if values.ndim == 4 else values[..., None, None]


def _bias(own: Any) -> NDArray[np.float32]:
    bias: NDArray[np.float32] = (
        np.zeros(len(own.weight), np.float32) if own.bias is None else numbers(own, own.bias)
    )
    return bias

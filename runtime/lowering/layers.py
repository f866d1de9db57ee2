"""Rules for the layers with weights: which kernel family a layer becomes, and its packed constants."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants, Value
from runtime.kernels.base import kernel_for
from runtime.kernels.covering import vectors_of
from runtime.kernels.weight_layouts import (
    LayerWeights,
    WeightLayout,
    layout_for,
    planes_of,
    quads_of,
    weight_layouts,
)
from runtime.lowering.builder import GraphBuilder
from runtime.lowering.learned import of_digits, pack_levels, write_levels, write_steps
from runtime.lowering.rulebook import At
from runtime.lowering.tensors import as_it_runs, in_float32, numbers
from runtime.workload import (
    HIGHEST_BYTE,
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
    Window,
    Workload,
)
from search_spaces.weight_codes import CodeSet

if TYPE_CHECKING:
    from search_spaces.activation import InputActivation

_BYTES = "kernels of bytes take whole numbers of -127 to 127 with one scale, and odd ones of -255 to 255"
ACCEPTED_CODES = {**dict.fromkeys(HIGHEST_BYTE, _BYTES), "binary": "kernels of signs take -1, 0 and 1"}
"""Which weights kernels take, by their input."""


@dataclass(frozen=True)
class Outline:
    """What decides on a layer's kernel, without its weights' values.

    Attributes:
        layer: the module.
        codes: what its weights may be.
        code: what they are called.
        layout: in which a kernel takes them; None where no kernel does.
        shape: (O, C/G, K, K).
        read: gives the weights.
    """

    layer: Any
    codes: CodeSet
    code: str
    layout: WeightLayout | None
    shape: tuple[int, int, int, int]
    read: Callable[[Any], LayerWeights]


def convolve(
    at: At,
    value: Value,
    activation: "InputActivation | None",
    weights: Outline,
    window: Window,
    groups: int = 1,
) -> Value:
    """Emit the activation of the input and the convolution (or dense) kernel of a layer.

    A dense layer is a window of one tap.

    Raises:
        UnsupportedLayerError: no kernel takes this input code with these weights, or the window does not fit.
    """
    out_channels, depth, *_ = weights.shape
    in_channels = depth * groups
    found = value.shape[-1]
    at.require(found == in_channels, f"it takes {in_channels} channels, but gets {found}")
    is_depthwise = groups > 1 and in_channels == out_channels == groups
    code = _kernel_input(activation, None if is_depthwise else weights.layout)
    coded = value
    if activation is not None:
        coded = activate(at.builder, at.name, value, activation, 1 if is_depthwise else groups, code)
    layout = _layout(at, code, weights, depth * window.count)
    bits = len(activation.basis) if activation is not None and code == "digits" else 0
    workload = _workload(at, value, code, weights, layout, window, groups, is_depthwise, bits)

    def constants() -> Constants:
        step = float(activation.scale) if activation is not None and activation.is_bytes else 1.0
        found = _constants(workload, layout, weights.read(weights.layer), step)
        if activation is not None and code == "digits":
            found = of_digits(found, activation)
        if activation is not None and activation.is_affine:
            found["zero_point"] = _zero_point(activation)
        expected = [b for b in kernel_for(workload).buffers(workload) if b.role == "constant"]
        return {b.name: found[b.name].reshape(b.shape) for b in expected}

    pixels = (workload.out_height, workload.out_width) if isinstance(workload, SpatialWorkload) else ()
    shape = (value.shape[0], *pixels, out_channels)
    return at.emit(workload, [coded], shape, constants, weights.layer)


def activate(
    builder: GraphBuilder, name: str, value: Value, activation: "InputActivation", groups: int, code: str
) -> Value:
    """Emit what a layer does to its input, for a kernel that reads ``code``: nothing, a ReLU, or its code."""
    if activation.has_basis and code == "digits":
        return pack_levels(builder, name, value, activation, groups)
    if activation.has_basis:
        return write_levels(builder, name, value, activation)
    if activation.is_wide:
        return write_steps(builder, name, value, activation)
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


def _layout(at: At, code: str, weights: Outline, count: int) -> WeightLayout:
    """The layout of a layer's weights; sums have ``count`` products."""
    layout = weights.layout
    if layout is None:
        problem = f"no kernel takes {weights.code} weights with {code} inputs; {ACCEPTED_CODES[code]}"
        raise at.refused(problem)
    highest = 0 if layout.quads is None else layout.quads.highest
    product = HIGHEST_BYTE.get(code, 0) * highest
    if count * product >= 1 << 31:
        most = (1 << 31) // product  # products that fit an int32 for certain
        raise at.refused(f"a sum of {count} bytes may not fit 32 bits, of {most} it does")
    return layout


def _workload(
    at: At,
    value: Value,
    code: Any,
    weights: Outline,
    layout: WeightLayout,
    window: Window,
    groups: int,
    is_depthwise: bool,
    input_bits: int,
) -> Workload:
    """``input_bits`` are the digits of learned levels, 0 for all other inputs."""
    out_channels, depth, *_ = weights.shape
    planes: dict[str, Any] = {}
    if layout.planes is not None and not is_depthwise and code in ("binary", "digits"):
        planes = {
            "symmetric": layout.planes.is_symmetric(weights.codes),
            "input_bits": input_bits or 1,
            "weight_bits": layout.planes.of_signs or 1,
            "digits": code == "digits",
        }
    if len(value.shape) == 2:
        if planes:
            return BitserialDense(value.shape[0], depth, out_channels, layout.name, **planes)
        return Dense(value.shape[0], depth, out_channels, layout.name, code)
    n, height, width, channels = value.shape
    rows, columns = window.extent
    fits = min(window.outputs(height, width)) > 0
    at.require(fits, f"its {rows}x{columns} window is larger than the image")
    spatial: dict[str, Any] = {"batch": n, "height": height, "width": width, **window.fields}
    if is_depthwise:
        return DepthwiseConv2d(**spatial, channels=channels, weight=layout.name, input=code)
    spatial |= {"in_channels": channels, "out_channels": out_channels, "groups": groups}
    if planes:
        return BitserialConv2d(**spatial, weight=layout.name, **planes)
    return Conv2d(**spatial, weight=layout.name, input=code)


def _constants(workload: Any, layout: WeightLayout, weights: LayerWeights, step: float) -> Constants:
    """Weights, scales and bias in the kernel's layout."""
    vectors = vectors_of(workload)
    width, weights = vectors.width, weights.of(vectors.order())
    if isinstance(workload, BitserialConv2d | BitserialDense):
        return planes_of(workload).pack(workload, weights, width)
    if workload.input == "float" or isinstance(workload, DepthwiseConv2d):
        return layout.taps.pack(weights, width, step)
    return quads_of(workload).pack(weights, width, step)


def _kernel_input(
    activation: "InputActivation | None", layout: WeightLayout | None
) -> InputCode | Literal["digits"]:
    """What kernels read: DoReFa's bytes are the same to them however many steps they have.

    Learned levels are planes of digits where ``layout``, the weights', has planes of signs, else floats.
    """
    if activation is None:
        return "float"
    if activation.is_wide:
        return "float"
    if activation.has_basis:
        has_signs = layout is not None and layout.planes is not None and layout.planes.of_signs > 0
        return "digits" if has_signs else "float"
    return "uint8" if activation.is_bytes and activation.is_fixed else cast(InputCode, activation.code)


def quantized(layer: Any) -> Outline:
    """One of our quantized layers."""
    inputs = layer.activation.inputs
    codes = layer.weight_code.code_set(inputs)
    layout = layout_for(codes, inputs)
    read = _real_weights if layout is weight_layouts.get("float") else _stored_weights
    return Outline(layer, codes, layer.weight_code.name, layout, _window_shape(layer), read)


def plain(layer: Any) -> Outline:
    """Torch's own convolution or linear layer."""
    layout = weight_layouts.get("float")
    return Outline(layer, CodeSet(None), "float", layout, _window_shape(layer), _float_weights)


def _window_shape(layer: Any) -> tuple[int, int, int, int]:
    """(O, C/G, K, K); the weights of a dense layer are those of a 1x1 window."""
    out_channels, depth, *window = layer.weight.shape
    return (out_channels, depth, *(window or (1, 1)))


def _stored_weights(layer: Any) -> LayerWeights:
    with as_it_runs(layer) as own:
        stored = in_float32(own).stored_weights()
        scales = stored.positive, stored.negative
        return LayerWeights(_windows(stored.values), *scales, _bias(own), stored.basis)


def _real_weights(layer: Any) -> LayerWeights:
    with as_it_runs(layer) as own:
        return _reals(own, in_float32(own).quantized_weight())


def _float_weights(layer: Any) -> LayerWeights:
    with as_it_runs(layer) as own:
        return _reals(own, own.weight)


def _reals(own: Any, weight: Any) -> LayerWeights:
    """Weights that are as they are, times 1."""
    values = numbers(own, weight)
    ones = np.ones(len(values), np.float32)
    return LayerWeights(_windows(values), ones, ones, _bias(own))


def _windows(values: NDArray[Any]) -> NDArray[Any]:
    """(O, C/G, K, K), of a dense layer's too."""
    return values if values.ndim == 4 else values[..., None, None]


def _bias(own: Any) -> NDArray[np.float32]:
    bias: NDArray[np.float32] = (
        np.zeros(len(own.weight), np.float32) if own.bias is None else numbers(own, own.bias)
    )
    return bias

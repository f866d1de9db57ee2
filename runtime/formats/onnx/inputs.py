"""What a quantized layer does to its input: a ReLU, a rounding to bytes, a sign behind a mask."""

from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runtime.formats.onnx.graph import OnnxGraph, Tensor
from runtime.formats.onnx.masks import thresholds
from runtime.formats.onnx.rulebook import At
from search_spaces.activation import STEPS
from search_spaces.learned_levels import levels_of
from search_spaces.weight_codes import Inputs

if TYPE_CHECKING:
    from search_spaces.activation import InputActivation

MINUS, ZERO, PLUS = np.uint8(0), np.uint8(1), np.uint8(2)
"""Signs as bytes; ``ZERO`` is the zero point."""


class Coded(NamedTuple):
    """A layer's input.

    Attributes:
        name: of the tensor: real numbers, or bytes.
        kind: ``real``, ``bytes`` or ``signs``.
        step: what one step of the bytes stands for.
        zero: the byte that stands for a zero.
    """

    name: str
    kind: Inputs
    step: np.float32 = np.float32(1)
    zero: np.uint8 = np.uint8(0)


def coded(at: At, input: Tensor, activation: "InputActivation") -> Coded:
    """The input of a layer as it convolves it."""
    if activation.code == "float":
        return Coded(at.op("Relu", input) if activation.relu else input.name, "real")
    if activation.code == "binary":
        return Coded(_signs(at.graph, input, activation), "signs", zero=ZERO)
    if activation.has_basis:
        rectified = at.op("Relu", input) if activation.relu else input.name
        return Coded(_levels(at.graph, rectified, activation), "real")
    if activation.is_wide:
        return Coded(_steps(at.graph, input, activation), "real")
    step, zero = np.float32(float(activation.scale)), np.uint8(int(activation.zero_point))
    most = STEPS[activation.code]
    rounded = at.op("QuantizeLinear", input, step, zero)  # to 0..255
    if most < np.iinfo(np.uint8).max:
        rounded = at.op("Clip", rounded, "", np.uint8(most))
    return Coded(rounded, "bytes", step, zero)


def _levels(graph: OnnxGraph, x: str, activation: "InputActivation") -> str:
    """The nearest of a few levels, as ``search_spaces.learned_levels.quantize_all`` finds it."""
    levels = levels_of(activation.basis.detach().cpu().float(), 0)
    values, thresholds = (each.numpy() for each in levels[:2])
    found: str | np.float32 = values[0]
    for value, threshold in zip(values[1:], thresholds, strict=True):
        found = graph.op("Where", graph.op("GreaterOrEqual", x, threshold), value, found)
    return str(found)


def _steps(graph: OnnxGraph, input: Tensor, activation: "InputActivation") -> str:
    """Rounded to steps that no byte counts."""
    step = np.float32(float(activation.scale))
    steps = graph.op("Round", graph.op("Mul", input, np.float32(1) / step))
    within = graph.op("Clip", steps, np.float32(0), np.float32(activation.highest))
    return graph.op("Mul", within, step)


def _signs(graph: OnnxGraph, input: Tensor, activation: "InputActivation") -> str:
    """-1 where x < -m with the mask m, else 1; a sign of zero is 1."""
    threshold: str | np.float32 = np.float32(0)
    if activation.dither is not None:
        plane = input.shape[2:] if len(input.shape) == 4 else activation.plane
        channels = prod(input.shape[1:]) // prod(plane)
        threshold = thresholds(graph, channels, *plane, activation.dither)
        if len(input.shape) != 4:
            sizes = (channels, *plane)
            whole = graph.op("Expand", threshold, np.array(sizes, np.int64))
            threshold = graph.op("Reshape", whole, np.array([-1], np.int64))
    return graph.op("Where", graph.op("Less", input, threshold), MINUS, PLUS)

"""Decides which kernels work without a float, and turns their constants into integers.

Sums of bytes are scaled by integers wherever bytes are made of them. A real number between two such
kernels, a shortcut's or a pooling's, is in fixed point if all who write and read it can do with that; else it
is a float.
"""

import math
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants, Graph, Node
from runtime.kernels.epilogue import STEPS, has_integer_form, has_real, scales_by_integers
from runtime.kernels.fixed_point import LIMIT
from runtime.lowering.fixed_points import SUMS, FixedPoints, real_outputs, reals_of
from runtime.workload import Affine, Conv2d, DepthwiseConv2d, FusedOutput, Relu6, Workload, is_affine

BIAS_BITS = 61
"""Of a bias: with a product of 31 and 30 bits it fits 64."""


def use_integers(graph: Graph) -> None:
    """Let kernels of bytes work in integers, and all that lies between them."""
    reals = [reals_of(node) for node in graph.nodes]
    fixed = _fixed_values(graph, reals)
    in_fixed_point = [bool(own) and own <= fixed for own in reals]
    points = FixedPoints(
        [node for node, is_fixed in zip(graph.nodes, in_fixed_point, strict=True) if is_fixed]
    )
    for node, own, is_fixed in zip(graph.nodes, reals, in_fixed_point, strict=True):
        if is_fixed or (not own and _is_all_bytes(node.workload)):
            before: Any = node.workload  # all of these have an arithmetic
            node.workload = replace(before, arithmetic="integer")
            node.change_constants(partial(_as_integers, node, node.workload, points))


def _fixed_values(graph: Graph, reals: list[set[int]]) -> set[int]:
    """Indices of the real values that all kernels around them can take as fixed-point numbers.

    ``reals`` are the values that each node can have so: it has all of them or none.
    """
    around: dict[int, list[set[int]]] = defaultdict(list)
    found: set[int] = set()
    for node, own in zip(graph.nodes, reals, strict=True):
        for value in (*node.inputs, *node.outputs):
            around[value.index].append(own)
        if isinstance(
            node.workload, SUMS
        ):  # what is convolved is no fixed-point number, even if added as well
            around[node.inputs[0].index].append(set())
        found |= set(real_outputs(node))
    found -= {graph.input.index, graph.output.index}
    pending = list(found)
    while pending:
        index = pending.pop()
        if index not in found or all(index in own and own <= found for own in around[index]):
            continue
        found.discard(index)
        pending += [other for own in around[index] for other in own]
    return found


def _is_all_bytes(workload: Workload) -> bool:
    """Whether bytes come in and nothing but bytes goes out, with no float between."""
    if not isinstance(workload, Conv2d | DepthwiseConv2d) or workload.output not in STEPS:
        return False
    in_integers = replace(workload, arithmetic="integer")
    return has_integer_form(workload.activation) and scales_by_integers(in_integers)


def _as_integers(node: Node, workload: Any, points: FixedPoints, constants: Constants) -> Constants:
    """Constants of a kernel that works in integers, from those of the same one in floats."""
    found, reals = dict(constants), reals_of(node)
    written = node.outputs[0].index if isinstance(workload, Affine) else min(reals, default=None)
    unit = 1.0 if written is None else 2.0 ** points.of(written)
    inverse, zero = found.pop("inverse_step", None), found.pop("output_zero", np.zeros(1, np.int32))
    is_code = isinstance(workload, FusedOutput) and not has_real(workload)
    if isinstance(workload, Affine):
        scale, bias = (found.pop(name).astype(np.float64) for name in ("scale", "bias"))
        ratio = unit / 2.0 ** points.of(node.inputs[0].index)
        found["multiplier"], found["bias"], found["shift"] = factors(scale * ratio, bias * unit)
    elif isinstance(workload, SUMS) and scales_by_integers(workload):
        scale, bias = (found.pop(name).astype(np.float64) for name in ("scale", "bias"))
        one = float(inverse[0]) if is_code and inverse is not None else unit  # what stands for 1
        found["multiplier"], found["bias"], found["shift"] = factors(scale * one, bias * one + is_code * zero)
    elif isinstance(workload, SUMS):
        found["unit"] = np.array([unit], np.float32)
    is_relu6 = isinstance(workload, Relu6) or getattr(workload, "activation", "none") == "relu6"
    if is_relu6 and not is_code:
        found["six"] = np.array([min(6 * unit, LIMIT)], np.int32)
    elif is_relu6 and inverse is not None:
        found["output_most"] = _byte_of_six(inverse, zero, workload.output)
    if is_code and (workload.relu or is_relu6) and is_affine(workload.output):
        found["output_zero"] = zero
    if inverse is not None and not is_code:
        steps = inverse.astype(np.float64) / unit
        found["code_multiplier"], found["code_bias"], found["code_shift"] = factors(steps, zero)
    return found


def _byte_of_six(inverse: NDArray[Any], zero: NDArray[Any], code: str) -> NDArray[np.int32]:
    """What stands for 6, as a float is rounded to a byte; the highest byte where it is beyond all."""
    steps = np.rint(np.float32(6) * inverse) + zero
    return np.array(np.minimum(steps, STEPS[code]), np.int32)


def factors(
    scale: NDArray[np.float64], bias: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Integers m, b and one shift s with ``(m x + b) >> s`` the nearest whole number to ``scale x + bias``.

    ``m`` has up to 31 bits (Jacob et al., equation 6, with one power of two for all channels), so that the
    largest scale is off by 2^-30 of itself at most; ``b`` has the half of rounding in it.
    """
    shift = 30 - math.ceil(math.log2(max(np.abs(scale).max(), 2.0**-32)))
    room = BIAS_BITS - math.ceil(math.log2(max(np.abs(bias).max(), 1.0)))
    shift = max(1, min(shift, room))
    most = np.iinfo(np.int32).max
    multiplier = np.clip(np.round(np.ldexp(scale, shift)), -most, most).astype(np.int32)
    whole = np.round(np.ldexp(np.asarray(bias, np.float64), shift)).astype(np.int64) + (1 << (shift - 1))
    return multiplier, np.clip(whole, -(1 << 62), 1 << 62), np.array([shift], np.int64)

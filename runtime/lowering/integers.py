"""Decides which kernels work without a float, and turns their constants into integers.

Sums of bytes are scaled by integers wherever bytes are made of them. A real number between two such
kernels, a shortcut's or a pooling's, is in fixed point if all who write and read it can do with that; else it
is a float.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants, Graph, MakeConstants, Node
from runtime.kernels.epilogue import STEPS, has_real, scales_by_integers
from runtime.kernels.fixed_point import LIMIT
from runtime.workload import (
    Add,
    Affine,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    FusedOutput,
    GlobalAvgPool,
    MaxPool2d,
    Quantize,
    Relu,
    Relu6,
    Subsample,
    ToNchw,
    Workload,
)

SUMS = (Conv2d, DepthwiseConv2d, Dense)
MAPS = (
    Add,
    Affine,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    GlobalAvgPool,
    MaxPool2d,
    Relu,
    Relu6,
    Subsample,
    ToNchw,
)
"""What makes real numbers of real numbers, and has a kernel for fixed-point ones."""

MOST_BITS = 61
"""Of a bias: with a product of 31 and 30 bits it fits 64."""

HEADROOM = 4
"""Bits by which fixed-point numbers may be larger than those that bytes are made of: sums may cancel."""


def use_integers(graph: Graph) -> None:
    """Let kernels of bytes work in integers, and all that lies between them."""
    fixed = _fixed_values(graph)
    nodes = [node for node in graph.nodes if (reals := _reals(node)) and reals <= fixed]
    points = _points(nodes)
    for node in graph.nodes:
        reals = _reals(node)
        if (reals and reals <= fixed) or (not reals and _is_all_bytes(node.workload)):
            before: Any = node.workload  # all of these have an arithmetic
            node.workload = replace(before, arithmetic="integer")
            point = points[min(reals)] if reals else int
            node.change_constants(partial(_as_integers, node.workload, point))


def _points(nodes: list[Node]) -> dict[int, Callable[[], int]]:
    """For each value in fixed point, what tells how many bits it has behind the point.

    Values that meet in a node have the same, so that the largest range of the bytes that are made of them is
    well within what an int32 holds.
    """
    group: dict[int, set[int]] = {}
    for node in nodes:
        joined = set().union(*(group.get(index, {index}) for index in _reals(node)))
        group.update(dict.fromkeys(joined, joined))
    makers: dict[int, list[MakeConstants]] = defaultdict(list)
    for node in nodes:
        make = node.make_constants if isinstance(node.workload, Quantize) else node.make_step
        if make is not None:
            makers[min(group[min(_reals(node))])].append(make)
    return {index: partial(_point, makers[min(joined)]) for index, joined in group.items()}


def _point(makers: list[MakeConstants]) -> int:
    """Bits behind the point, from the steps of the bytes that are made of the numbers."""
    least = min((float(make()["inverse_step"][0]) for make in makers), default=1.0)
    return 30 - HEADROOM - math.ceil(math.log2(255 / least))


def _fixed_values(graph: Graph) -> set[int]:
    """Indices of the real values that all kernels around them can take as fixed-point numbers."""
    around: dict[int, list[Node]] = defaultdict(list)
    found: set[int] = set()
    for node in graph.nodes:
        for value in (*node.inputs, *node.outputs):
            around[value.index].append(node)
        found |= set(_real_outputs(node))
    found -= {graph.input.index, graph.output.index}
    pending = list(found)
    while pending:
        index = pending.pop()
        if index not in found or all(_can_be_fixed(node, index, found) for node in around[index]):
            continue
        found.discard(index)
        pending += [other for node in around[index] for other in _reals(node)]
    return found


def _can_be_fixed(node: Node, index: int, fixed: set[int]) -> bool:
    """Whether a node takes or gives a value in fixed point, as all its real values would then be."""
    reals = _reals(node)
    return index in reals and reals <= fixed


def _reals(node: Node) -> set[int]:
    """The real values that a node can have in fixed point: neither its bytes nor what it convolves."""
    if isinstance(node.workload, Quantize):
        return {node.inputs[0].index}
    if isinstance(node.workload, MAPS) and not _pools_codes(node.workload):
        return {value.index for value in (*node.inputs, *node.outputs)}
    found = set(_real_outputs(node))
    is_added_to = isinstance(node.workload, Conv2d | DepthwiseConv2d) and node.workload.residual
    return found | {node.inputs[-1].index} if is_added_to else found


def _real_outputs(node: Node) -> Iterator[int]:
    work = node.workload
    is_map = isinstance(work, MAPS) and not _pools_codes(work)
    writes_real = isinstance(work, Dense) or (
        isinstance(work, Conv2d | DepthwiseConv2d) and (work.output == "float" or work.also_float)
    )
    if is_map or writes_real:
        yield node.outputs[0].index


def _pools_codes(workload: Workload) -> bool:
    return isinstance(workload, MaxPool2d) and workload.code != "float"


def _is_all_bytes(workload: Workload) -> bool:
    """Whether bytes come in and nothing but bytes goes out."""
    if not isinstance(workload, Conv2d | DepthwiseConv2d) or workload.output not in STEPS:
        return False
    return scales_by_integers(replace(workload, arithmetic="integer"))


def _as_integers(workload: Any, point: Callable[[], int], constants: Constants) -> Constants:
    """Constants of a kernel that works in integers, from those of the same one in floats."""
    found, unit = dict(constants), 2.0 ** point()
    inverse, zero = found.pop("inverse_step", None), found.pop("output_zero", np.zeros(1, np.int32))
    is_code = isinstance(workload, FusedOutput) and not has_real(workload)
    if isinstance(workload, Affine) or (isinstance(workload, SUMS) and scales_by_integers(workload)):
        scale, bias = (found.pop(name).astype(np.float64) for name in ("scale", "bias"))
        one = float(inverse[0]) if is_code and inverse is not None else unit  # what stands for 1
        scale = scale if isinstance(workload, Affine) else scale * one
        found["multiplier"], found["bias"], found["shift"] = factors(scale, bias * one + is_code * zero)
    if is_code and workload.relu and workload.output == "int8":
        found["output_zero"] = zero
    if inverse is not None and not is_code:
        steps = inverse.astype(np.float64) / unit
        found["code_multiplier"], found["code_bias"], found["code_shift"] = factors(steps, zero)
    if isinstance(workload, SUMS) and not scales_by_integers(workload):
        found["unit"] = np.array([unit], np.float32)
    if isinstance(workload, Relu6):
        found["six"] = np.array([min(6 * unit, LIMIT)], np.int32)
    return found


def factors(
    scale: NDArray[np.float64], bias: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Integers m, b and one shift s with ``(m x + b) >> s`` the nearest whole number to ``scale x + bias``.

    ``m`` has up to 31 bits (Jacob et al., equation 6, with one power of two for all channels), so that the
    largest scale is off by 2^-30 of itself at most; ``b`` has the half of rounding in it.
    """
    shift = 30 - math.ceil(math.log2(max(np.abs(scale).max(), 2.0**-32)))
    room = MOST_BITS - math.ceil(math.log2(max(np.abs(bias).max(), 1.0)))
    shift = max(1, min(shift, room))
    most = np.iinfo(np.int32).max
    multiplier = np.clip(np.round(np.ldexp(scale, shift)), -most, most).astype(np.int32)
    whole = np.round(np.ldexp(np.asarray(bias, np.float64), shift)).astype(np.int64) + (1 << (shift - 1))
    return multiplier, np.clip(whole, -(1 << 62), 1 << 62), np.array([shift], np.int64)

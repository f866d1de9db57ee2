"""Which values of a graph can be fixed-point numbers, and where each has its point."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from runtime.graph import Constants, Node
from runtime.kernels.epilogue import STEPS
from runtime.workload import (
    Add,
    Affine,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool,
    Interleave,
    MaxPool2d,
    Pad2d,
    Quantize,
    Relu,
    Relu6,
    Slice,
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
    Interleave,
    MaxPool2d,
    Pad2d,
    Relu,
    Relu6,
    Slice,
    Subsample,
    ToNchw,
)
"""What makes real numbers of real numbers, and has a kernel for fixed-point ones."""

HEADROOM = 16.0
"""By how much numbers may be larger than those that bytes are made of: sums may cancel."""

FIXED_POINT_BITS = 30
"""Of a fixed-point number, without its sign."""

MIN_RELATIVE_SCALE = 2.0**-10
"""A channel that a batch norm shrinks by more than this, beside the least shrunk one, may saturate."""
MIN_RANGE = 2.0**-80
"""No range is smaller: its logarithm is wanted."""

Group = frozenset[int]
"""Values that have the same point."""


def reals_of(node: Node) -> set[int]:
    """The real values that a node can have in fixed point: neither its bytes nor what it convolves.

    None of a kernel that writes signs, which compares with floats, or that keeps float32's roundings.
    """
    if node.keeps_rounding or getattr(node.workload, "output", None) == "binary":
        return set()
    if isinstance(node.workload, Quantize):
        return {node.inputs[0].index}
    if _is_map(node.workload):
        return {value.index for value in (*node.inputs, *node.outputs)}
    found = set(real_outputs(node))
    is_added_to = isinstance(node.workload, Conv2d | DepthwiseConv2d) and node.workload.residual
    return found | {node.inputs[-1].index} if is_added_to else found


def real_outputs(node: Node) -> Iterator[int]:
    """The real values that a node writes."""
    work = node.workload
    is_map = _is_map(work)
    writes_real = isinstance(work, Dense) or (
        isinstance(work, Conv2d | DepthwiseConv2d) and (work.output == "float" or work.also_float)
    )
    if is_map or writes_real:
        yield node.outputs[0].index


def _is_map(workload: Workload) -> bool:
    """Whether it makes real numbers of real numbers, and can do so in fixed point."""
    if isinstance(workload, Pad2d) and not workload.is_zero:
        return False  # what the border has depends on where the point is
    return isinstance(workload, MAPS) and not has_no_fixed_point(workload)


def has_no_fixed_point(workload: Workload) -> bool:
    """Whether it is a pool of bytes or signs, or one that divides by any number, so that its range is any."""
    if isinstance(workload, AvgPool2d):
        return workload.divisor != 0
    return isinstance(workload, MaxPool2d) and workload.code != "float"


class FixedPoints:
    """Where the point is in each value that is kept in fixed point.

    Values that meet in a node, but for the two of a batch norm, have the same point. It is such that the
    largest range of bytes that are made of them, with what a mean or a batch norm may have shrunk on the way,
    and some bits more, is within what an int32 holds. It depends on what was learned, and is asked for late.
    """

    def __init__(self, nodes: list[Node]) -> None:
        self._group: dict[int, Group] = {}
        for node in nodes:
            for together in _together(node):
                joined = frozenset().union(*(self._group.get(i, frozenset([i])) for i in together))
                self._group.update(dict.fromkeys(joined, joined))
        self._ranges: dict[Group, list[Callable[[frozenset[Group]], float]]] = defaultdict(list)
        self._means: dict[Group, int] = defaultdict(lambda: 1)
        for node in nodes:
            self._note(node)

    def of(self, index: int) -> int:
        """Bits behind the point of a value."""
        return FIXED_POINT_BITS - math.ceil(math.log2(self._reach(self._group[index], frozenset())))

    def _note(self, node: Node) -> None:
        """Take down what a node tells of the range of the values that it reads."""
        work = node.workload
        group = self._group[min(reals_of(node))]
        make = node.make_constants if isinstance(work, Quantize) else node.make_step
        if make is not None:
            highest = STEPS[work.code if isinstance(work, Quantize) else work.output]  # type: ignore[attr-defined]  # it writes one
            self._ranges[group].append(lambda seen: highest / float(make()["inverse_step"][0]))
        if isinstance(work, AvgPool2d | GlobalAvgPool):
            count = work.pixels if isinstance(work, GlobalAvgPool) else work.window.count
            self._means[group] = max(self._means[group], count)
        if isinstance(work, Affine):
            before, behind = (self._group[value.index] for value in (node.inputs[0], node.outputs[0]))
            if before != behind:
                constants = node.make_constants
                self._ranges[before].append(
                    lambda seen: _range_before(constants(), self._reach(behind, seen) / HEADROOM)
                )

    def _reach(self, group: Group, seen: frozenset[Group]) -> float:
        """What the numbers of a group may come to; of one that was ``seen`` on the way nothing is known."""
        if group in seen:
            return 0.0
        largest = max((read(seen | {group}) for read in self._ranges[group]), default=1.0)
        return max(largest, MIN_RANGE) * max(
            HEADROOM, 2 * self._means[group]
        )  # one large number may be a mean among zeros


def _together(node: Node) -> list[set[int]]:
    """The sets of values of a node that have one point each."""
    if isinstance(node.workload, Affine):
        return [{node.inputs[0].index}, {node.outputs[0].index}]
    return [reals_of(node)]


def _range_before(constants: Constants, behind: float) -> float:
    """The range of what a scale and a bias for each channel bring to a range."""
    scale, bias = (np.abs(constants[name]).astype(np.float64) for name in ("scale", "bias"))
    counts = scale > MIN_RELATIVE_SCALE * max(scale.max(), 1e-30)
    return float(((behind + bias[counts]) / scale[counts]).max()) if counts.any() else behind

"""Moves what follows an interleaving of phases in front of it, where the convolution can take it in.

A batch norm, a number or a ReLU does the same to every pixel of a channel, so that it may as well be done to
the phases, which are channels of the convolution before.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants, Graph, MakeConstants, Node
from runtime.lowering.folding import BatchNorm
from runtime.lowering.swapping import only_source, swap
from runtime.workload import Affine, Interleave, Relu


def steps_before_interleaving(graph: Graph) -> None:
    """Turn interleaving, step into step, interleaving."""
    for step in [node for node in graph.nodes if isinstance(node.workload, Affine | Relu)]:
        between = only_source(graph, step, Interleave)
        if between is not None and not step.keeps_rounding:
            _change_places(graph, between, step)


def _change_places(graph: Graph, between: Node, step: Node) -> None:
    """Let ``step``, which reads the interleaving, run before it."""
    swap(graph, between, step)
    work: Any = step.workload
    batch, *plane, channels = step.inputs[0].shape
    if isinstance(work, Affine):
        step.workload = replace(work, pixels=math.prod(plane), channels=channels)
        step.make_constants = _of_phases(step.make_constants, between.workload)
    else:
        step.workload = replace(work, size=batch * math.prod(plane) * channels)


def _of_phases(make: MakeConstants, work: Any) -> MakeConstants:
    """Constants for the channels (groups, phases, C / groups), from those for C."""
    counts = work.groups, math.prod(work.stride)
    if isinstance(make, BatchNorm):
        return NormOfPhases(make.layer, *counts)
    return lambda: _repeated(make(), *counts)


def _repeated(constants: Constants, groups: int, phases: int) -> Constants:
    def repeated(array: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(array.reshape(groups, 1, -1), phases, axis=1).reshape(-1)

    return {name: repeated(array) for name, array in constants.items()}


@dataclass(frozen=True)
class NormOfPhases(BatchNorm):
    """Makes the constants of a batch norm whose channels lie there once for each phase."""

    groups: int
    phases: int

    def __call__(self) -> Constants:
        """Scale and bias in float64."""
        return _repeated(super().__call__(), self.groups, self.phases)

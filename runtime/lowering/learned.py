"""Levels that are sums of a basis, as constants of kernels: thresholds as in training, digits, factors."""

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants, Graph, MakeConstants, Value
from runtime.kernels.level_words import TABLE
from runtime.lowering.builder import GraphBuilder
from runtime.lowering.swapping import only_source
from runtime.workload import Affine, LevelPack, Levels, Steps

if TYPE_CHECKING:
    from search_spaces.activation import InputActivation

NEVER_MISSED = np.finfo(np.float32).min
"""A threshold that all numbers reach."""


def write_levels(builder: GraphBuilder, name: str, value: Value, activation: "InputActivation") -> Value:
    """Emit the rounding to learned levels, as floats."""
    workload = Levels(builder.batch, math.prod(value.shape), len(activation.basis))

    def constants() -> Constants:
        levels, thresholds, _ = _table(activation)
        return {"threshold": thresholds, "level": levels}

    return builder.emit(f"{name}.levels", workload, [value], value.shape, constants, _told(activation))


def write_steps(builder: GraphBuilder, name: str, value: Value, activation: "InputActivation") -> Value:
    """Emit the rounding to steps that no byte counts, as floats."""
    workload = Steps(builder.batch, math.prod(value.shape), activation.highest)
    return builder.emit(f"{name}.steps", workload, [value], value.shape, dict, activation.code)


def pack_levels(
    builder: GraphBuilder, name: str, value: Value, activation: "InputActivation", groups: int
) -> Value:
    """Emit the rounding to learned levels, as planes of their digits."""
    n, *pixels, channels = value.shape
    height, width = pixels or (1, 1)
    workload = LevelPack(n, height, width, channels, groups, len(activation.basis))

    def constants() -> Constants:
        _, thresholds, digits = _table(activation)
        table = np.zeros((digits.shape[1], TABLE), np.uint8)
        table[:, : len(digits)] = 255 * digits.T
        return {"threshold": thresholds, "digit": table}

    return builder.emit(
        f"{name}.levels", workload, [value], value.shape, constants, _told(activation), "codes"
    )


def _table(
    activation: "InputActivation",
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Levels (2^n,), thresholds (2^n - 1,) and digits (2^n, n) of 0 and 1.

    A ReLU before them is a part of the thresholds: those that zero reaches are reached by all that is below.
    """
    from search_spaces.learned_levels import levels_of

    levels = levels_of(activation.basis.detach().cpu().float(), 0)
    thresholds = levels.thresholds.numpy()
    if activation.relu:
        thresholds = np.where(thresholds <= 0, NEVER_MISSED, thresholds)
    return levels.values.numpy(), thresholds.astype(np.float32), levels.digits.numpy().astype(np.uint8)


def _told(activation: "InputActivation") -> tuple[Any, ...]:
    return (*activation.basis.tolist(), activation.relu)


def of_digits(constants: Constants, activation: "InputActivation") -> Constants:
    """Constants for inputs of 0 and 1, from those for signs: see ``runtime.kernels.bitserial``.

    Totals and scales are (O / lanes, planes of weights, lanes), and become so for every pair of planes.
    """
    basis = activation.basis.detach().cpu().float().numpy()
    negative = np.bitwise_count(constants["weight"]).sum(axis=(1, 2, 3), dtype=np.int32)
    scales = [constants["scale"] * (-factor / 2) for factor in basis]
    return {
        **constants,
        "total": np.concatenate([2 * negative] * len(basis), axis=1),
        "scale": np.concatenate(scales, axis=1).astype(np.float32),
    }


def norm_before_levels(graph: Graph) -> None:
    """Let each packing of levels do the batch norm before it that nothing else reads."""
    for pack in [node for node in graph.nodes if isinstance(node.workload, LevelPack)]:
        norm = only_source(graph, pack, Affine)
        if norm is None or norm.keeps_rounding:
            continue
        pack.workload = replace(pack.workload, affine=True)  # type: ignore[call-arg]  # a LevelPack, see above
        pack.inputs = norm.inputs
        pack.change_constants(partial(_normed, norm.make_constants))
        graph.nodes.remove(norm)


def _normed(make_norm: MakeConstants, constants: Constants) -> Constants:
    """Constants of a packing with those of the batch norm before it."""
    return {**constants, **{name: array.astype(np.float32) for name, array in make_norm().items()}}

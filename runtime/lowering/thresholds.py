"""Folds all that lies between a count of differing bits and the next layer's bit into one comparison.

A binary layer's output is ``scale * (total - 2 count) + bias``, perhaps behind a ReLU, and the next layer
asks whether that lies below its threshold. The output falls as the count grows where the scale is positive,
so the answer is yes above some count; where it is negative, weights and scale change sign together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants
from runtime.kernels.weight_layouts import planes_of
from runtime.workload import BitserialConv2d


def count_limits(
    workload: BitserialConv2d, constants: Constants, threshold: NDArray[np.float32] | None
) -> Constants:
    """The constants ``weight`` and ``limit`` of a layer that compares counts.

    Args:
        workload: of one plane of sums.
        constants: weight (O/lanes, K, K, words, planes, lanes), total and scale (O/lanes, 1, lanes), bias.
        threshold: of the next layer, one for each channel; None for 0.
    """
    total = constants["total"].reshape(-1).astype(np.int64)
    scale = constants["scale"].reshape(-1).astype(np.float64)
    bias = constants["bias"].reshape(-1).astype(np.float64)
    below = np.zeros_like(bias) if threshold is None else threshold.reshape(-1).astype(np.float64)
    shape = constants["bias"].shape
    is_negative = scale < 0

    counts = np.arange(int(total.max(initial=0)) + 1)
    values = np.abs(scale)[:, None] * (total[:, None] - 2 * counts) + bias[:, None]  # (O, counts)
    if workload.relu:
        values = np.maximum(values, 0)
    limit = (values >= below[:, None]).sum(axis=1) - 1
    weight = _negate(workload, constants["weight"], is_negative.reshape(shape))
    return {"weight": weight, "limit": limit.astype(np.int32).reshape(shape)}


def _negate(workload: BitserialConv2d, weight: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Packed weights with the sign of the chosen output channels (O/lanes, lanes) changed."""
    negated = planes_of(workload).negated(workload, weight)
    return np.where(chosen[:, None, None, None, None, :], negated, weight).astype(np.uint32)

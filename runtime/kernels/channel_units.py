"""Which units of a constant are an output channel's own, so that a file may hold these and nothing else.

Kernels take weights in vectors of lanes: lanes that no channel is left for repeat one, words and quads are
filled up with zeros.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cpu import Cpu
from runtime.kernels.base import ByChannel, kernel_for
from runtime.kernels.covering import vectors_of
from runtime.kernels.weight_layouts import LayerWeights, planes_of, quads_of, taps_of
from runtime.workload import BitserialConv2d, BitserialDense, Conv2d, Dense, DepthwiseConv2d, Workload

WEIGHT = "weight"
_SUMS = (Conv2d, Dense, DepthwiseConv2d, BitserialConv2d, BitserialDense)


@dataclass(frozen=True)
class ChannelUnits:
    """How a constant lies by output channel.

    Attributes:
        places: of its units.
        order: the channel of each lane, (lanes,).
        used: which units of a channel hold something, (units,); None where all do. The others are zero.
    """

    places: ByChannel
    order: NDArray[np.int64]
    used: NDArray[np.bool_] | None


def channel_units(workload: Workload, cpu: Cpu, name: str, shape: tuple[int, ...]) -> ChannelUnits | None:
    """How a constant of a kernel lies on a CPU; None where nothing is known of it.

    Args:
        workload: the kernel's.
        cpu: for which its constants were arranged.
        name: of the kernel's buffer.
        shape: of the constant.
    """
    if not isinstance(workload, _SUMS):
        return None
    vectors = vectors_of(workload)
    if name != WEIGHT:
        axes = _axes_of(vectors.shape, shape)
        return None if axes is None else ChannelUnits(ByChannel(shape, axes), vectors.order(), None)
    places = kernel_for(workload).by_channel(workload, cpu)
    if places is None or math.prod(places.axes) != math.prod(shape) * _units(workload, cpu, places):
        return None
    return ChannelUnits(places, vectors.order(), _used(workload, cpu, places))


def by_lane(constant: NDArray[Any], places: ByChannel) -> NDArray[Any]:
    """The units of each lane, (lanes, units of one): bits as 0 and 1, elements as they are."""
    flat = np.ascontiguousarray(constant).reshape(-1)
    units = np.unpackbits(flat.view(np.uint8), bitorder="little") if places.of_bits else flat
    inner = [axis for axis in range(len(places.axes)) if axis not in places.channels]
    lanes = math.prod(places.axes[axis] for axis in places.channels)
    return units.reshape(places.axes).transpose(*places.channels, *inner).reshape(lanes, -1)


def _axes_of(vectors: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The axes of a number for each channel: vectors and lanes, lanes last."""
    if len(shape) < 2 or shape[-1] != vectors[1]:
        return None
    if shape[-2] == vectors[0]:
        return len(shape) - 2, len(shape) - 1
    return (0, len(shape) - 1) if shape[0] == vectors[0] else None


def _units(workload: Workload, cpu: Cpu, places: ByChannel) -> int:
    """Units in an element of the weights."""
    (weight,) = (b for b in kernel_for(workload).arguments(workload, cpu) if b.name == WEIGHT)
    return 8 * np.dtype(weight.dtype).itemsize if places.of_bits else 1


def _used(workload: Any, cpu: Cpu, places: ByChannel) -> NDArray[np.bool_] | None:
    """What a channel's weights of 1 or of -1 leave other than zero: together they set all that is used."""
    both = [by_lane(_weight_of(workload, cpu, sign), places)[0] != 0 for sign in (1, -1)]
    used: NDArray[np.bool_] = both[0] | both[1]
    return None if used.all() else used


def _weight_of(workload: Any, cpu: Cpu, value: int) -> NDArray[Any]:
    """The constant of weights that are all the same."""
    vectors, width = vectors_of(workload).shape
    ones = np.ones(vectors * width, np.float32)
    weights = LayerWeights(np.full((len(ones), *_window(workload)), value, np.int8), ones, ones, ones)
    if isinstance(workload, BitserialConv2d | BitserialDense):
        packed = planes_of(workload).pack(workload, weights, width)
    elif workload.input == "float" or isinstance(workload, DepthwiseConv2d):
        packed = taps_of(workload).pack(weights, width, 1.0)
    else:
        packed = quads_of(workload).pack(weights, width, 1.0)
    return kernel_for(workload).arrange_weight(workload, cpu, packed[WEIGHT])


def _window(workload: Any) -> tuple[int, int, int]:
    """Weights of an output channel, (C / G, K, K)."""
    if isinstance(workload, Dense | BitserialDense):
        return workload.in_features, 1, 1
    if isinstance(workload, DepthwiseConv2d):
        return (1, *workload.window.taps)
    return (workload.in_channels // workload.groups, *workload.window.taps)

"""What a regressor sees of a kernel: shapes, vector operations, bytes and codes as numbers."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from runtime import Workload

NUMBER_FIELDS = (
    "batch",
    "kernel",
    "stride",
    "padding",
    "groups",
    "output_groups",
    "input_bits",
    "weight_bits",
)
FLAG_FIELDS = ("relu", "residual", "also_float", "symmetric", "dither", "mixed", "log", "tanh", "is_zero")
CODE_FIELDS = ("weight", "input", "output", "code", "threshold", "arithmetic")
CODE_NAMES = (
    *("float", "uint8", "uint7", "int8", "int7", "ternary", "binary", "byte", "dorefa8"),
    *("zero", "channel", "position", "element", "integer"),
)
CHANNEL_FIELDS = ("out_channels", "out_features", "channels", "features")
"""What vectors run over, the first of them that a workload has."""

INPUT_FIELDS = ("channels", "in_channels", "features")
"""What an input has for each pixel or row, likewise."""

PASSES = {"layer_norm": 3, "group_norm": 3, "softmax": 3, "resize_bilinear": 4}
"""How often such kernels read a number for each that they write."""

ROLES = ("input", "constant", "scratch", "output")
CACHE_SIZE = 1 << 14
"""Kernels whose amounts and features are kept: those of a table are asked for again and again."""


class Effort(NamedTuple):
    """What a kernel does: the width of its vectors, how many it writes, and the steps that each takes."""

    lanes: int
    vectors: float
    steps: float


@lru_cache(CACHE_SIZE)
def features(workload: "Workload") -> NDArray[np.float64]:
    """Logarithms of efforts, bytes and sizes, the same by family; small numbers, flags, codes, the family.

    By family, as a line through the logarithms has another slope for each.
    """
    from runtime.kernels.base import kernels
    from runtime.workload import ACTIVATIONS

    fields, effort, amounts = _fields(workload), effort_of(workload), amounts_of(workload)
    sizes = [effort.vectors * effort.steps, effort.vectors, effort.steps, effort.lanes]
    sizes += [amounts["macs"], *(amounts[role] for role in ROLES)]
    sizes += [_pixels(fields), _number(_first(fields, INPUT_FIELDS))]
    logarithms = np.log1p(np.asarray(sizes, np.float64))
    families = np.asarray([workload.family == family for family in sorted(kernels)], np.float64)
    plain = [_number(fields.get(name)) for name in (*NUMBER_FIELDS, *FLAG_FIELDS)]
    plain += [float(fields.get(code) == name) for code in CODE_FIELDS for name in CODE_NAMES]
    plain += [float(fields.get("activation") == name) for name in ACTIVATIONS]
    by_family = np.outer(families, logarithms).reshape(-1)
    found = np.concatenate([logarithms, np.asarray(plain), families, by_family])
    found.setflags(write=False)  # it is everybody's
    return found


def effort_of(workload: "Workload") -> Effort:
    """The vectors of a kernel's output and the steps for each, as its family computes them."""
    from runtime.kernels.base import lanes
    from runtime.kernels.covering import vectors_of
    from runtime.kernels.epilogue import LANES, fills_words
    from runtime.kernels.packing import WORD
    from runtime.workload import AdaptiveAvgPool, SignPack, SpatialWorkload

    fields, amounts = asdict(workload), amounts_of(workload)
    taps = workload.window.count if isinstance(workload, SpatialWorkload) else 1
    groups = int(fields.get("groups") or 1)
    if isinstance(workload, SignPack):
        depth = workload.channels // groups
        pixels = workload.batch * workload.height * workload.width * groups
        if fills_words(workload.channels, groups):
            return Effort(LANES, pixels * math.ceil(depth / LANES), 1.0)  # by masks
        return Effort(1, pixels * math.ceil(depth / WORD), float(min(depth, WORD)))  # bit by bit
    if "weight" in fields:
        is_depthwise = workload.family == "depthwise_conv2d"
        depth = 1 if is_depthwise else int(fields.get("in_channels") or fields["in_features"]) // groups
        vectors = vectors_of(workload)
        outputs = amounts["macs"] / (depth * taps * vectors.channels) * vectors.count
        return Effort(vectors.width, outputs, taps * _words(workload.family, fields, depth))
    channels = _first(fields, CHANNEL_FIELDS) or 1
    per_group = channels if isinstance(channels, tuple) else (max(1, channels // groups),)
    width = lanes(*per_group)
    if workload.family == "global_avg_pool":
        taps = int(fields["pixels"])
    if isinstance(workload, AdaptiveAvgPool):
        sides = (workload.height, workload.out_height), (workload.width, workload.out_width)
        taps = math.prod(math.ceil(own / out) for own, out in sides)
    taps = PASSES.get(workload.family, taps)
    return Effort(width, amounts["output"] / 4 / width, taps)


def _fields(workload: "Workload") -> dict[str, Any]:
    """A workload's fields, those of a window as means over its directions."""
    fields = asdict(workload)
    for name in ("kernel", "stride", "padding"):
        if isinstance(fields.get(name), tuple):
            fields[name] = sum(fields[name]) / len(fields[name])
    return fields


def _words(family: str, fields: dict[str, Any], depth: int) -> int:
    """Steps through the channels of one pixel: bits in words, bytes in fours."""
    from runtime.kernels.packing import WORD
    from runtime.workload import HIGHEST_BYTE

    if family.startswith("bitserial"):
        return math.ceil(depth / WORD) * (2 if fields["weight"] == "ternary" else 1)
    is_dense = family != "depthwise_conv2d"
    return math.ceil(depth / 4) if fields["input"] in HIGHEST_BYTE and is_dense else depth


@lru_cache(CACHE_SIZE)
def amounts_of(workload: "Workload") -> Mapping[str, int]:
    """Operations and bytes of a kernel: ``macs`` and the roles of its arguments."""
    from runtime.kernels import kernel_for

    kernel = kernel_for(workload)
    buffers = kernel.buffers(workload)
    found = {role: sum(b.nbytes for b in buffers if b.role == role) for role in ROLES}
    return MappingProxyType({"macs": kernel.macs(workload), **found})


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first of these fields that a workload has; None where it has none."""
    return next((fields[name] for name in names if fields.get(name)), None)


def _pixels(fields: dict[str, Any]) -> float:
    """Of the input's plane; 1 where it has none."""
    return _number(fields.get("pixels")) or _number(fields.get("height", 1)) * _number(fields.get("width", 1))


def _number(value: Any) -> float:
    if isinstance(value, tuple):
        return float(sum(value))
    return float(value) if isinstance(value, int | float) else 0.0

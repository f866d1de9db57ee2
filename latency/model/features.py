"""What a regressor sees of a kernel: shapes, vector operations, bytes and codes as numbers."""

from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.model.effort import CACHE_SIZE, ROLES, amounts_of, effort_of

if TYPE_CHECKING:
    from runtime import Workload
    from runtime.cpu import Cpu

NUMBER_FIELDS = (
    "batch",
    "kernel",
    "stride",
    "padding",
    "groups",
    "output_groups",
    "input_bits",
    "weight_bits",
    "bits",
)
FLAG_FIELDS = (
    "relu",
    "residual",
    "also_float",
    "symmetric",
    "dither",
    "mixed",
    "log",
    "tanh",
    "is_zero",
    "digits",
)
CODE_FIELDS = ("weight", "input", "output", "code", "threshold", "arithmetic")
CODE_NAMES = (
    *("float", "uint8", "uint7", "int8", "int7", "ternary", "binary", "byte", "dorefa8", "lq2", "lq3"),
    *("zero", "channel", "position", "element", "integer"),
)
INPUT_FIELDS = ("channels", "in_channels", "features")
"""What an input has for each pixel or row, the first of them that a workload has."""


@lru_cache(CACHE_SIZE)
def features(workload: "Workload", cpu: "Cpu") -> NDArray[np.float64]:
    """Logarithms of efforts, bytes and sizes, the same by family; small numbers, flags, codes, the family.

    By family, as a line through the logarithms has another slope for each.
    """
    from runtime.kernels.base import kernels
    from runtime.workload import ACTIVATIONS

    fields, effort, amounts = _fields(workload), effort_of(workload, cpu), amounts_of(workload)
    sizes = [effort.instructions, effort.vectors, effort.steps, effort.lanes]
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


def _fields(workload: "Workload") -> dict[str, Any]:
    """A workload's fields, those of a window as means over its directions."""
    fields = asdict(workload)
    for name in ("kernel", "stride", "padding"):
        if isinstance(fields.get(name), tuple):
            fields[name] = sum(fields[name]) / len(fields[name])
    return fields


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

"""What a regressor sees of a kernel: shapes, operations, bytes and codes as numbers."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from runtime import Workload

SIZES = (
    "height",
    "width",
    "in_channels",
    "out_channels",
    "channels",
    "in_features",
    "out_features",
    "pixels",
)
SMALL = ("batch", "kernel", "stride", "padding", "groups", "output_groups", "input_bits", "weight_bits")
FLAGS = ("relu", "residual", "also_float", "symmetric", "dither")
CODES = ("weight", "input", "output", "code", "threshold")
CODE_NAMES = ("float", "uint8", "int8", "ternary", "binary", "zero", "channel", "position", "element")
ROLES = ("input", "constant", "scratch", "output")


def features(workload: "Workload") -> NDArray[np.float64]:
    """Logarithms of operations, bytes and sizes; small numbers, flags, codes and the family as they are."""
    from runtime.kernels import kernel_for
    from runtime.kernels.base import kernels

    kernel, fields = kernel_for(workload), asdict(workload)
    buffers = kernel.buffers(workload)
    amounts: list[float] = [kernel.macs(workload)]
    amounts += [sum(b.nbytes for b in buffers if b.role == role) for role in ROLES]
    amounts += [_number(fields.get(name)) for name in SIZES]
    plain = [_number(fields.get(name)) for name in (*SMALL, *FLAGS)]
    plain += [float(fields.get(code) == name) for code in CODES for name in CODE_NAMES]
    plain += [float(workload.family == family) for family in sorted(kernels)]
    plain.append(_lanes(fields))
    return np.concatenate([np.log1p(np.asarray(amounts, np.float64)), np.asarray(plain, np.float64)])


def amounts_of(workload: "Workload") -> dict[str, int]:
    """Operations and bytes of a kernel: ``macs`` and the roles of its arguments."""
    from runtime.kernels import kernel_for

    kernel = kernel_for(workload)
    buffers = kernel.buffers(workload)
    found = {role: sum(b.nbytes for b in buffers if b.role == role) for role in ROLES}
    return {"macs": kernel.macs(workload), **found}


def _number(value: Any) -> float:
    if isinstance(value, tuple):
        return float(sum(value))
    return float(value) if isinstance(value, int | float) else 0.0


def _lanes(fields: dict[str, Any]) -> float:
    """Vector lanes over the output's channels: what does not fill them is slow."""
    from runtime.kernels.base import lanes

    channels = fields.get("out_channels") or fields.get("out_features") or fields.get("channels") or 1
    if not isinstance(channels, int):
        return float(lanes(*channels))
    return float(lanes(max(1, channels // max(1, int(fields.get("groups") or 1)))))

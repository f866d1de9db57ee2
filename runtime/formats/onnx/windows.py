"""What torch's options of windows are in ONNX."""

from dataclasses import replace
from typing import Any

import numpy as np

from runtime.formats.onnx.graph import Operand, Tensor
from runtime.formats.onnx.rulebook import At


def two(value: Any) -> tuple[int, int]:
    """An option for rows and columns."""
    given = tuple(value) if isinstance(value, tuple | list) else (value,)
    return int(given[0]), int(given[-1])


def sides(kernel: tuple[int, int], padding: Any, dilation: Any) -> tuple[int, int, int, int]:
    """The padding of a convolution: above, left, below, right; torch has names for two."""
    if padding == "same":
        total = [(taps - 1) * gap for taps, gap in zip(kernel, two(dilation), strict=True)]
        return total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2
    rows, columns = (0, 0) if padding == "valid" else two(padding)
    return rows, columns, rows, columns


def window(
    stride: Any, pads: tuple[int, ...] = (), dilation: Any = 1, groups: int | None = None
) -> dict[str, Any]:
    """Attributes of an operator with a window; what is ONNX's default is None."""
    steps, gaps = two(stride), two(dilation)
    return {
        "strides": None if steps == (1, 1) else steps,
        "pads": tuple(pads) if any(pads) else None,
        "dilations": None if gaps == (1, 1) else gaps,
        "group": None if groups == 1 else groups,
    }


def apart(at: At, input: Tensor) -> Tensor:
    """What a max pool reads: onnxruntime (1.31) would take a border of zeros into it, as one of -inf."""
    if at.graph.kind_of(input.name) != "Pad":
        return input
    return replace(input, name=at.op("Max", input, np.finfo(np.float32).min))


def bordered(at: At, image: Operand, pads: tuple[int, ...], value: Any) -> str:
    """An image with a border of a number: above, left, below, right."""
    top, left, bottom, right = pads
    if not any(pads):
        return at.op("Identity", image) if not isinstance(image, str) else image
    return at.op("Pad", image, np.array([0, 0, top, left, 0, 0, bottom, right], np.int64), value)

"""Rules for the largest number: of windows that fill an image, and along any axes."""

from typing import Any

import numpy as np
import torch
from torch import nn

from runtime.formats.onnx.graph import Tensor
from runtime.formats.onnx.rulebook import At, exporter
from runtime.formats.onnx.windows import apart
from runtime.lowering.max_rules import adaptive_lines

NOT_THERE = ""
"""The name of indices, which are not computed."""


@exporter(nn.AdaptiveMaxPool2d)
def _adaptive_max(at: At, input: Tensor) -> str:
    sizes, wanted = input.shape[2:], at.shape[2:]
    if wanted == sizes:
        return input.name
    found, kernel = apart(at, input).name, list[int]()
    for axis, (size, side) in enumerate(zip(sizes, wanted, strict=True), start=2):
        lines = adaptive_lines(size, side)
        kernel.append(len(lines) // side)
        if len(lines) != size:
            found = at.op("Gather", found, lines.astype(np.int64), axis=axis)
    return at.op("MaxPool", found, kernel_shape=kernel, strides=kernel)


@exporter("amax")
def _amax(at: At, input: Tensor, dim: Any, keepdim: bool) -> str:
    given = dim if isinstance(dim, tuple | list) else (dim,)
    rank = len(input.shape)
    axes = sorted({each % rank for each in given} or range(rank))
    return at.op("ReduceMax", input, np.array(axes, np.int64), keepdims=None if keepdim else 0)


@exporter(torch.max)
def _max(at: At, input: Tensor, dim: Any, keepdim: bool) -> tuple[str, str]:
    return _amax(at, input, dim, keepdim), NOT_THERE


@exporter(getattr)
def _attribute(at: At, input: Any, name: str) -> str:
    at.require(name == "values", f"the {name} of a maximum are not computed")
    found: Tensor = input[0]
    return found.name

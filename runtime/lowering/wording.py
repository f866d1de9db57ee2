"""What a forward pass is told that asks a tensor, a size or a weight for something that is not computed."""

import re

import torch
from torch import nn

from runtime.lowering.caller import memory_of

NUMBER = re.compile(r"an integer|real number|or a number|indices must be|__(round|floor|ceil|trunc)__|divmod")
"""What Python says of an object that is no number of its own, such as what stands for a tensor."""

NO_NUMBER = (
    "model: its forward() makes a number of Python of a tensor or a size, as float(), int(), round(), "
    "range() and an index do, which is not computed; compute with the tensor or the size itself"
)

UNTOLD_PARTS = (
    "model: its forward() counts or goes through the parts of a split(), whose number no trace knows; "
    "use chunk(), split() with a list of sizes, or name the parts, as in a, b = x.split(8, 1)"
)


def asked_for_length(kind: type | None) -> str:
    """Of ``len(x)``; ``kind`` is that of a number or a shape, None that of a tensor."""
    if kind not in (None, torch.Size):
        return NO_NUMBER
    what, fix = ("a tensor", "x.size(0)") if kind is None else ("a shape", "x.dim()")
    return f"model: its forward() asks for len() of {what}, which no trace knows; use {fix}"


def iterated(kind: type | None) -> str:
    """Of a loop, ``list(x)`` and ``*x``."""
    if kind is None:
        return (
            "model: its forward() iterates over a tensor (for, *, list(), sum()), which is not computed; "
            "compute with the whole tensor"
        )
    return (
        "model: its forward() iterates over a shape, or unpacks it by *, which no trace can; "
        "name its sizes first, as in n, c, h, w = x.shape"
    )


def unpacked(kind: type | None) -> str:
    """Of ``**x``."""
    return f"model: its forward() unpacks {_what(kind)} by **, or asks for its keys(); it has none"


def branched(kind: type | None) -> str:
    """Of ``if x``, ``assert x`` and all else that asks whether something is true."""
    words = "if, while, assert, and, or, not, in, bool(), max()"
    on = "the numbers of a tensor" if kind is None else "a size"
    return f"model: its forward() branches on {on} ({words}), which is not computed; leave the branch out"


def called_outside(module: nn.Module) -> str:
    """Of a call of a layer that is no part of the model."""
    return (
        f"model: its forward() calls a {type(module).__name__} that is no part of it, but made within "
        "forward() or kept in a plain list; make it in __init__(), as an attribute or in an nn.ModuleList"
    )


def weight_outside(model: nn.Module, place: str, name: str, asked: str | None) -> str:
    """Of a parameter that the step at a place computes with, or asks an attribute of, where no layer does."""
    if asked is not None:
        return (
            f"{place}: it asks for the '{asked}' of the parameter '{name}', which is not computed; "
            "keep that in a plain attribute"
        )
    weight = dict(model.named_parameters(remove_duplicate=False))[name]
    return _outside(place, f"the parameter '{name}' of shape {tuple(weight.shape)}", weight)


def tensor_outside(model: nn.Module, place: str, tensor: torch.Tensor) -> str:
    """Of a buffer, or of any tensor that is not computed of the image."""
    held = (*model.named_parameters(), *model.named_buffers()) if tensor.layout == torch.strided else ()
    name = next((name for name, other in held if memory_of(other) == memory_of(tensor)), None)
    source = f"of '{name}', which the model holds," if name else "that is not computed of the image,"
    return _outside(place, f"a tensor of shape {tuple(tensor.shape)} {source}", tensor)


def _outside(place: str, which: str, tensor: torch.Tensor) -> str:
    fix = "make it a plain number of Python"
    if tensor.numel() != 1:
        fix = "have a layer do it, as nn.BatchNorm2d or a 1x1 nn.Conv2d with groups=channels do by channel"
    return f"{place}: it computes with {which} outside of a layer; {fix}"


def raised(error: Exception) -> str:
    """Of what a forward pass raises when it is traced."""
    reason = next(iter(str(error).splitlines()), "")
    if isinstance(error, TypeError) and "Recorded" in reason:
        if NUMBER.search(reason):
            return NO_NUMBER
        reason += " (Recorded stands for a tensor or a size)"
    what = type(error).__name__
    if isinstance(error, NotImplementedError) and reason.startswith("argument of type"):
        kind = reason.rpartition("<class '")[2].removesuffix("'>")
        return f"model: its forward() computes with a number of type {kind}; make it one of Python by float()"
    return f"model: when it is traced, its forward() raises {what}: {reason}".removesuffix(": ")


def _what(kind: type | None) -> str:
    return "a tensor" if kind is None else "a size"

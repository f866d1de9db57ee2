"""Forward passes that take another way with a tensor than with what stands for one in a trace."""

import copy
import random
from contextlib import suppress
from functools import singledispatch
from itertools import count

import numpy as np
import torch
from torch.fx._symbolic_trace import is_fx_tracing
from torch.overrides import is_tensor_like

is_a = isinstance
unlucky = random.Random(0)
calls = count()


@singledispatch
def doubled(x):
    return x


@doubled.register
def _(x: torch.Tensor):
    return x * 2


def matched(x):
    match x:
        case torch.Tensor():
            return x * 2
    return x


def branch_swallowed(x):
    try:
        return x * 2 if x.sum() > -1e9 else x
    except Exception:
        return x


def loop_swallowed(x):
    try:
        return torch.cat([row[None] * 2 for row in x])
    except Exception:
        return x


def constant_swallowed(x):
    try:
        return x + torch.ones(x.size(1))[:, None, None]
    except Exception:
        return x


def attribute_swallowed(x):
    with suppress(Exception):
        x.data = x * 2
    return x


def copy_swallowed(x):
    try:
        return copy.deepcopy(x) * 2
    except Exception:
        return x


def length(x):
    try:
        return x * len(x)
    except RuntimeError:
        return x


def number(x):
    try:
        return x * float(x.size(1))
    except TypeError:
        return x


def every_other_time(x):
    return x * 2 if next(calls) % 2 else x


def first_of_three_times(x):
    return x * 2 if next(calls) % 3 == 0 else x


UNLIKE = {
    "match": matched,
    "singledispatch": doubled,
    "type is": lambda x: x * 2 if type(x) is torch.Tensor else x,
    "type name": lambda x: x * 2 if type(x).__name__ == "Tensor" else x,
    "__class__": lambda x: x * 2 if x.__class__ is torch.Tensor else x,
    "issubclass": lambda x: x * 2 if issubclass(type(x), torch.Tensor) else x,
    "alias of isinstance": lambda x: x * 2 if is_a(x, torch.Tensor) else x,
    "map of isinstance": lambda x: x * 2 if all(map(isinstance, [x], [torch.Tensor])) else x,
    "hasattr": lambda x: x * 2 if hasattr(x, "_version") else x,
    "getattr": lambda x: x * 2 if getattr(x, "_base", 1) is None else x,
    "vars": lambda x: x if "node" in vars(x) else x * 2,
    "fx's own question": lambda x: x if is_fx_tracing() else x * 2,
    "a tensor's likeness": lambda x: x * 2 if not hasattr(x, "tracer") and is_tensor_like(x) else x,
    "float": number,
    "type of a size": lambda x: x * 2 if type(x.size(1)) is int else x,
    "size as a key": lambda x: x * {4: 2}.get(x.size(1), 1),
    "size in a set": lambda x: x * 2 if x.size(1) in {2, 4, 8} else x,
    "size as text": lambda x: x * 2 if f"{x.size(1)}".isdigit() else x,
    "size in a text": lambda x: x * 2 if str(x.shape).startswith("torch.Size([") else x,
    "unseen clamp": lambda x: x.clamp(-1e6, 1e6) if type(x) is torch.Tensor else x,
    "unseen branch": lambda x: -x if type(x) is torch.Tensor and x.max() > 1e6 else x,
    "numpy": lambda x: -x if type(x) is torch.Tensor and x.numpy().max() > 1e6 else x,
    "as an array": lambda x: -x if type(x) is torch.Tensor and np.asarray(x).max() > 1e6 else x,
    "as a list": lambda x: -x if type(x) is torch.Tensor and x.tolist()[0][0][0][0] > 1e6 else x,
    "other type": lambda x: x.double() if type(x) is torch.Tensor else x,
    "tuple": lambda x: (x, x) if type(x) is torch.Tensor else x,
    "other shape": lambda x: x[:1] if type(x) is torch.Tensor else x,
    "every other time": every_other_time,
    "first of three times": first_of_three_times,
    "own generator": lambda x: x * unlucky.random(),
}
"""What the run in torch shows."""

STATEFUL = {"every other time", "first of three times", "own generator"}
"""Those that do not give the same each time in torch, either."""

SWALLOWED = {
    "branch": branch_swallowed,
    "loop": loop_swallowed,
    "constant": constant_swallowed,
    "attribute": attribute_swallowed,
    "copy": copy_swallowed,
    "length": length,
}
"""Where the refusal of a trace is caught by the forward pass."""

"""Draws small torch models: layers with and without kernels, operations in place, aliases, hooks, reshapes.

A model is a program over named tensors. Each step is tried on an example as it is drawn, so that most models
are ones that torch runs; a step that torch refuses ends its model, which then must be refused here too.
"""

import operator

import torch
from torch import nn
from torch.nn import functional as F

from tests.runtime.grammar_layers import (
    activation,
    changed,
    image_layer,
    quantized,
    row_layer,
    unsupported,
)
from tests.runtime.tricks import STATEFUL, SWALLOWED, UNLIKE

SHAPE = (2, 4, 8, 8)


class Drawn(nn.Module):
    """A program: functions of the model and of the tensors so far, by number."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList()
        self.program, self.told = [], []
        self.has_signs = self.is_wrong = False

    def forward(self, x):
        env = [x]
        for step in self.program:
            step(self, env)
        return env[-1]


def function(pick, shape):
    """A function of one tensor: how it is told, and itself."""
    n, size = shape[0], torch.Size(shape).numel() // shape[0]
    any_shape = {
        "x *= 2": lambda x: operator.imul(x, 2),
        "x += 1": lambda x: operator.iadd(x, 1),
        "x -= 1": lambda x: operator.isub(x, 1),
        "x /= 2": lambda x: operator.itruediv(x, 2),
        "x *= x": lambda x: operator.imul(x, x),
        "x **= 2": lambda x: operator.ipow(x, 2),
        "x //= 1": lambda x: operator.ifloordiv(x, 1),
        "mul_": lambda x: x.mul_(0.5),
        "add_": lambda x: x.add_(x),
        "relu_": lambda x: x.relu_(),
        "torch.relu_": torch.relu_,
        "F.relu inplace": lambda x: F.relu(x, inplace=True),
        "clamp_": lambda x: x.clamp_(0, 6),
        "clamp": lambda x: x.clamp(min=0),
        "zero_": lambda x: x.zero_(),
        "data.mul_": lambda x: (x.data.mul_(2), x)[1],
        "data *=": _data_changed,
        "detach().mul_": lambda x: (x.detach().mul_(2), x)[1],
        "slice": lambda x: (operator.setitem(x, (slice(None), slice(0, 1)), 0), x)[1],
        "view.relu_": lambda x: (x.view(n, -1).relu_(), x)[1],
        "out=": lambda x: torch.add(x, x, out=x),
        "x * 3 - 1": lambda x: x * 3 - 1,
        "1 - x / 2": lambda x: 1 - x / 2,
        "-x": lambda x: -x,
        "clone": lambda x: x.clone(),
        "dropout": lambda x: F.dropout(x, training=False),
        "relu6": lambda x: F.relu6(x, inplace=True),
        "sigmoid": torch.sigmoid,
        "exp": torch.exp,
        "is a tensor": lambda x: x * 2 if isinstance(x, torch.Tensor) else x,
        "same view": lambda x: x.view(x.size()),
        "flat view": lambda x: x.view(x.size(0), -1),
        "reshape": lambda x: x.reshape(n, size),
        "flatten": lambda x: torch.flatten(x, 1),
    }
    image = {
        "mean": lambda x: x.mean([2, 3]),
        "mean keepdim": lambda x: torch.mean(x, (-1, -2), keepdim=True),
        "max_pool2d": lambda x: F.max_pool2d(x, 2),
        "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 1, 1),
        "avg over all": lambda x: F.avg_pool2d(x, x.size()[2:]),
        "adaptive": lambda x: F.adaptive_avg_pool2d(x, 1),
        "pad": lambda x: F.pad(x, (1, 1, 1, 1)),
        "pad channels": lambda x: F.pad(x, (0, 0, 0, 0, 0, 4)),
        "pad behind": lambda x: F.pad(x, (0, 1)),
        "transpose": lambda x: x.transpose(2, 3),
        "shuffle": lambda x: x.view(n, 2, -1, x.shape[2], x.shape[3]).transpose(1, 2).reshape(x.shape),
        "shuffle by permute": _shuffled,
        "last": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],)).permute(0, 3, 1, 2),
        "rows by tokens": lambda x: x.flatten(2).transpose(1, 2).mean(1),
        "split": lambda x: torch.cat(x.split([1, x.shape[1] - 1], 1)[::-1], 1),
        "chunks": lambda x: torch.cat([part * 2 for part in x.chunk(2, dim=1)], 1),
        "crop": lambda x: x[:, :, 1:, :-1],
        "steps": lambda x: x[..., ::2, ::2],
        "first row": lambda x: x[:, :, 0],
        "mean of rows": lambda x: x.mean(2, keepdim=True),
        "mean of channels": lambda x: x * x.mean(1, True),
        "max of all": lambda x: x.amax((2, 3), keepdim=True),
        "max of channels": lambda x: x * x.max(1, keepdim=True)[0],
        "max of rows": lambda x: torch.max(x, dim=2).values,
        "adaptive max": lambda x: F.adaptive_max_pool2d(x, (2, 3)),
        "narrow": lambda x: x.narrow(1, -1, 1),
        "gate expanded": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)).expand_as(x),
        "expanded": lambda x: (
            x[:, :1].expand(-1, 5, -1, -1) - x.mean((1, 2, 3), True).expand(-1, 5, *x.size()[2:])
        ),
        "interpolate": lambda x: F.interpolate(x, (5, 7), mode="bilinear", align_corners=True),
        "cat of rows": lambda x: torch.cat([x, x[:, :, :1]], 2),
        "reviewed": lambda x: x.view(n, -1, x.shape[3], x.shape[2]),
        "rows and back": lambda x: x.flatten(1).view(x.shape),
        "half": lambda x: x[:, : x.shape[1] // 2],
        "gate": lambda x: operator.imul(x, torch.sigmoid(F.adaptive_avg_pool2d(x, 1))),
        "gate of the gate": lambda x: operator.imul(torch.sigmoid(F.adaptive_avg_pool2d(x, 1)), x),
    }
    rows = {"as image": lambda x: x.view(n, -1, 1, 1), "as square": lambda x: x.reshape(n, -1, 2, 2)}
    if pick.random() < 0.04:
        told = pick.choice(sorted(STATELESS))
        return told, STATELESS[told]
    known = any_shape | (image if len(shape) == 4 else rows)
    told = pick.choice(sorted(known.keys() & RARE if pick.random() < 0.08 else known.keys() - RARE))
    return told, known[told]


STATELESS = {k: f for k, f in (UNLIKE | SWALLOWED).items() if k not in STATEFUL | {"tuple"}}
"""Functions that do something else in a trace, each time the same."""


RARE = {"x **= 2", "x //= 1", "zero_", "slice", "out=", "exp"}
RARE |= {"gate of the gate", "view.relu_"}
"""Functions that are refused."""


def _shuffled(x):
    n, c, h, w = x.shape
    return x.view(n, c // 2, 2, h, w).permute(0, 2, 1, 3, 4).contiguous().view(n, c, h, w)


def _data_changed(x):
    x.data *= 2
    return x


PAIRS = {
    "a + b": lambda a, b: a + b,
    "a += b": operator.iadd,
    "a * b": lambda a, b: a * b,
    "a *= b": operator.imul,
    "a - b": lambda a, b: a - b,
    "a.add_(b)": lambda a, b: a.add_(b),
    "a.copy_(b)": lambda a, b: a.copy_(b),
    "alpha": lambda a, b: torch.add(a, b, alpha=2),
    "cat": lambda a, b: torch.cat([a, b], 1),
    "cat -": lambda a, b: torch.cat((a, b, a), dim=1 - a.dim()),
    "cat 0": lambda a, b: torch.cat([a, b], 0),
}


def draw(pick):
    """A model and how it was made."""
    torch.manual_seed(pick.getrandbits(32))
    model, example = Drawn(), torch.randn(SHAPE)
    env = [example]
    for _ in range(pick.randint(2, 7)):
        if not _try(model, env, *_drawn(pick, model, env)):
            return model
    _end(pick, model, env)
    return model


def _drawn(pick, model, env):
    """How the next step is told, and the step."""
    at = pick.randrange(len(env)) if pick.random() < 0.3 else len(env) - 1
    shape, chance = tuple(env[at].shape), pick.random()
    if chance < 0.5 and len(shape) in (2, 4):
        return _layer_step(pick, model, at, shape)
    if chance < 0.62:
        other = [i for i, tensor in enumerate(env) if tensor.shape == env[at].shape]
        pairs = {"a.copy_(b)", "cat 0"} if pick.random() < 0.08 else PAIRS.keys() - {"a.copy_(b)", "cat 0"}
        told, first = pick.choice(sorted(pairs)), pick.choice(other)
        return told, lambda m, e: e.append(PAIRS[told](e[first], e[at]))
    if chance < 0.7:
        return "alias", lambda m, e: e.append(e[at])
    told, apply = function(pick, shape)
    return told, lambda m, e: e.append(apply(e[at]))


def _layer_step(pick, model, at, shape):
    chance = pick.random()
    if chance < 0.04:
        layer = unsupported(pick, shape[1])
    elif chance < 0.2:
        layer = quantized(pick, shape)
        model.has_signs |= layer.activation.code != "float"
    elif chance < 0.45:
        layer = activation(pick, shape[1])
    else:
        layer = image_layer(pick, shape[1]) if len(shape) == 4 else row_layer(pick, shape[1])
    told = ""
    if pick.random() < 0.1:
        layer, told = changed(pick, layer)
    index = len(model.layers)
    model.layers.append(layer)
    return f"{type(layer).__name__} {told}", lambda m, e: e.append(m.layers[index](e[at]))


def _try(model, env, told, step):
    """Add a step; False where torch refuses it."""
    model.told.append(told)
    model.program.append(step)
    try:
        with torch.no_grad():
            step(model.eval(), env)
    except (RuntimeError, ValueError, IndexError, TypeError):
        model.is_wrong = True
    return not model.is_wrong


def _end(pick, model, env):
    """Have the last steps read what an earlier name stands for."""
    other = [i for i, tensor in enumerate(env[:-1]) if tensor.shape == env[-1].shape]
    if other and pick.random() < 0.7:
        index = pick.choice(other)
        _try(model, env, "the end", lambda m, e: e.append(e[-1] + e[index]))

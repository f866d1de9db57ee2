"""Random networks by number: of every space, and stacks of layers, in every precision; all of them small."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import nn

import search_spaces
from search_spaces import precisions
from search_spaces.layers import QuantConv2d
from search_spaces.mobile import Hierarchical
from search_spaces.precision import Precision
from search_spaces.search_space import Staged

SMALL, CLASSES = (3, 16, 16), 10  # of a million signs one lies within a rounding error of zero
KINDS = ("stack", "tiny", "stack", "stack") * 4 + ("cifar", "stack", "mobile", "cifar")
"""What comes after one another. Those of ``cifar`` and ``mobile`` have the most kernels to compile."""
WIDTHS = (5, 16, 20, 24, 32, 33, 48, 64, 65)
"""Channels of a stack's layers: whole vectors of any length, and what is left over."""
SIDES = (7, 15)
"""The least side of a stack's images, and one more than the greatest."""


@dataclass(frozen=True)
class Drawn:
    """A network with batch norms and ranges as if trained, in evaluation mode.

    Attributes:
        told: what it is, for a report.
        module: the torch module.
        shape: of the images that it is compiled for, (N, C, H, W).
    """

    told: str
    module: nn.Module
    shape: tuple[int, int, int, int]

    @property
    def steps(self) -> bool:
        """Whether some activation is rounded, so that it may fall to either side of an edge."""
        layers = (m for m in self.module.modules() if isinstance(m, QuantConv2d))
        return any(layer.activation.code != "float" for layer in layers)


def named(number: int) -> tuple[str, str]:
    """The kind of a network, and the precision that all of it has but where a space mixes them."""
    kind, names = KINDS[number % len(KINDS)], tuple(precisions)
    of_its_kind = number // len(KINDS) * KINDS.count(kind) + KINDS[: number % len(KINDS)].count(kind)
    return kind, names[of_its_kind % len(names)]


def mixes(number: int) -> bool:
    """Whether each layer of the network has a precision of its own, of all that there are."""
    return named(number)[0] != "stack" and bool(np.random.default_rng(number).integers(2))


def drawn(number: int) -> Drawn:
    """The network of a number; the same on every machine with the same versions of torch and numpy."""
    kind, own = named(number)
    pick = np.random.default_rng(number)
    torch.manual_seed(number)
    if kind == "stack":
        side, other = (int(n) for n in pick.integers(*SIDES, 2))
        shape = int(pick.choice([1, 1, 2, 3])), 3, side, other
        return Drawn(f"stack {own}", trained(Stack(precisions.get(own), pick), shape[1:]), shape)
    space = search_spaces.space(kind)
    assert isinstance(space, Staged | Hierarchical)
    is_mixed = mixes(number)
    space = replace(
        space, input_shape=SMALL, classes=CLASSES, precisions=tuple(precisions) if is_mixed else (own,)
    )
    module = trained(search_spaces.build(space.sample(number)), SMALL)
    return Drawn(f"{kind} {'mixed' if is_mixed else own}", module, (1, *SMALL))


def trained(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Batch norms of both signs that have seen images, (C, H, W) each; int8 ranges that were observed."""
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    module.train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(8, *shape))
    return module.eval()


def window(pick: np.random.Generator) -> list[tuple[int, int]]:
    """Kernel, stride and dilation, for rows and columns: mostly square and dense."""
    choices = [1, 2, 3, 5], [1, 1, 2], [1, 1, 1, 2]
    pairs = [[int(n) for n in pick.choice(choice, 2)] for choice in choices]
    return [(rows, rows if pick.integers(3) else columns) for rows, columns in pairs]


class Stack(nn.Module):
    """A few random layers in one precision, some with a shortcut; the size of the image is anything."""

    def __init__(self, precision: Precision, pick: np.random.Generator) -> None:
        super().__init__()
        widths = [3, *(int(pick.choice(WIDTHS)) for _ in range(int(pick.integers(2, 5))))]
        widths.append(widths[-1])  # room for a shortcut
        self.layers = nn.ModuleList()
        self.has_shortcut = []
        for index, (c, o) in enumerate(pairwise(widths)):
            kernel, stride, dilation = window(pick)
            kind = precision if index else precisions.get("float")
            groups = int(pick.choice([g for g in (1, 2, 4, c) if c % g == 0 and o % g == 0]))
            is_rectified = bool(pick.integers(2))
            layer = QuantConv2d(
                c, o, kernel, kind, stride=stride, dilation=dilation, groups=groups, relu=is_rectified
            )
            self.layers.append(nn.Sequential(layer, nn.BatchNorm2d(o)))
            self.has_shortcut.append(c == o and stride == (1, 1) and all(n % 2 for n in kernel))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, H, W) to features (N, C, H', W')."""
        for layer, has_shortcut in zip(self.layers, self.has_shortcut, strict=True):
            x = layer(x) + x if has_shortcut else layer(x)
        return x

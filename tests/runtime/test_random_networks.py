"""A hundred random networks, of every space and every precision: compiled code computes what torch does."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import runtime
import search_spaces
from search_spaces import precisions
from search_spaces.block import blocks
from search_spaces.layers import QuantConv2d
from search_spaces.search_space import spaces
from tests.runtime.harness import DISTINCT

SAMPLES = {"mobile": 3}  # of each space; those of this one are large
SAMPLES_ELSE = 9
STACKS = 8  # of each precision
IMAGES = 6


def trained(module, shape):
    """Batch norms of both signs that have seen images, int8 ranges that were observed."""
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    module.train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(8, *shape))
    return module.eval()


def agree(module, shape, batch):
    """The share of images whose outputs agree within 1e-4 of their size."""
    images = torch.randn(IMAGES, *shape)
    with torch.no_grad():
        expected = module(images).numpy().reshape(IMAGES, -1)
    found = runtime.compile(module, (batch, *shape)).run(images.numpy()).reshape(IMAGES, -1)
    size = 1e-4 * max(1.0, float(np.abs(expected).max()))
    return float(np.isclose(found, expected, rtol=1e-4, atol=size).all(axis=1).mean())


class Stack(nn.Module):
    """A few random layers in one precision, some with a shortcut; the size of the image is anything."""

    def __init__(self, precision, pick):
        super().__init__()
        widths = [3, *(int(pick.choice([5, 16, 24, 32, 48, 64])) for _ in range(int(pick.integers(2, 5))))]
        widths.append(widths[-1])  # room for a shortcut
        self.layers = nn.ModuleList()
        self.has_shortcut = []
        for index, (c, o) in enumerate(pairwise(widths)):
            kernel, stride = int(pick.choice([1, 2, 3, 5])), int(pick.choice([1, 1, 2]))
            kind = precision if index else precisions.get("float")
            groups = int(pick.choice([g for g in (1, 2, 4, c) if c % g == 0 and o % g == 0]))
            layer = QuantConv2d(c, o, kernel, kind, stride=stride, groups=groups, relu=bool(pick.integers(2)))
            self.layers.append(nn.Sequential(layer, nn.BatchNorm2d(o)))
            self.has_shortcut.append(c == o and stride == 1 and kernel % 2 == 1)

    def forward(self, x):
        for layer, has_shortcut in zip(self.layers, self.has_shortcut, strict=True):
            x = layer(x) + x if has_shortcut else layer(x)
        return x


@pytest.mark.parametrize("name", sorted(spaces))
def test_samples_of_every_space(name):
    found = []
    for seed in range(SAMPLES.get(name, SAMPLES_ELSE)):
        torch.manual_seed(seed)
        space = search_spaces.space(name)
        if space.input_shape[1] > 32:  # of a million signs one lies within a rounding error of zero
            space = space.fitted((3, 16, 16), 10)
        architecture = space.sample(seed)
        module = trained(search_spaces.build(architecture), architecture.input_shape)
        found.append(agree(module, architecture.input_shape, 1))
    assert np.mean(found) > 0.9, found


@pytest.mark.parametrize("precision", DISTINCT)
def test_random_stacks_of_every_precision(precision):
    pick, found = np.random.default_rng(0), []
    for seed in range(STACKS):
        torch.manual_seed(seed)
        shape = (3, int(pick.integers(7, 15)), int(pick.integers(7, 15)))
        module = trained(Stack(precisions.get(precision), pick), shape)
        found.append(agree(module, shape, int(pick.choice([1, 2, 3]))))
    if precisions.get(precision).activation == "float":
        assert min(found) == 1.0, found
    # Where a value is within a rounding error of a threshold or of the middle between two steps, torch and
    # the compiled code may take different sides; that is rare, and a wrong kernel is wrong everywhere.
    assert np.mean(found) > 0.9, found


def test_there_are_more_than_a_hundred():
    samples = sum(SAMPLES.get(name, SAMPLES_ELSE) for name in spaces)
    assert samples + STACKS * len(DISTINCT) > 100
    assert list(blocks), "blocks are what spaces are made of"

"""A hundred random networks, of every space and every precision: compiled code computes what torch does."""

import numpy as np
import pytest
import torch

import runtime
import search_spaces
from benchmarks.proof.drawn import Stack, trained
from search_spaces import precisions
from search_spaces.block import blocks
from search_spaces.search_space import spaces
from tests.runtime.harness import DISTINCT

SAMPLES = {"mobile": 2, "cifar": 5}  # of each space; those of these two are large
SAMPLES_ELSE = 9
STACKS = 5  # of each precision
IMAGES = 6


def agree(module, shape, batch):
    """The share of images whose outputs agree within 1e-4 of their size."""
    images = torch.randn(IMAGES, *shape)
    with torch.no_grad():
        expected = module(images).numpy().reshape(IMAGES, -1)
    found = runtime.compile(module, (batch, *shape)).run(images.numpy()).reshape(IMAGES, -1)
    size = 1e-4 * max(1.0, float(np.abs(expected).max()))
    return float(np.isclose(found, expected, rtol=1e-4, atol=size).all(axis=1).mean())


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

"""Structured pruning: how much channels matter, and the choice by latency."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nas.data import load
from nas.data.batches import tensor
from nas.pruning.choosing import LEAST, Chooser
from nas.pruning.greedy import Costs
from nas.pruning.importance import criteria
from nas.pruning.run import Request
from search_spaces import build
from search_spaces.architecture import Architecture, Block, Buildable, Head, Stem
from search_spaces.errors import InvalidInput
from search_spaces.pruning.couplings import Couplings, couplings
from search_spaces.pruning.cutting import cut
from search_spaces.sizing import layers

FLOAT = {"conv1": "float", "conv2": "float"}
RESNET = Architecture(
    space="mine",
    input_shape=(3, 8, 8),
    classes=4,
    stem=Stem(width=32, kernel=3, stride=1, precision="float"),
    blocks=tuple(
        Block(kind="residual", width=width, kernel=3, stride=stride, precisions=FLOAT)
        for width, stride in ((32, 1), (64, 2), (64, 1))
    ),
    head=Head(precision="float"),
)


def digits_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 10),
    ).eval()


def test_taylor_is_the_squared_change_of_the_loss_image_by_image() -> None:
    network, split = digits_network(), load("digits").train
    few = split.at(np.arange(5))
    found = criteria.get("taylor")(network, couplings(network, (1, 8, 8)), few)
    assert {name: len(scores) for name, scores in found.items()} == {"0": 6, "3": 5, "6": 10}
    images, labels = tensor(few.take(np.arange(5)), few.scaling), torch.from_numpy(few.labels)
    for name, behind in (("0", 2), ("3", 4)):
        expected = torch.zeros(len(found[name]))
        for image, label in zip(images, labels, strict=True):
            z = network[:behind](image[None]).detach().requires_grad_()
            F.cross_entropy(network[behind:](z), label[None]).backward()
            assert z.grad is not None
            expected += (z * z.grad).sum((0, 2, 3)).detach() ** 2 / 5
        torch.testing.assert_close(found[name], expected)


def test_magnitude_and_batch_norm() -> None:
    network = digits_network()
    channels = couplings(network, (1, 8, 8))
    nn.init.normal_(network[1].weight)  # type: ignore[arg-type]  # a batch norm has one
    split = load("digits").train
    found = criteria.get("magnitude")(network, channels, split)
    sums = network[3].weight.detach().numpy().__abs__().sum((1, 2, 3))  # type: ignore[operator]  # a tensor
    np.testing.assert_allclose(found["3"].numpy(), sums / np.sqrt((sums**2).sum()), rtol=1e-6)
    scales = criteria.get("bn")(network, channels, split)
    assert list(scales) == ["0"], "the other convolution has no batch norm"
    torch.testing.assert_close(scales["0"], network[1].weight.detach().abs())  # type: ignore[operator]  # as above
    with pytest.raises(InvalidInput, match=r"^by: the network has no batch norm; choose taylor or magnitude"):
        plain = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten(), nn.Linear(216, 10))
        criteria.get("bn")(plain, couplings(plain, (1, 8, 8)), split)


def milliseconds(architecture: Buildable) -> float:
    """By products, output channels rounded up to whole vectors: narrower is not always faster."""
    found, network = 0.0, build(architecture)
    for layer in layers(network, architecture.input_shape):
        weight: Any = network.get_submodule(layer.name).weight
        found += layer.macs / len(weight) * (-(-len(weight) // 16) * 16)
    return found * 1e-6


class Chosen(Chooser):
    """A chooser that remembers its cuts."""

    def __init__(self, network: nn.Module, channels: Couplings, scores: Any) -> None:
        self.seen: list[float] = []

        def latencies_of(some: Any) -> list[float]:
            return [milliseconds(each) for each in some]

        costs = Costs(latencies_of)
        super().__init__(
            RESNET, channels, scores, costs, lambda left, gone: check(network, channels, left, gone)
        )

    def _best(self, steps: Any) -> Any:
        self.seen.append(self.now.cost)
        return super()._best(steps)


def check(network: nn.Module, channels: Couplings, left: Buildable, gone: frozenset[int]) -> None:
    cut(network, channels, left, gone)


def test_a_latency_is_reached_by_steps_that_are_faster_and_cost_least() -> None:
    network = build(RESNET).eval()
    channels = couplings(network, RESNET.input_shape)
    # the first half of each layer matters, and what the first block adds hardly does
    scores = {name: (torch.arange(len(ids)) < len(ids) // 2) + 0.01 for name, ids in channels.made.items()}
    scores["block0.conv2.0"] *= 1e-3
    chooser = Chosen(network, channels, scores)
    before, way = chooser.now.cost, list[float]()
    assert chooser.down_to(0.6 * before, way.append)
    assert way[0] == 0 and way == sorted(way) and way[-1] < 1 and len(way) == len(chooser.before) > 1
    assert chooser.now.cost <= 0.6 * before
    assert chooser.now.cost == pytest.approx(milliseconds(chooser.now.architecture))
    assert all(later < earlier for earlier, later in pairwise(chooser.seen))
    assert chooser.now.without == ("block0",)
    mattering = {one for name, ids in channels.made.items() for one in ids[: len(ids) // 2]}
    assert not mattering & chooser.now.gone - set(channels.made["block0.conv1.0"])
    assert chooser.fuller(chooser.now.cost) == chooser.now, "nothing can be put back"
    fuller = chooser.fuller(before)
    assert (fuller.gone, fuller.without, fuller.lost) == (frozenset(), (), 0.0)
    limit = (chooser.now.cost + before) / 2
    between = chooser.fuller(limit)
    assert chooser.now.lost > between.lost > 0 and between.gone < chooser.now.gone
    assert between.cost == pytest.approx(milliseconds(between.architecture)) and between.cost <= limit
    assert not chooser.down_to(0.0), "something is always left"
    widths = chooser.now.architecture.widths
    assert min(width for name, width in widths.items() if "shortcut" not in name) >= LEAST


def test_bad_requests_are_refused() -> None:
    for fields, told in (
        ({}, r"^target_share: neither it nor target_latency_ms; give one"),
        ({"target_share": 0.5, "target_latency_ms": 1.0}, r"^target_share: it is given beside"),
        ({"target_share": 1.5}, r"^target_share: 1\.5 is out of range"),
        ({"target_share": 0.5, "by": "luck"}, r"^by: unknown name 'luck'"),
        ({"target_share": 0.5, "rounds": 0}, r"^rounds: 0 is out of range"),
        ({"target_share": 0.5, "rate": float("nan")}, r"^rate: nan is out of range"),
    ):
        with pytest.raises(InvalidInput, match=told):
            Request(**fields)  # type: ignore[arg-type]  # of several types

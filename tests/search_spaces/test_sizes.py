"""Sizes: the papers' tables from layer shapes, and everything else that prediction needs."""

import pytest
import torch
from torch import nn

from search_spaces.architecture import Architecture, Head, Stem
from search_spaces.builder import build
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.precision import precisions
from search_spaces.search_space import space
from search_spaces.sizing import size


def resnet20(precision, *, separable=False, depthwise="float"):
    """ResNet-20's layers with weights (Holesovsky and Maki, tables 1 and 2); the first one is float."""
    layers = [QuantConv2d(3, 16, 3, precisions.get("float"))]
    channels = 16
    for width in (16, 32, 64):
        for _ in range(6):
            if separable:
                layers.append(QuantConv2d(channels, channels, 3, precisions.get(depthwise), groups=channels))
            layers.append(QuantConv2d(channels, width, 1 if separable else 3, precisions.get(precision)))
            channels = width
    return nn.Sequential(*layers, QuantLinear(64, 10, precisions.get(precision)))


@pytest.mark.parametrize(
    ("network", "kilobytes"),
    [
        (resnet20("float"), 1073.344),
        (resnet20("ternary"), 68.704),
        (resnet20("float", separable=True), 145.536),
        (resnet20("ternary", separable=True, depthwise="ternary"), 10.716),
        (resnet20("ternary", separable=True), 31.776),
    ],
)
def test_weights_take_what_the_paper_states(network, kilobytes):
    assert size(network).weight_bytes / 1000 == kilobytes


OTHERS = {  # numbers beside the weights of a convolution from 8 to 16 channels
    "float": 0,
    "int8": 16 + 1,  # a scale per output channel, the input's scale
    "int8-7": 16 + 1,
    "ternary": 2,  # W^p, W^n
    "binary": 16,  # alpha
    "dithered": 2,
    "dithered-3d": 2,
    "dithered-binary": 16,
    "dithered-binary-3d": 16,
    "ternary-binary": 2,
    "ternary-int8": 2 + 1,
    "twn": 1,  # of the layer
    "twn-int8": 1 + 1,
    "twn-binary": 1,
    "bnn": 0,
    "xnor": 16,
    "bwn": 16,
    "bwn-int8": 16 + 1,
    "dorefa1": 1,  # of the layer
    # a basis for each output channel, and one for the input
    **{f"lq{n}": 16 * n + n for n in (1, 2, 3)},
    **{f"lq{n}-float": 16 * n for n in (1, 2, 3)},
    **{f"float-lq{n}": n for n in (1, 2, 3)},
    "lq2-3": 32 + 3,
}


@pytest.mark.parametrize("name", sorted(precisions))
def test_a_convolution_and_its_batch_norm(name):
    precision = precisions.get(name)
    measured = size(nn.Sequential(QuantConv2d(8, 16, 3, precision), nn.BatchNorm2d(16)))
    assert measured.bits_by_code == {precision.weight: 8 * 16 * 9 * precision.weight_bits}
    assert measured.other_bits == 32 * (OTHERS.get(name, 0) + 2 * 16)  # DoReFa's levels are fixed
    assert measured.kilobytes == measured.parameter_bytes / 1000
    assert measured.parameter_bytes == measured.weight_bytes + measured.other_bits / 8


def test_stock_layers_count_as_float():
    measured = size(nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Linear(4, 2)))
    assert measured.bits_by_code == {"float": 32 * (3 * 4 * 9 + 8)}
    assert measured.other_bits == 32 * (4 + 4 + 2)


def test_an_architecture_by_hand():
    architecture = Architecture(
        space="tiny",
        input_shape=(1, 8, 8),
        classes=10,
        stem=Stem(width=16, kernel=3, stride=1, precision="float"),
        blocks=(),
        head=Head(precision="float"),
    )
    weights = 16 * 9 + 16 * 10
    others = 2 * 16 + 2 * 16 + 10  # the stem's norm, the head's norm, the classifier's bias
    assert size(architecture).kilobytes == (weights + others) * 4 / 1000


def test_an_architecture_has_the_size_of_its_network():
    for seed in range(20):
        architecture = space("tiny").sample(seed)
        assert size(architecture) == size(build(architecture))


def test_measuring_draws_no_random_numbers():
    before = torch.get_rng_state()
    size(space("tiny").sample(3))
    assert torch.equal(torch.get_rng_state(), before)

"""Numbers behind a layer are folded into it where float32 shows no difference, and else computed in turn."""

import operator
import random
from collections import Counter
from functools import reduce

import numpy as np
import pytest
import torch
from torch import nn

from runtime.lowering import UnsupportedLayerError, lower
from search_spaces import precisions
from search_spaces.errors import BitnasError
from search_spaces.layers import QuantConv2d
from tests.runtime import interpreter

SHAPE = (2, 4, 8, 8)
K = 12582912.0  # 1.5 * 2 ** 23: to add and subtract it is to round
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
IN_PLACE = {"+": operator.iadd, "-": operator.isub, "*": operator.imul, "/": operator.itruediv}
METHODS = {"+": torch.add, "-": torch.sub, "*": torch.mul, "/": torch.div}


class Chain(nn.Module):
    """A layer, and then numbers by operators: ``[("+", 1.0), ("*", 2.0)]``."""

    def __init__(self, layer, steps, operators=OPERATORS, then=None):
        super().__init__()
        self.layer, self.steps, self.operators, self.then = layer, steps, operators, then

    def forward(self, x):
        y = reduce(lambda y, step: self.operators[step[0]](y, step[1]), self.steps, self.layer(x))
        return y if self.then is None else self.then(y)


def normed(channels, **held):
    """A batch norm that has ordinary statistics, but for those given."""
    norm = nn.BatchNorm2d(channels)
    ordinary = {"running_mean": torch.randn(channels), "running_var": torch.rand(channels) + 0.5}
    with torch.no_grad():
        for name, numbers in (ordinary | held).items():
            getattr(norm, name).copy_(torch.as_tensor(numbers))
    return norm.eval()


def layers():
    """What takes numbers in, or has them computed behind it, by name."""
    return {
        "convolution": nn.Conv2d(4, 4, 3),
        "depthwise": nn.Conv2d(4, 4, 3, groups=4),
        "dense": nn.Sequential(nn.Flatten(), nn.Linear(256, 6)),
        "ternary": QuantConv2d(4, 16, 3, precisions.get("ternary")),
        "signs": QuantConv2d(4, 16, 3, precisions.get("binary")),
        "norm": nn.Sequential(nn.Conv2d(4, 4, 1), normed(4)),
        "norm alone": normed(4),
        "pool": nn.MaxPool2d(2),
    }


NAMES = list(layers())


def expected_of(module, images):
    with torch.no_grad():
        return module.eval()(images.clone()).numpy()


@np.errstate(all="ignore")
def same(module, images):
    """Whether a graph computes what torch does, to 1e-4 of its largest finite output.

    Where numbers are rounded, a few lie within a rounding error of the middle between two.
    """
    expected = expected_of(module, images)
    found = interpreter.run(lower(module, images.shape), images.numpy())
    finite = np.abs(expected[np.isfinite(expected)])
    close = np.isclose(found, expected, 0, 1e-4 * finite.max(initial=0), equal_nan=True)
    return close.mean() > 0.995


def images_of(seed=0):
    torch.manual_seed(seed)
    return torch.randn(SHAPE)


ROUNDED = {
    "K": [("+", K), ("-", K)],
    "-K": [("-", K), ("+", K)],
    "scaled": [("*", 16), ("+", K), ("-", K), ("/", 16)],
    "small": [("*", 1e-8), ("+", 1), ("-", 1)],
    "once more": [("*", 3), ("+", 0.4), ("+", K), ("-", K), ("*", 2), ("-", 1)],
    "beside": [("+", 1e6), ("*", 0.5), ("-", 5e5)],
    "subnormal": [("*", 1e-42), ("*", 1e42 / 1e5), ("*", 1e5)],
    "inverse": [("*", 1e-42), ("*", 1e30), ("*", 1e12)],
    "overflow": [("*", 1e30), ("*", 1e30), ("*", 1e-30), ("*", 1e-30)],
    "nothing": [("*", 1e-50), ("+", 1)],
    "zero": [("*", 0), ("+", 2)],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", ROUNDED.values(), ids=ROUNDED)
def test_what_float32_loses_is_lost(name, steps):
    images = images_of()
    assert same(Chain(layers()[name], steps), images)


@pytest.mark.parametrize("then", [nn.ReLU(), nn.MaxPool2d(2), normed(4), nn.Conv2d(4, 4, 1)], ids=str)
@pytest.mark.parametrize("operators", [OPERATORS, IN_PLACE, METHODS], ids=["plain", "in place", "methods"])
def test_what_follows_changes_nothing(then, operators):
    images = images_of()
    convolution = nn.Conv2d(4, 4, 3)
    assert same(Chain(convolution, ROUNDED["K"], operators, then), images)
    rounded = Chain(convolution, [("+", K)], operators, then)
    if isinstance(then, nn.ReLU | nn.MaxPool2d):
        assert same(Chain(rounded, [("-", K)], operators), images)


@pytest.mark.parametrize("given", [1e39, 1e50, float("inf"), float("nan"), 10**400])
@pytest.mark.parametrize("sign", "+-*/")
def test_numbers_that_float32_does_not_hold_are_refused(sign, given):
    with pytest.raises(UnsupportedLayerError, match="finite") as caught:
        lower(Chain(nn.Conv2d(4, 4, 1), [(sign, given)]), SHAPE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [0, 1e-50, 1e-42, -1e-39])
def test_divisions_without_an_inverse_are_refused(given):
    with pytest.raises(UnsupportedLayerError, match=r"inverse|by 0"):
        lower(Chain(nn.Conv2d(4, 4, 1), [("/", given)]), SHAPE)


ORDINARY = {
    "to both signs": [("*", 2), ("-", 1)],
    "to one sign": [("*", 0.5), ("+", 0.5)],
    "normed": [("-", 0.485), ("/", 0.229)],
    "of bytes": [("-", 123.675), ("/", 58.395)],
    "to bytes": [("*", 255), ("+", 128)],
    "there and back": [("*", 0.5), ("+", 0.5), ("-", 0.5), ("/", 0.5)],
    "eight times": [("*", 1.1), ("+", 0.1)] * 4,
    "negative": [("*", -1), ("+", 1)],
}


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("pool", "norm alone")])
@pytest.mark.parametrize("steps", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_numbers_cost_no_kernel(name, steps):
    images, layer = images_of(), layers()[name]
    assert len(lower(Chain(layer, steps), SHAPE).nodes) == len(lower(layer, SHAPE).nodes)
    assert same(Chain(layer, steps), images)


def test_numbers_may_come_to_any_size():
    steps = [("*", 1e38)] * 10 + [("+", 1e38)] + [("*", 1e-38)] * 20
    assert same(Chain(nn.Conv2d(4, 4, 1), steps, then=normed(4)), images_of())


def test_only_what_is_lost_costs_a_kernel():
    convolution = nn.Conv2d(4, 4, 1)
    alone = len(lower(convolution, SHAPE).nodes)
    chain = Chain(convolution, [("*", 16), ("+", 0.5), ("+", K), ("-", K), ("/", 16)])
    assert len(lower(chain, SHAPE).nodes) == alone + 3


def test_numbers_between_layers_of_bytes_are_rounded_in_float32():
    int8 = [QuantConv2d(4, 16, 3, precisions.get("int8")), QuantConv2d(16, 4, 3, precisions.get("int8"))]
    calm, lossy = (Chain(int8[0], steps, then=int8[1]) for steps in ([("*", 2), ("-", 1)], ROUNDED["K"]))
    assert not [w for w in lower(calm, SHAPE).workloads if w.family == "affine"]
    found = [w for w in lower(lossy, SHAPE).workloads if w.family == "affine"]
    assert [w.arithmetic for w in found] == ["float", "float"]


STATISTICS = {
    "as drawn": {},
    "no variance": {"running_var": 1e-12},
    "a large one": {"running_var": 1e12},
    "a large mean": {"running_mean": 300.0, "running_var": 1e4},
    "no weight": {"weight": 0.0},
    "a tiny weight": {"weight": 1e-30},
}


@pytest.mark.parametrize("bias", [0.0, 0.3, 100.0])
@pytest.mark.parametrize("held", STATISTICS.values(), ids=STATISTICS)
def test_batch_norms_are_folded(held, bias):
    images, convolution = images_of(), nn.Conv2d(4, 4, 3)
    nn.init.constant_(convolution.bias, bias)
    model = nn.Sequential(convolution, normed(4, **held))
    assert len(lower(model, SHAPE).nodes) == len(lower(convolution, SHAPE).nodes)
    assert same(model, images)


@pytest.mark.parametrize("before", ["bias", "number", "large number", "norm"])
def test_a_norm_that_leaves_rounding_errors_is_refused(before):
    convolution, norm = nn.Conv2d(4, 4, 3), normed(4, running_mean=300.0, running_var=0.0)
    if before == "bias":
        nn.init.constant_(convolution.bias, 1e6)
        norm = normed(4, running_mean=1e6)
    number = {"number": 300, "large number": 1e6}.get(before)
    part = Chain(convolution, [("+", number)]) if number else convolution
    if before == "large number":
        norm = normed(4, running_mean=1e6)
    if before == "norm":
        part = nn.Sequential(convolution, normed(4, bias=300.0, weight=1e-3))
    with pytest.raises(UnsupportedLayerError, match="takes back an offset") as caught:
        same(nn.Sequential(part, norm), images_of())
    assert "\n" not in str(caught.value)


def test_a_division_that_is_rounded_otherwise_is_refused():
    steps = [("+", 3e6), ("/", 3), ("*", 3), ("-", 3e6)]
    with pytest.raises(UnsupportedLayerError, match="multiply by the inverse"):
        lower(Chain(nn.Conv2d(4, 4, 3), steps), SHAPE)
    for bytes_to_one in ([("-", 127.5), ("/", 127.5), ("+", 1)], [("/", 255), ("*", 255)]):
        assert same(Chain(nn.Conv2d(4, 4, 3), bytes_to_one), images_of())
    steps[1:3] = [("*", 1 / 3), ("/", 0.25)]
    assert same(Chain(nn.Conv2d(4, 4, 3), [*steps[:-1], ("-", 4e6)]), images_of())


def drawn(seed):
    """A chain of constants of any size behind any layer, of which some are taken back."""
    pick = random.Random(seed)
    steps = []
    for _ in range(pick.randint(1, 4)):
        sign, back = pick.choice(["+-", "-+", "*/", "/*"])
        number = pick.choice([1, -1]) * 10 ** pick.uniform(-45, 38)
        if pick.random() < 0.5:
            number = pick.choice([1, -1]) * 10 ** pick.uniform(-3, 9)
        steps.append((sign, number))
        if pick.random() < 0.5:
            steps.insert(pick.randint(0, len(steps)), (back, number))
    layer = layers()[pick.choice(NAMES)]
    then = pick.choice([None, None, nn.ReLU(), nn.Flatten()])
    return Chain(layer, steps, pick.choice([OPERATORS, IN_PLACE, METHODS]), then)


def test_drawn_chains_are_as_torch_computes_them_or_refused():
    counts = Counter()
    for seed in range(300):
        images = images_of(seed)
        model = drawn(seed)
        try:
            assert same(model, images), (seed, model.layer, model.steps)
            counts["same"] += 1
        except BitnasError:
            counts["refused"] += 1
    assert counts["same"] > 200, counts

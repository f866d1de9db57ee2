"""What a forward pass asks that is not computed is told by its true reason, with a fix that is computed."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from runtime.lowering import UnsupportedLayerError, lower
from runtime.lowering.trace import trace

SHAPE = (2, 4, 8, 8)


class Holds(nn.Module):
    """A convolution, and then a function of the model, which holds weights of all kinds, and its output."""

    def __init__(self, function):
        super().__init__()
        self.convolution, self.function, self.listed = nn.Conv2d(4, 4, 1), function, [nn.ReLU()]
        self.gain, self.factor = nn.Parameter(torch.rand(4, 1, 1)), nn.Parameter(torch.rand(()))
        self.register_buffer("scales", torch.rand(4))
        self.plain = torch.rand(4, 1, 1)
        self.norm, self.by_channel = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1, groups=4)

    def forward(self, x):
        return self.function(self, self.convolution(x))


def refused(function, *named):
    """Trace a model of a function, which must be refused in one short line of ours with ``named`` in it."""
    with pytest.raises(UnsupportedLayerError) as caught:
        trace(Holds(function))
    told = str(caught.value)
    assert all(part in told for part in named), told
    assert "\n" not in told and len(told) < 250
    assert not any(word in told for word in ("Proxy", "symbolic", "torch.fx", "installed", "control flow"))


BY_CHANNEL = (
    "outside of a layer; have a layer do it, as nn.BatchNorm2d or a 1x1 nn.Conv2d with groups=channels"
)
NUMBER = "outside of a layer; make it a plain number of Python"


@pytest.mark.parametrize(
    "function",
    [
        lambda m, y: y / m.gain,
        lambda m, y: m.gain / y,
        lambda m, y: y * (m.gain * 2),
        lambda m, y: y * m.gain.view(1, -1, 1, 1),
        lambda m, y: y * torch.sigmoid(m.gain),
        lambda m, y: y * F.softplus(m.gain),
        lambda m, y: torch.cat([y, m.gain], 1),
        lambda m, y: y + F.relu(m.gain),
        lambda m, y: F.conv2d(m.gain, m.convolution.weight) + y,
    ],
)
def test_parameters_outside_of_layers(function):
    refused(function, "computes with the parameter 'gain' of shape (4, 1, 1)", BY_CHANNEL)


@pytest.mark.parametrize(
    ("function", "which"),
    [
        (lambda m, y: y * m.scales.view(1, -1, 1, 1), "(1, 4, 1, 1) of 'scales', which the model holds,"),
        (lambda m, y: y + m.scales[:, None, None], "(4, 1, 1) of 'scales', which the model holds,"),
        (lambda m, y: y * (m.scales + 1e-5).rsqrt(), "(4,) that is not computed of the image,"),
        (lambda m, y: y * m.plain, "(4, 1, 1) that is not computed of the image,"),
        (lambda m, y: y + torch.ones(4, 1, 1), "(4, 1, 1) that is not computed of the image,"),
    ],
)
def test_tensors_outside_of_layers(function, which):
    refused(function, f"computes with a tensor of shape {which}", BY_CHANNEL)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, y: y / m.factor,
        lambda m, y: y * m.factor.item(),
        lambda m, y: y * m.scales[0],
    ],
)
def test_weights_of_one_number_outside_of_layers(function):
    refused(function, NUMBER)


def test_attributes_of_parameters():
    for function, asked in (
        (lambda m, y: y * m.convolution.weight.size(0), "size"),
        (lambda m, y: y * m.convolution.weight.shape[0], "shape"),
        (lambda m, y: y.to(m.convolution.weight.dtype), "dtype"),
    ):
        refused(
            function, f"asks for the '{asked}' of the parameter 'convolution.weight'", "a plain attribute"
        )


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda m, y: nn.ReLU()(y), "ReLU"),
        (lambda m, y: nn.ChannelShuffle(4)(y), "ChannelShuffle"),
        (lambda m, y: nn.Sequential(m.convolution)(y), "Sequential"),
        (lambda m, y: m.listed[0](y), "ReLU"),
    ],
)
def test_layers_that_are_no_part_of_the_model(function, kind):
    refused(function, f"its forward() calls a {kind} that is no part of it, but made within", "in __init__()")


def looping(y):
    for row in y:
        y = y + row
    return y


def branching(y):
    return y * 2 if y.sum() > 0 else y


def asserting(y):
    assert y.size(1) == 4
    return y


NO_NUMBER = "makes a number of Python of a tensor or a size, as float(), int()"
SHAPES = "iterates over a shape, or unpacks it by *, which no trace can; name its sizes first"
TENSORS = "iterates over a tensor"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda y: y * len(y), "asks for len() of a tensor, which no trace knows; use x.size(0)"),
        (lambda y: y * len(y.shape), "asks for len() of a shape, which no trace knows; use x.dim()"),
        (lambda y: y.view(*y.shape), SHAPES),
        (lambda y: y.view(list(y.size())), SHAPES),
        (lambda y: y * sum(d for d in y.shape), SHAPES),
        (looping, TENSORS),
        (lambda y: sum(y), TENSORS),
        (lambda y: next(iter(y)), TENSORS),
        (
            lambda y: sum(y.split(1, 1)),
            "counts or goes through the parts of a split(), whose number no trace",
        ),
        (lambda y: y * len(y.split(1, 1)), "counts or goes through the parts of a split(), whose number"),
        (lambda y: dict(**y), "unpacks a tensor by **"),
        (branching, "branches on the numbers of a tensor (if, "),
        (lambda y: y * bool(y.sum()), "branches on the numbers of a tensor"),
        (lambda y: max(y, y * 2), "branches on the numbers of a tensor"),
        (asserting, "branches on a size (if, "),
        (lambda y: y * (y.dim() == 4 and 2), "branches on a size"),
        (lambda y: y * float(y.mean()), NO_NUMBER),
        (lambda y: y * int(y.size(1)), NO_NUMBER),
        (lambda y: y * complex(y.mean()), NO_NUMBER),
        (lambda y: y * round(y.size(1)), NO_NUMBER),
        (lambda y: y * math.sqrt(y.size(1)), NO_NUMBER),
        (lambda y: y * sum(range(y.size(1))), NO_NUMBER),
        (lambda y: y * [1, 2, 3, 4, 5][y.size(1)], NO_NUMBER),
        (lambda y: y * torch.tensor(y.size(1)), NO_NUMBER),
    ],
)
def test_what_python_asks_of_a_tensor_or_a_size(function, says):
    refused(lambda m, y: function(y), f"model: its forward() {says}")


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Erf(nn.Module):
    def forward(self, x):
        return torch.erf(x)


def test_the_module_whose_forward_it_is_is_named():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), Branching()))
    with pytest.raises(
        UnsupportedLayerError, match=r"^module '1\.1': its forward\(\) branches on the numbers"
    ):
        lower(model.eval(), SHAPE)


def test_functions_without_a_kernel_are_told_those_with_one():
    with pytest.raises(UnsupportedLayerError) as told:
        lower(Erf(), SHAPE)
    message = str(told.value)
    assert message.startswith("layer 'erf': erf has no kernel; choose among adaptive_avg_pool2d, ")
    assert ", expand_as, " in message and "relu_" not in message and message.endswith("layer that does it")


def failing(error):
    def function(m, y):
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (failing(ValueError("boo")), "ValueError: boo"),
        (failing(ValueError("two\nlines")), "ValueError: two"),
        (failing(KeyError("k")), "KeyError: 'k'"),
        (failing(RuntimeError()), "RuntimeError"),
        (lambda m, y: m.nothing(y), "AttributeError: 'Holds' object has no attribute 'nothing'"),
        (lambda m, y: y * (1 / 0), "ZeroDivisionError: division by zero"),
        (lambda m, y: [1] + [2] + (y,), "TypeError: can only concatenate list"),
    ],
)
def test_what_a_forward_raises(function, says):
    refused(function, f"model: when it is traced, its forward() raises {says}")


@pytest.mark.parametrize(
    "function",
    [
        lambda m, y: m.norm(F.relu(y)),
        lambda m, y: m.by_channel(F.relu(y)),
        lambda m, y: y * 0.5 + y * y.size(0) - y * y.dim(),
        lambda m, y: torch.reshape(torch.flatten(y, 1), (y.size(0), -1)),
        lambda m, y: F.conv2d(y, m.convolution.weight.detach(), bias=m.convolution.bias),
    ],
)
def test_the_fixes_are_computed(function):
    assert lower(Holds(function), SHAPE).nodes


def test_sizes_that_are_named_first_are_computed():
    def function(m, y):
        n, c, h, w = y.shape
        return y.view(n, c, h, w) * c

    assert lower(Holds(function), SHAPE).nodes


def test_a_model_that_returns_its_weight():
    with pytest.raises(UnsupportedLayerError, match="the weight 'gain'; return a tensor that is computed of"):
        lower(Holds(lambda m, y: m.gain), SHAPE)

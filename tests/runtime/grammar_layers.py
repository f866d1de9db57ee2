"""Random layers for small torch models: with kernels and without, of our own, changed, and with hooks."""

import warnings
from functools import partial

from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from search_spaces import precisions
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.plain_layers import ChannelShift, ChannelShuffle, Subsample

CODES = ("binary", "ternary", "ternary-binary", "bnn", "dithered", "float", "xnor", "twn-binary", "int8")


class Unchanged(nn.Conv2d):
    """A subclass that adds nothing that a forward pass uses."""

    note = "mine"

    def described(self):
        """A method of its own."""
        return f"{self.note}: {self.out_channels}"


class Doubling(nn.Conv2d):
    """A subclass with a forward of its own."""

    def forward(self, x):
        return super().forward(x) * 2


class OwnConvolution(nn.Conv2d):
    """A subclass with another method that forward calls."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight * 2, bias)


class CalledTwice(nn.ReLU):
    """A subclass whose call does more than its forward."""

    def __call__(self, x):
        return super().__call__(x) + super().__call__(x * 0.5)


class Halving(nn.Sequential):
    """A container with a forward of its own."""

    def forward(self, x):
        return super().forward(x) * 0.5


class Scaled(nn.Module):
    """A parametrization."""

    def forward(self, weight):
        return weight * 0.5


def convolution(pick, c, kind=nn.Conv2d):
    """A convolution that may have any option."""
    out, kernel = pick.choice([4, 6, 8, 16]), pick.choice([1, 3, 3, 5])
    groups = pick.choice([1, 1, 2]) if c % 2 == 0 else 1
    padding = pick.choice([0, 1, kernel // 2, "valid", "same"])
    stride = 1 if padding == "same" else pick.choice([1, 1, 2])
    more = {"padding_mode": "reflect"} if pick.random() < 0.03 else {}
    more |= {"dilation": 2} if pick.random() < 0.03 else {}
    return kind(c, out, kernel, stride, padding, groups=groups, bias=pick.random() < 0.5, **more)


def batch_norm(kind, c):
    """A batch norm that has seen something."""
    layer = kind(c)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    return layer


def quantized(pick, shape):
    """One of this project's layers, or two for one that needs another before it."""
    precision = precisions.get(pick.choice(CODES))
    if len(shape) == 2:
        return QuantLinear(shape[1], pick.choice([4, 16]), precision, relu=pick.random() < 0.5)
    c, out, kernel = shape[1], pick.choice([4, 16, 32]), pick.choice([1, 3])
    return QuantConv2d(c, out, kernel, precision, stride=pick.choice([1, 2]), relu=pick.random() < 0.5)


def image_layer(pick, c):
    """A layer of images."""
    inplace = pick.random() < 0.5
    makers = [
        *[lambda: convolution(pick, c)] * 6,
        *[lambda: batch_norm(nn.BatchNorm2d, c)] * 3,
        lambda: nn.Conv2d(c, c, 3, padding=1, groups=c),
        lambda: convolution(pick, c, Unchanged),
        lambda: pick.choice([nn.MaxPool2d, nn.AvgPool2d])(2, ceil_mode=inplace),
        lambda: pick.choice([nn.MaxPool2d, nn.AvgPool2d])(3, pick.choice([1, 2]), 1, ceil_mode=inplace),
        lambda: nn.AdaptiveAvgPool2d(pick.choice([1, 2, (1, 1), None, 4, 3])),
        lambda: nn.Flatten(pick.choice([1, 1, -3]), pick.choice([-1, 3, -1, 2])),
        lambda: pick.choice([nn.ChannelShuffle, ChannelShuffle])(2),
        lambda: nn.ZeroPad2d(pick.choice([1, 2, (1, 1, 1, 1)])),
        lambda: pick.choice([ChannelShift(c), Subsample(2, 2), Subsample(1, 0)]),
        lambda: nn.Sequential(convolution(pick, c), nn.ReLU(inplace)),
        lambda: Halving(batch_norm(nn.BatchNorm2d, c)),
        lambda: nn.GroupNorm(pick.choice([1, 2, c]), c),
        lambda: nn.Upsample(scale_factor=pick.choice([2, 1.5]), mode=pick.choice(["nearest", "bilinear"])),
        lambda: nn.ConstantPad2d((1, 0, pick.choice([0, 2]), 1), pick.choice([0, 0.5])),
        lambda: nn.AdaptiveAvgPool2d((3, 5)),
    ]
    return pick.choice(makers)()


def row_layer(pick, features):
    """A layer of rows."""
    makers = [
        *[lambda: nn.Linear(features, pick.choice([4, 6, 10]), bias=pick.random() < 0.5)] * 3,
        lambda: batch_norm(nn.BatchNorm1d, features),
        nn.Flatten,
    ]
    return pick.choice(makers)()


def activation(pick, c):
    """A layer for any shape."""
    inplace = pick.random() < 0.5
    makers = [
        *[lambda: nn.ReLU(inplace)] * 4,
        lambda: nn.ReLU6(inplace),
        lambda: nn.Hardtanh(0, 6, inplace),
        lambda: nn.LeakyReLU(0.1, inplace),
        lambda: nn.PReLU(pick.choice([1, c])),
        nn.Sigmoid,
        lambda: nn.SiLU(inplace),
        lambda: nn.Hardswish(inplace),
        lambda: nn.Hardsigmoid(inplace),
        nn.Identity,
        lambda: nn.Dropout(0.5, inplace),
        lambda: nn.GELU(pick.choice(["none", "tanh"])),
        lambda: nn.ELU(pick.choice([1.0, 0.5]), inplace),
        lambda: pick.choice([nn.Softmax, nn.LogSoftmax])(pick.choice([1, -1])),
    ]
    return pick.choice(makers)()


def unsupported(pick, c):
    """A layer that has no kernel, or that torch itself refuses for these channels."""
    makers = [
        nn.Tanh,
        nn.CELU,
        lambda: nn.Softmax(0),
        lambda: nn.GroupNorm(c + 1, 2 * (c + 1)),
        lambda: nn.AdaptiveMaxPool2d(1),
        lambda: nn.Hardtanh(-1, 1),
        lambda: nn.Conv2d(c + 1, 4, 1),
        lambda: nn.BatchNorm2d(c + 1),
        lambda: batch_norm(nn.BatchNorm1d, c),
        lambda: batch_norm(nn.BatchNorm2d, c),
        lambda: nn.MaxPool2d(2, 2, 1),
        lambda: nn.AvgPool2d(3, 1, 2),
        lambda: nn.MaxPool2d(9),
        lambda: nn.Conv2d(c, 4, 11),
        lambda: nn.BatchNorm2d(c, track_running_stats=False),
        lambda: Doubling(c, 4, 1),
        lambda: OwnConvolution(c, 4, 1),
    ]
    return pick.choice(makers)()


def changed(pick, layer):
    """The layer, perhaps with hooks, a replaced forward, or a weight that is made of others."""
    has_weight = isinstance(layer, nn.Conv2d | nn.Linear) and not isinstance(layer, Doubling)
    kinds = {
        "hook": lambda: layer.register_forward_hook(lambda m, i, o: o * 2),
        "silent hook": lambda: layer.register_forward_hook(lambda m, i, o: None),
        "pre-hook": lambda: layer.register_forward_pre_hook(lambda m, i: (i[0] * 2,)),
        "backward hook": lambda: layer.register_full_backward_hook(lambda m, i, o: None),
        "state hook": lambda: layer.register_state_dict_post_hook(lambda *given: None),
        "forward": lambda: setattr(layer, "forward", partial(_after, layer.forward)),
    }
    made = {
        "weight norm": lambda: parametrizations.weight_norm(layer),
        "spectral norm": lambda: parametrizations.spectral_norm(layer),
        "old spectral norm": lambda: spectral_norm(layer),
        "parametrized": lambda: parametrize.register_parametrization(layer, "weight", Scaled()),
        "pruned": lambda: prune.random_unstructured(layer, "weight", 0.5),
        "old weight norm": lambda: _normed(layer),
    }
    kinds |= made if has_weight else {}
    told = pick.choice(sorted(made if has_weight and pick.random() < 0.6 else kinds))
    kinds[told]()
    return layer, told


def _normed(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch has a newer one, and models have this one
        weight_norm(layer)


def _after(forward, x):
    return forward(x) + 1

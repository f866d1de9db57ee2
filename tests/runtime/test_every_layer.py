"""Layers, functions and methods of networks that people bring: as torch computes them, or refused by name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn
from torch.nn import functional as F

import runtime
from runtime.graph import Value
from runtime.lowering import lower
from runtime.lowering.arrangement import arranged
from runtime.lowering.builder import GraphBuilder
from runtime.lowering.rulebook import At
from search_spaces import precisions
from search_spaces.layers import QuantConv2d
from tests.runtime.test_torch_models import SHAPE, Applied, check, refused


class Held(Applied):
    """The same with parameters outside of layers."""

    def __init__(self, function):
        super().__init__(function)
        self.gain, self.wide = nn.Parameter(torch.randn(4, 1, 1)), nn.Parameter(torch.randn(8))
        self.one, self.norm = nn.Parameter(torch.randn(1)), nn.LayerNorm(4)
        self.pair, self.plain = nn.Parameter(torch.randn(2, 1, 1)), torch.ones(4, 1, 1)
        nn.init.normal_(self.norm.weight)
        self.linear, self.back = nn.Linear(4, 6), nn.Linear(6, 4)


def families(module):
    return [workload.family for workload in lower(module.eval(), SHAPE).workloads]


def shuffled(m, y):
    n, c, h, w = y.shape
    return y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


def channels_last(m, y):
    """A block of ConvNeXt."""
    z = m.norm(y.permute(0, 2, 3, 1))
    z = m.back(F.gelu(m.linear(z)))
    return y + m.gain * z.permute(0, 3, 1, 2)


def tokens(m, y):
    """A sequence of pixels, as in a vision transformer, and its mean."""
    z = y.flatten(2).transpose(1, 2)
    return m.linear(m.norm(z + z * 2)).softmax(-1).mean(1)


def halves(m, y):
    first, second = y.chunk(2, 1)
    return torch.cat([second, torch.relu(first)], 1)


def appended(m, y):
    """The channels of a block of YOLOv8."""
    parts = list(y.chunk(2, 1))
    parts.extend(torch.relu(parts[-1]) for _ in range(len(parts)))
    return torch.cat(parts, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, y: F.gelu(y) + F.gelu(y, approximate="tanh") + F.elu(y, 0.5) + F.leaky_relu(y, 0.3),
        lambda m, y: F.silu(y) * F.hardswish(y) - F.hardsigmoid(y) + y.sigmoid(),
        lambda m, y: torch.softmax(y, 1) + y.softmax(-1) + F.softmax(y, dim=2) + y.log_softmax(dim=1),
        lambda m, y: F.log_softmax(y.flatten(1), 1),
        lambda m, y: F.layer_norm(y, (8, 8)) + F.layer_norm(y, [4, 8, 8]) + F.group_norm(y, 2, eps=1e-3),
        lambda m, y: F.layer_norm(y.permute(0, 2, 3, 1), (4,), m.norm.weight, m.norm.bias, 1e-6),
        channels_last,
        tokens,
        halves,
        appended,
        lambda m, y: torch.cat([y, *y.split([1, 2, 1], 1), *reversed(y.chunk(4, 1)[1:])], 1),
        shuffled,
        lambda m, y: y.reshape(2, 2, 2, 8, 8).permute(0, 2, 1, 3, 4).reshape(2, 4, 8, 8) + y,
        lambda m, y: y.transpose(2, 3) * y + y.permute((0, 1, 3, 2)),
        lambda m, y: y.permute(0, 3, 1, 2),
        lambda m, y: y.flatten(2),
        lambda m, y: y.flatten(1, 2).unsqueeze(2).squeeze(2) * 2,
        lambda m, y: y.view(2, 2, -1).unflatten(2, (16, 8)),
        lambda m, y: m.pool(y).squeeze(-1).squeeze(-1) * 2,
        lambda m, y: torch.cat([y[:, :1], y[:, 1:], y, y[:, 1:-1]], 1),
        lambda m, y: torch.cat([y, y[:, :, :3]], 2) + torch.cat([y[..., 5:, :], y], -2),
        lambda m, y: torch.cat([part * 2 for part in torch.split(y, [1, 2, 1], dim=1)], 1),
        lambda m, y: y.split(3, 1)[1] + y.narrow(1, 1, 1),
        lambda m, y: y.narrow(2, 1, 4) + y[:, :, 4:],
        lambda m, y: y[:, :, ::2, ::2] + y[..., 1:5, 2:6],
        lambda m, y: y[:, :, 3] + y[..., None, :, 2].squeeze(2),
        lambda m, y: y.mean(1, keepdim=True) * y,
        lambda m, y: y.mean(3) + y.mean(2),
        lambda m, y: y.mean((1, 3)) * 2,
        lambda m, y: y.transpose(1, 2).mean([2, 3]),
        lambda m, y: y * m.gain + m.gain,
        lambda m, y: m.gain * y.mul(m.one) + (m.one + y),
        lambda m, y: (y.unflatten(1, (2, 2)) * m.pair).flatten(1, 2),
        lambda m, y: y * m.wide + y.permute(0, 2, 3, 1).permute(0, 3, 1, 2),
        lambda m, y: F.pad(y, (1, 0, 2, 3), value=0.5) * 2,
        lambda m, y: F.pad(y, (0, 0, 0, 0, 1, 2)),
        lambda m, y: F.adaptive_avg_pool2d(y, (3, 5)) * F.adaptive_avg_pool2d(y, (6, 5))[:, :, 3:],
        lambda m, y: F.adaptive_avg_pool2d(y, (2, 4)) + F.interpolate(y, (2, 4), mode="area"),
        lambda m, y: y * torch.sigmoid(m.pool(y)) * torch.sigmoid(y.mean(1, True)),
    ],
)
def test_functions_are_computed(function):
    check(Held(function))


def test_layers_are_computed():
    for layer in (
        *(nn.GELU(), nn.GELU("tanh"), nn.ELU(0.7), nn.Softmax(1), nn.Softmax2d(), nn.LogSoftmax(-1)),
        *(nn.GroupNorm(2, 4), nn.GroupNorm(4, 4, affine=False), nn.LayerNorm((4, 8, 8)), nn.LayerNorm(8)),
        *(nn.ConstantPad2d((1, 2, 0, 1), -1.5), nn.ZeroPad2d((0, 1, 2, 0)), nn.AdaptiveAvgPool2d((3, 8))),
        *(
            nn.Upsample(scale_factor=2),
            nn.UpsamplingBilinear2d((5, 9)),
            nn.UpsamplingNearest2d(scale_factor=3),
        ),
        nn.Sequential(nn.Flatten(2), nn.Unflatten(1, (2, 2)), nn.Linear(64, 3)),
    ):
        for parameter in layer.parameters():
            nn.init.normal_(parameter)
        check(nn.Sequential(layer, nn.ReLU()))


SIDES = st.integers(1, 9)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    own=st.tuples(SIDES, SIDES),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    mode=st.sampled_from(["nearest", "nearest-exact", "bilinear", "bilinear aligned", "area"]),
    scale=st.none() | st.floats(1, 3) | st.tuples(st.floats(1, 3), st.sampled_from([1.5, 2, 3])),
)
def test_images_are_resized_as_torch_does_it(own, size, mode, scale):
    how = {"mode": mode.split()[0], **({"align_corners": True} if "aligned" in mode else {})}
    how |= {"size": size} if scale is None else {"scale_factor": scale}
    module = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Upsample(**how))
    check(module, torch.randn(1, 2, *own))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_arrangements_are_what_torch_makes_of_views(data):
    """Random permutations and reshapes of an image, beside torch's, where no memory is moved."""
    image = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)  # (N, H, W, C)
    expected, tensor = image.permute(0, 3, 1, 2), arranged(Value(0, tuple(image.shape), "nhwc"))
    for _ in range(3):
        order = [0, *data.draw(st.permutations(range(1, expected.dim())))]
        expected, tensor = expected.permute(order), tensor.permuted(order).simple()
        wanted = (2, *data.draw(st.sampled_from([(72,), (6, 12), (2, 3, 12), (4, 3, 6), (6, 2, 3, 2)])))
        found = tensor.reshaped(wanted)
        if found is None:
            if expected.data_ptr() == image.data_ptr():  # it is a view yet: then torch needs a copy, too
                with pytest.raises(RuntimeError, match="view size"):
                    expected.view(wanted)
            break
        expected, tensor = expected.reshape(wanted), found
        assert tensor.shape == tuple(expected.shape)
    memory = image.reshape(tensor.sizes).permute(tensor.order).reshape(tensor.shape)
    assert torch.equal(memory, expected)
    plain = tensor.plain()
    assert plain is None or plain.layout in ("nhwc", "rows")
    moved = At(GraphBuilder((2, 6, 3, 4)), "x").in_order(tensor)
    assert moved.shape == tensor.shape and moved.is_in_order


def test_nothing_is_moved_where_nothing_must_be():
    between = Held(lambda m, y: m.convolution(shuffled(m, y)))
    assert families(between) == ["to_nhwc", "conv2d", "channel_shuffle", "conv2d", "to_nchw"]
    assert families(Held(shuffled)) == ["to_nhwc", "conv2d", "permute"]  # straight into torch's order
    found = families(Held(channels_last))
    assert set(found) == {"to_nhwc", "to_nchw", "conv2d", "layer_norm", "gelu"}
    assert found.count("conv2d") == 3  # the gain and the sum are in the last one
    assert set(families(Held(halves))) <= {"to_nhwc", "to_nchw", "conv2d", "slice", "relu", "concat"}


@fx.wrap
def wrapped(x, training):
    """What a trace of fx's own does not enter."""
    return x * 2 if training else x


def test_functions_that_fx_leaves_alone_are_entered():
    check(Held(lambda m, y: wrapped(y, m.training) + 1))
    check(Held(lambda m, y: wrapped(y, True) + 1))


class Moved(nn.Module):
    """Bytes in and out, and what moves real numbers between them."""

    def __init__(self):
        super().__init__()
        p = precisions.get("int8")
        self.first, self.last = QuantConv2d(3, 16, 3, p, relu=False), QuantConv2d(16, 4, 1, p)

    def forward(self, x):
        first, second = self.first(x).chunk(2, 1)
        padded = F.pad(torch.cat([second, first], 1), (1, 0, 1, 0))
        return self.last(F.max_pool2d(padded, 2))


def test_what_moves_numbers_between_bytes_stays_in_integers():
    torch.manual_seed(0)
    module, x = Moved().train(), torch.randn(4, 3, 8, 8)
    for _ in range(3):
        module(x)
    module.eval()
    workloads = runtime.workloads(module, x.shape)
    kinds = {each.family: each.arithmetic for each in workloads if hasattr(each, "arithmetic")}
    assert {kinds[name] for name in ("slice", "concat", "pad2d")} == {"integer"}
    with torch.no_grad():
        expected = module(x).numpy()
    found = runtime.compile(module, x.shape).run(x.numpy())
    differ = np.abs(found - expected) > 1e-3 * np.abs(expected).max()
    assert differ.mean() < 0.02  # a byte may be rounded to the other side


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (
            lambda m, y: F.interpolate(y, scale_factor=2, mode="bicubic"),
            "mode 'bicubic' is not computed",
        ),
        (lambda m, y: F.interpolate(y, (4, 4), mode="bilinear", antialias=True), "antialias=False"),
        (lambda m, y: F.pad(y, (1, 1, 1, 1), mode="reflect"), "only constant padding"),
        (lambda m, y: F.pad(y, (-1, 0)), "take a slice"),
        (lambda m, y: F.softmax(y, 0), "over the images of a batch"),
        (lambda m, y: y.mean(), "over the images of a batch"),
        (lambda m, y: y.permute(1, 0, 2, 3), "must stay where it is"),
        (lambda m, y: y.reshape(4, 2, 8, 8), "the first dimension must stay"),
        (lambda m, y: y[:1], "images of a batch"),
        (lambda m, y: y[:, ::2], "only steps through rows and columns alike"),
        (lambda m, y: torch.cat([y, y], 0), "images of batches"),
        (lambda m, y: torch.cat(list(y.chunk(3, 1)), 1), "asks for part 2 of 2"),
        (lambda m, y: y * m.wide[0], "with the parameter .wide. of shape"),
        (lambda m, y: F.conv2d(y.flatten(2), m.convolution.weight), "gets a tensor of shape \\(2, 4, 64\\)"),
        (lambda m, y: F.layer_norm(y, (4,)), "it norms \\(4,\\), but gets"),
        (lambda m, y: y.view(2, 2, 2, 8, 8), "4 are the most"),
    ],
)
def test_what_is_not_computed_says_what_is(function, named):
    refused(Held(function), named)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (Held(lambda m, y: torch.tanh(y)), "layer 'tanh' in '1.0': tanh has no kernel; choose among"),
        (Held(lambda m, y: F.pad(y, (1, 1), "circular")), "layer 'pad' in '1.0': mode 'circular'"),
        (Held(lambda m, y: y.mul(2, out=y)), "layer 'mul' in '1.0': not all of its arguments"),
        (Held(lambda m, y: y / m.gain), "layer 'truediv' in '1.0': it computes with the parameter"),
        (Held(lambda m, y: y + m.plain), "layer 'add' in '1.0': it computes with a tensor of shape"),
        (nn.ReflectionPad2d(1), "layer '1.0': ReflectionPad2d has no kernel; .*ConstantPad2d, ZeroPad2d"),
        (nn.Conv2d(3, 3, 3, padding_mode="reflect"), "layer '1.0': padding_mode 'reflect' .* only 'zeros'"),
        (nn.LSTM(8, 8), "layer '1.0': LSTM has no kernel; choose among the layers of docs"),
    ],
)
def test_what_is_refused_is_told_by_its_path_and_with_what_is_computed(layer, named):
    refused(nn.Sequential(nn.Identity(), nn.Sequential(layer)), named)


def test_a_gate_of_every_kind_has_the_right_shape():
    for shape in ((4, 1, 1), (1, 4, 1, 1), (1,), (8,), (1, 1, 1, 8)):
        module = Held(lambda m, y: y * m.gain)
        module.gain = nn.Parameter(torch.randn(shape))
        check(module)
    module.gain = nn.Parameter(torch.randn(4, 8, 8))
    refused(module, "the parameter 'gain' of shape \\(4, 8, 8\\) is not one number")


@pytest.mark.parametrize("axes", [(2,), (3,), (1,), (1, 2), (1, 2, 3)])
def test_a_gate_is_broadcast_over_any_axes(axes):
    """Such as those of coordinate attention, a number for each row or for each column of a channel."""

    def gated(m, y):
        gate = torch.sigmoid(y[:, :, 1:, 2:])
        for axis in axes:
            gate = gate.mean(axis, keepdim=True)
        whole = y[:, :, 1:, 2:]
        if 1 in axes:
            return gate * whole
        return whole * gate + gate - gate * whole

    check(Held(gated))


def test_rows_times_columns_are_an_image():
    check(Held(lambda m, y: y.mean(2, keepdim=True) * y.mean(3, keepdim=True)))


def test_what_does_not_broadcast_is_refused():
    refused(Held(lambda m, y: y * y[:, :, 2:]), "do not broadcast")
    refused(Held(lambda m, y: y + y.mean(1, keepdim=True)), "differ in their channels")

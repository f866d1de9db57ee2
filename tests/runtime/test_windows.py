"""Layers that slide a window of any shape compute what torch computes, and are refused where it refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import runtime
from runtime.lowering import lower
from search_spaces import InvalidInput, precisions
from search_spaces.errors import UnsupportedLayerError
from search_spaces.layers import QuantConv2d
from tests.runtime import interpreter
from tests.runtime.harness import trained

CODES = ("float", "ternary", "binary", "twn-binary")


def two(low, high):
    """A number for rows and columns."""
    return st.tuples(*[st.integers(low, high)] * 2)


@st.composite
def channels(draw):
    """In, out and groups."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    return *(draw(st.sampled_from([1, 4, 5])) * groups for _ in range(2)), groups


@st.composite
def convolutions(draw):
    """Of torch's own, with a padding of zeros before it or none."""
    inputs, outputs, groups = draw(channels())
    padding = draw(st.one_of(two(0, 3), st.sampled_from(["valid", "same"])))
    stride = (1, 1) if padding == "same" else draw(two(1, 3))
    layer = nn.Conv2d(inputs, outputs, draw(two(1, 4)), stride, padding, draw(two(1, 3)), groups)
    border = draw(st.one_of(st.none(), st.tuples(*[st.integers(0, 2)] * 4)))
    return inputs, layer if border is None else nn.Sequential(nn.ZeroPad2d(border), layer)


@st.composite
def depthwise_convolutions(draw):
    """Each channel by itself."""
    count = draw(st.sampled_from([4, 17]))
    return count, nn.Conv2d(count, count, draw(two(1, 4)), draw(two(1, 3)), 1, draw(two(1, 2)), count)


@st.composite
def low_bit_convolutions(draw):
    """Of ours; padding is +1 for signs."""
    inputs, outputs, groups = draw(channels())
    how = {"stride": draw(two(1, 3)), "padding": draw(two(0, 2)), "dilation": draw(two(1, 2))}
    precision = precisions.get(draw(st.sampled_from(CODES)))
    layer = QuantConv2d(inputs, outputs, draw(two(1, 3)), precision, groups=groups, **how)
    return inputs, nn.Sequential(nn.ZeroPad2d(1), layer) if draw(st.booleans()) else layer


@st.composite
def transposed_convolutions(draw):
    """With all their options."""
    inputs, outputs, groups = draw(channels())
    stride, dilation = draw(two(1, 3)), draw(two(1, 2))
    most = [max(each) - 1 for each in zip(stride, dilation, strict=True)]
    added = tuple(draw(st.integers(0, each)) for each in most)
    kernel, padding = draw(two(1, 5)), draw(two(0, 3))
    bias = draw(st.booleans())
    return inputs, nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, added, groups, bias, dilation)


@st.composite
def pools(draw):
    """Largest values and means, with all their options."""
    kernel, stride, ceil_mode = draw(two(1, 4)), draw(st.one_of(st.none(), two(1, 4))), draw(st.booleans())
    most = 1 if draw(st.integers(0, 9)) == 0 else 0  # more than half a window is refused
    padding = tuple(draw(st.integers(0, taps // 2 + most)) for taps in kernel)
    if draw(st.booleans()):
        return 3, nn.MaxPool2d(kernel, stride, padding, draw(two(1, 3)), ceil_mode=ceil_mode)
    divisor, counts = draw(st.sampled_from([None, None, 3])), draw(st.booleans())
    return 3, nn.AvgPool2d(kernel, stride, padding, ceil_mode, counts, divisor)


KINDS = [convolutions, depthwise_convolutions, low_bit_convolutions, transposed_convolutions, pools]


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch copies the image then
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=120)
@given(st.data())
def test_windows_of_any_shape(kind, data):
    (depth, layer), batch = data.draw(kind()), data.draw(st.integers(1, 2))
    size = data.draw(two(4, 11)) if data.draw(st.integers(0, 3)) else data.draw(two(1, 3))
    images = torch.randn(batch, depth, *size)
    layer.eval()
    try:
        with torch.no_grad():
            expected = layer(images).numpy()
    except RuntimeError:
        expected = np.zeros(0)
    if expected.size == 0 or np.isinf(expected).any():  # nothing, or the largest of nothing
        with pytest.raises(UnsupportedLayerError):
            lower(layer, images.shape)
        return
    found = interpreter.run(lower(layer, images.shape), images.numpy())
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1e-3, np.abs(expected).max()))


def test_windows_of_any_shape_in_bytes():
    """Bytes are padded with what stands for zero; the layers read each other's codes."""
    code, shape = precisions.get("int8"), (2, 5, 11, 9)
    layers = [
        QuantConv2d(5, 16, (3, 2), code, stride=(1, 2), padding=(2, 1), dilation=(2, 1)),
        nn.BatchNorm2d(16),
        nn.ZeroPad2d(1),
        QuantConv2d(16, 16, (1, 3), code, groups=16, padding=0, dilation=(1, 2)),
        nn.BatchNorm2d(16),
        nn.MaxPool2d((3, 2), (2, 1), 1, (1, 2), ceil_mode=True),
        QuantConv2d(16, 7, (2, 1), code, stride=(2, 1)),
    ]
    module = trained(nn.Sequential(*layers), shape)
    images = torch.randn(shape)
    with torch.no_grad():
        expected = module(images).numpy()
    assert "pad2d" not in [w.family for w in runtime.workloads(module, shape)]
    found = runtime.compile(module, shape).run(images.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_border_of_zeros_is_the_convolutions_own():
    """But for where something else reads it, or a mask is added to it, or it is a constant."""

    def families(*layers):
        return [w.family for w in runtime.workloads(nn.Sequential(*layers), (1, 4, 8, 8))]

    dithered = QuantConv2d(4, 4, 3, precisions.get("dithered"))
    assert "pad2d" in families(nn.ZeroPad2d(1), dithered)
    assert "pad2d" not in families(nn.ZeroPad2d(1), nn.ZeroPad2d((2, 0, 1, 3)), nn.Conv2d(4, 4, 3))
    assert "pad2d" in families(nn.ZeroPad2d(1), nn.MaxPool2d(2))
    assert "pad2d" in families(nn.ConstantPad2d(1, 0.5), nn.Conv2d(4, 4, 3))
    pooled = families(nn.AvgPool2d(1, 2), nn.Conv2d(4, 4, 3))
    assert "avg_pool2d" in pooled


def test_a_transposed_convolution_takes_in_what_follows():
    """All of its phases are one convolution, with the batch norm's scales and the ReLU."""
    norm = nn.BatchNorm2d(6)
    layers = [nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2), norm, nn.ReLU(), nn.Conv2d(6, 4, 1)]
    module = trained(nn.Sequential(*layers), (1, 4, 5, 6))
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    images = torch.randn(1, 4, 5, 6)
    graph = lower(module, images.shape)
    told = ["to_nhwc", "conv2d", "interleave", "conv2d", "to_nchw"]
    assert [w.family for w in graph.workloads] == told
    expected = module(images).detach().numpy()
    np.testing.assert_allclose(interpreter.run(graph, images.numpy()), expected, rtol=1e-4, atol=1e-5)


def test_a_window_in_the_padding_alone_is_refused():
    pool = nn.Sequential(nn.MaxPool2d(2, 1, 1, 3))
    assert torch.isinf(pool(torch.zeros(1, 1, 2, 2))).all()
    with pytest.raises(UnsupportedLayerError, match="layer '0': a window lies in the padding alone"):
        lower(pool, (1, 1, 2, 2))


@pytest.mark.parametrize(
    ("name", "value"), [("kernel", (3, 0)), ("stride", (1, 2, 3)), ("padding", -1), ("dilation", 0)]
)
def test_what_is_no_window_is_refused_by_its_name(name, value):
    given = {"kernel": 3, name: value}
    with pytest.raises(InvalidInput, match=f"{name}: .* is not one or two whole numbers"):
        QuantConv2d(4, 4, given.pop("kernel"), precisions.get("float"), **given)

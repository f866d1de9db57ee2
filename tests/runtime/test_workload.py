"""Workloads: their keys and JSON name them uniquely, and every family has a kernel."""

import pytest

from runtime import workload as w
from runtime.kernels import kernel_for, kernels
from search_spaces import InvalidInput

EXAMPLES = [
    w.Conv2d(1, 8, 8, 3, 1, 1, 3, 16, 1, "float", "float"),
    w.Conv2d(1, 8, 8, 3, 1, 1, 3, 16, 1, "float", "float", relu=True),
    w.BitserialConv2d(1, 8, 8, 3, 1, 1, 64, 16, 1, "ternary"),
    w.DepthwiseConv2d(1, 8, 8, 3, 1, 1, 16, "int8", "uint8"),
    w.Dense(1, 16, 10, "float", "float"),
    w.BitserialDense(1, 16, 10, "binary"),
    w.LevelPack(1, 8, 8, 32, 1, 2),
    w.Levels(1, 64, 2),
    w.Steps(1, 64, 65535),
    w.SignPack(1, 8, 8, 64, 1, "channel"),
    w.Quantize(1, 64, "uint8"),
    w.MaxPool2d(1, 8, 8, 3, 2, 1, 16),
    w.MaxPool2d(1, 8, 8, 3, 2, 1, 2, "binary"),
    w.AvgPool2d(1, 8, 8, 3, 2, 1, 16),
    w.AvgPool2d(1, 8, 8, 3, 2, (1, 1, 2, 2), 16, uncounted=(0, 0, 1, 1)),
    w.AvgPool2d(1, 8, 8, 3, 2, 1, 16, divisor=4),
    w.Conv2d(1, 8, 8, (3, 1), (2, 1), (1, 0, 1, 0), 3, 16, 1, "float", "float"),
    w.MaxPool2d(1, 8, 8, 3, 2, 1, 16, dilation=(2, 1)),
    w.GlobalAvgPool(1, 64, 16),
    w.Relu(1, 64),
    w.Relu6(1, 64),
    w.Dense(1, 8, 16, "float", "float", activation="relu6"),
    w.Prelu(1, 64, 16),
    w.AffineMap(1, 64, 16),
    w.Sigmoid(1, 64),
    w.Silu(1, 64),
    w.Hardsigmoid(1, 64),
    w.Hardswish(1, 64),
    w.Gelu(1, 64),
    w.Gelu(1, 64, True),
    w.Elu(1, 64),
    w.LayerNorm(1, 64, 16),
    w.GroupNorm(1, 64, 16, 4),
    w.Softmax(1, 1, 10),
    w.Softmax(1, 1, 10, True),
    w.Pad2d(1, 8, 8, 16, 1, 0, 2, 3),
    w.TakePixels(1, 8, 8, 16, 16, 3),
    w.ResizeBilinear(1, 8, 8, 16, 16, 3),
    w.AdaptiveAvgPool(1, 8, 8, 3, 3, 16),
    w.ScaleChannels(1, 64, 16),
    w.Subsample(1, 8, 8, 16, 2, 16),
    w.Interleave(1, 8, 8, 16, 1, (2, 2), (1, 1), (15, 15)),
    w.Add(1, 64),
    w.Affine(1, 64, 16),
    w.Concat(1, 64, (16, 32)),
    w.ChannelShuffle(1, 64, 16, 4),
    w.Slice(1, 64, 16, 8, 8),
    w.Permute(1, (8, 8, 3), (2, 1, 0)),
    w.ToNhwc(1, 8, 8, 3),
    w.ToNchw(1, 8, 8, 3),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.key)
def test_json_round_trip(example):
    assert w.Workload.from_json(example.to_json()) == w.Workload.from_key(example.key) == example
    assert kernel_for(example).buffers(example)[-1].role == "output"


def test_keys_and_symbols_are_unique_and_every_family_is_here():
    assert len({e.key for e in EXAMPLES}) == len({e.symbol for e in EXAMPLES}) == len(EXAMPLES)
    assert {e.family for e in EXAMPLES} == set(kernels)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"family":"warp"}', '{"family":"add","batch":1}'])
def test_what_is_no_workload_is_refused(text):
    with pytest.raises(InvalidInput, match="workload"):
        w.Workload.from_json(text)


def test_a_window_has_one_name():
    """Keys of square windows are what they were before there were others: tables and artifacts hold them."""
    square = w.MaxPool2d(1, 8, 8, 3, 2, 1, 16)
    assert "width=8,kernel=3,stride=2,padding=1,channels=16" in square.key
    assert w.MaxPool2d(1, 8, 8, (3, 3), (2, 2), (1, 1, 1, 1), 16, dilation=(1, 1)) == square
    row = w.AvgPool2d(1, 8, 8, (1, 3), 1, 0, 16, dilation=(2, 1))
    assert row == w.AvgPool2d(1, 8, 8, (1, 3), 1, 0, 16)  # there is nothing between the taps of one row
    assert "kernel=(1, 3)" in row.key
    with pytest.raises(InvalidInput, match=r"\(1, 2, 3\) is not for rows and columns"):
        w.MaxPool2d(1, 8, 8, (1, 2, 3), 1, 0, 16)


def test_multiply_accumulates_are_counted():
    conv = w.Conv2d(2, 8, 8, 3, 2, 1, 16, 32, 4, "float", "float")
    assert kernel_for(conv).macs(conv) == 2 * 4 * 4 * 32 * 4 * 9
    row = w.Conv2d(1, 8, 8, (1, 3), (2, 1), (0, 1, 0, 1), 16, 32, 1, "float", "float")
    assert kernel_for(row).macs(row) == 4 * 8 * 32 * 16 * 3
    assert kernel_for(w.Add(1, 9)).macs(w.Add(1, 9)) == 0

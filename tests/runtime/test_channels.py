"""Any count of channels, of pixels in a row, and of channels in a group: exact, and the same in C."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import runtime
from runtime import testing
from runtime.kernels.base import kernel_for
from runtime.kernels.covering import Cover, Vectors, spans_groups, vectors_of
from runtime.kernels.epilogue import can_write_bits
from runtime.kernels.schedule import tiles
from runtime.kernels.weight_layouts import LayerWeights, planes_of, quads_of, taps_of
from runtime.lowering import lower
from runtime.target import cpu_of
from runtime.workload import BitserialConv2d, Conv2d
from search_spaces import precisions
from search_spaces.layers import QuantConv2d
from tests.runtime import references
from tests.runtime.harness import TARGETS, lane_constants, pack_images, trained
from tests.runtime.test_c import has_fma, run_c

COUNTS = st.one_of(st.integers(1, 70), st.sampled_from([4, 8, 17, 24, 33, 65]))


@given(st.integers(1, 200), st.integers(1, 40))
def test_pieces_cover_every_position(extent, step):
    assume(step <= extent)
    cover = Cover(extent, step)
    order = cover.order()
    assert len(order) == cover.padded < extent + step
    assert set(order) == set(range(extent))
    assert all(np.diff(piece).tolist() == [1] * (step - 1) for piece in order.reshape(-1, step))


@given(st.integers(1, 80), st.integers(1, 6))
def test_vectors_stay_within_their_group(size, groups):
    vectors = Vectors(size * groups, groups)
    order = vectors.order().reshape(vectors.shape)
    assert set(order.ravel()) == set(range(size * groups))
    assert (order // size == np.repeat(np.arange(groups), vectors.group.count)[:, None]).all()


def test_rows_that_nothing_divides_are_tiled_all_the_same():
    cpu = cpu_of("x86-64-v4")  # others have too few registers for tiles that divide 56
    assert tiles(cpu, 53, 4)[0].x > 1
    assert all(56 % tile.x == 0 for tile in tiles(cpu, 56, 4)[:3])  # where tiles divide, they stay


def drawn(values, code, image, weight):
    """Whole numbers, whose sums are exact in every order."""
    if code == "binary":
        return values.choice([-1, 1], image), values.choice([-1, 1], weight)
    lowest = 0 if code == "int8" else -9
    return values.integers(lowest, 10, image), values.integers(-9, 10, weight)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.sampled_from(["float", "int8", "binary"]),
    COUNTS,
    st.sampled_from([1, 1, 2, 5]),
    st.integers(1, 9),
    st.integers(1, 60),
    st.sampled_from(TARGETS),
    st.integers(0, 2**32 - 1),
)
def test_convolutions_of_any_count_are_exact(code, count, groups, depth, columns, target, seed):
    values = np.random.default_rng(seed)
    outputs, stride = count * groups, int(values.integers(1, 3))
    image, weight = (1, 3, columns, depth * groups), (outputs, depth, 3, 3)
    x, codes = drawn(values, code, image, weight)
    shape = (*image[:3], 3, stride, 1, depth * groups, outputs, groups)
    ones, bias = np.ones(outputs, np.float32), values.integers(-9, 10, outputs).astype(np.float32)
    weights = LayerWeights(codes, ones, ones, bias)
    if code == "binary":
        work = BitserialConv2d(*shape, "binary")
        data, pack = pack_images(x, groups), lambda w, width: planes_of(work).pack(work, w, width)
    elif code == "int8":
        work = Conv2d(*shape, "int8", "uint8")
        data, pack = x, lambda w, width: quads_of(work).pack(w, width, 1.0)
    else:
        work = Conv2d(*shape, "float", "float", residual=bool(values.integers(2)))
        data, pack = x, lambda w, width: taps_of(work).pack(w, width, 1.0)
    vectors = vectors_of(work)
    given = pack(weights.of(vectors.order()), vectors.width)
    pad = 1 if code == "binary" else 0
    expected = references.conv2d(x, codes, stride=stride, padding=1, groups=groups, pad_value=pad) + bias
    if work.residual:
        given["residual"] = values.integers(-9, 10, expected.shape)
        expected = expected + given["residual"]
    schedule = values.choice([str(tile) for tile in kernel_for(work).tiles(work, cpu_of(target))[:5]])
    found = testing.run_kernel(work, {"data": data, **given}, target, schedule=str(schedule))[0]
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_which_vectors_are_of_several_groups():
    small = {
        size: Conv2d(1, 8, 8, 3, 1, 1, 8 * size, 8 * size, 8, "float", "float") for size in (4, 5, 8, 16)
    }
    assert [size for size, work in small.items() if spans_groups(work)] == [4, 8]
    assert vectors_of(small[4]).shape == (2, 16)
    constants = lane_constants(vectors_of(small[8]), bias=np.arange(64))
    np.testing.assert_array_equal(constants["bias"].ravel(), np.arange(64))


@pytest.mark.parametrize(
    ("channels", "producer_groups", "reader_groups", "can"),
    [
        (65, 1, 1, True),
        (24, 1, 1, True),
        (12, 1, 1, False),
        (40, 2, 1, False),
        (48, 3, 1, True),
        (40, 1, 2, False),
    ],
)
def test_which_layers_write_bits(channels, producer_groups, reader_groups, can):
    assert can_write_bits(Vectors(channels, producer_groups), reader_groups) is can


def odd_network(precision):
    """Layers of counts that fill no vectors, after one another, the last ones in small groups."""
    p = precisions.get(precision)
    return nn.Sequential(
        nn.Conv2d(3, 33, 3, padding=1),
        nn.BatchNorm2d(33),
        QuantConv2d(33, 65, 3, p, padding=1),
        nn.BatchNorm2d(65),
        QuantConv2d(65, 65, 3, p, padding=1, groups=65),
        nn.BatchNorm2d(65),
        QuantConv2d(65, 40, 1, p),
        nn.BatchNorm2d(40),
        QuantConv2d(40, 40, 3, p, padding=1, groups=5),
        nn.BatchNorm2d(40),
        QuantConv2d(40, 20, 3, p, groups=5),
        nn.BatchNorm2d(20),
        QuantConv2d(20, 17, 1, p),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


@pytest.mark.parametrize("precision", ["float", "int8", "binary", "ternary", "dithered-3d"])
def test_networks_of_odd_counts_agree_with_torch_and_with_c(precision, tmp_path):
    torch.manual_seed(0)
    module, shape = odd_network(precision), (1, 3, 7, 11)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)  # of both signs, so that channels in the wrong place show
        nn.init.normal_(norm.bias)
    trained(module, shape)
    x = torch.randn(8, *shape[1:])
    found = runtime.compile(module, shape).run(x.numpy())
    with torch.no_grad():
        expected = module(x).numpy()
    # where a sign or a step falls on its other side a few differ
    spread = np.abs(expected).max()
    assert (np.abs(found - expected) < 0.03 * spread).mean() > (0.999 if precision == "float" else 0.9)
    if precision == "binary":
        writers = [w for w in lower(module, shape).workloads if getattr(w, "output", "") == "binary"]
        assert {33, 65} <= {getattr(w, "out_channels", 0) for w in writers}
    if shutil.which("gcc") is not None and has_fma():
        in_c = run_c(module, x.numpy()[:2], found.shape[1:], tmp_path / "c", "-march=native")
        np.testing.assert_array_equal(in_c, found[:2])

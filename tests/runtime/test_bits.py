"""Codes of 2 to 4 bits by planes, and ternary weights under bytes: exact on random shapes and CPUs."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import testing
from runtime.kernels import packing
from runtime.kernels.bitserial import sums
from runtime.kernels.convolution import Conv2dKernel
from runtime.kernels.covering import Vectors, vectors_of
from runtime.kernels.epilogue import can_write_bits
from runtime.kernels.lookups import lookup_table
from runtime.kernels.narrow_sums import split_steps
from runtime.kernels.weight_layouts import LayerWeights, planes_of
from runtime.lowering.thresholds import count_limits
from runtime.target import cpu_of
from runtime.workload import HIGHEST_BYTE, BitserialConv2d, Conv2d, LevelPack
from tests.runtime import references
from tests.runtime.harness import TARGETS, lane_constants, pack_images, run_kernel

SOME = settings(max_examples=20, deadline=None, derandomize=True)

LEAST_AND_OTHERS = [*TARGETS, *(["x86-64"] if len(TARGETS) > 1 else [])]
"""With the least CPU of the family, which looks nothing up in vectors."""


def levels(values, shape, bits):
    """Random odd numbers in -(2^n - 1) .. 2^n - 1."""
    return 2 * values.integers(0, 1 << bits, shape) - (1 << bits) + 1


@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
@SOME
def test_levels_are_sums_of_their_planes(bits, seed):
    found = levels(np.random.default_rng(seed), (3, 40), bits)
    planes = packing.level_planes(found, bits)
    assert set(np.unique(planes)) <= {-1, 1}
    np.testing.assert_array_equal(sum(plane << k for k, plane in enumerate(planes)), found)


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([1, 17, 33, 64]),
    st.sampled_from([3, 12, 16, 40]),
    st.sampled_from([(1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 2, 2)]),
    st.sampled_from(TARGETS),
    st.integers(0, 2**32 - 1),
)
@SOME
def test_products_of_levels_are_exact(x_bits, w_bits, depth, channels, window, target, seed):
    values, (kernel, stride, padding) = np.random.default_rng(seed), window
    x = levels(values, (2, 7, 5, depth), x_bits)
    weight = levels(values, (channels, depth, kernel, kernel), w_bits)
    vectors = Vectors(channels)
    workload = BitserialConv2d(
        2, 7, 5, kernel, stride, padding, depth, channels, 1, "binary", input_bits=x_bits, weight_bits=w_bits
    )
    shape = (vectors.count, sums(workload), vectors.width)
    powers = np.array([1 << (a + b) for a in range(x_bits) for b in range(w_bits)])
    found = run_kernel(
        workload,
        target,
        data=packing.pack_levels(x, x_bits),
        weight=packing.pack_bitserial_levels(weight[vectors.order()], w_bits, vectors.width),
        total=np.full(shape, depth * kernel * kernel),
        scale=np.broadcast_to(powers[:, None], shape),
        bias=np.zeros(vectors.shape),
    )
    highest = (1 << x_bits) - 1  # bits of zero
    expected = references.conv2d(x, weight, stride=stride, padding=padding, pad_value=highest)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@given(
    st.integers(1, 3),
    st.one_of(st.integers(1, 16), st.integers(17, 100)),
    st.sampled_from([1, 1, 2]),
    st.sampled_from(LEAST_AND_OTHERS),
    st.integers(0, 2**32 - 1),
)
@settings(SOME, max_examples=12)
def test_digits_of_levels_are_packed_on_every_cpu(bits, depth, groups, target, seed):
    values = np.random.default_rng(seed)
    x = values.standard_normal((1, 2, 3, groups, depth), np.float32)
    thresholds = np.sort(values.standard_normal((1 << bits) - 1, np.float32))
    digits = values.integers(0, 2, (bits, 1 << bits))  # of each level
    found = run_kernel(
        LevelPack(1, 2, 3, groups * depth, groups, bits),
        target,
        data=x,
        threshold=thresholds,
        digit=np.pad(255 * digits, ((0, 0), (0, 16 - (1 << bits)))),
    )
    which = (x[..., None] >= thresholds).sum(axis=-1)
    expected = [packing.pack_codes(own[which], 1) for own in digits]
    np.testing.assert_array_equal(found, np.stack(expected, axis=-1))


@given(
    st.sampled_from(["uint8", "int8"]),
    st.sampled_from([1, 3, 4, 17, 32]),
    st.sampled_from([3, 8, 16, 48]),
    st.sampled_from([1, 1, 2, 3]),
    st.sampled_from([(1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 2, 2)]),
    st.sampled_from(TARGETS),
    st.integers(0, 2**32 - 1),
)
@SOME
def test_ternary_weights_under_bytes_are_exact(code, depth, channels, groups, window, target, seed):
    values, (kernel, stride, padding) = np.random.default_rng(seed), window
    zero = {"zero_point": values.integers(0, 256, 1)} if code == "int8" else {}
    x = values.integers(0, 256, (2, 7, 5, depth * groups))
    weight = values.choice([-1, 0, 1], (channels * groups, depth, kernel, kernel))
    workload = Conv2d(
        2, 7, 5, kernel, stride, padding, depth * groups, channels * groups, groups, "ternary", code
    )
    ones, zeros = np.ones(channels * groups), np.zeros(channels * groups)
    vectors = vectors_of(workload)
    arranged = weight[vectors.order()]
    found = run_kernel(
        workload,
        target,
        data=x,
        weight=packing.pack_ternary_quads(arranged, vectors.width),
        offset=-arranged.sum(axis=(1, 2, 3)),
        **zero,
        **lane_constants(vectors, scale=ones, bias=zeros),
    )
    meant = x - zero.get("zero_point", 0)
    expected = references.conv2d(meant, weight, stride=stride, padding=padding, groups=groups)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("layout", "code", "greatest"),
    [("ternary", "uint8", 1), ("int8", "uint7", 127)],
    ids=["ternary", "int8-7"],
)
def test_the_largest_sums_that_16_bits_hold_are_exact(layout, code, greatest, target):
    depth, channels = 520, 16  # 130 quads: 65 of them are one too many for 16 bits
    x = np.full((1, 2, 2, depth), HIGHEST_BYTE[code])
    x[0, 1, 1, ::3] = 0
    signs = np.where(np.arange(channels) % 2, -1, 1)
    weight = np.tile((greatest * signs)[:, None, None, None], (1, depth, 1, 1))
    workload = Conv2d(1, 2, 2, 1, 1, 0, depth, channels, 1, layout, code)
    vectors = vectors_of(workload)
    pack = packing.pack_ternary_quads if layout == "ternary" else packing.pack_quads
    found = run_kernel(
        workload,
        target,
        data=x,
        weight=pack(weight[vectors.order()], vectors.width),
        offset=-weight[vectors.order()].sum(axis=(1, 2, 3)),
        **lane_constants(vectors, scale=np.ones(channels), bias=np.zeros(channels)),
    )
    expected = references.conv2d(x, weight, stride=1, padding=0)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("target", [name for name in ("x86-64-v3", "alderlake") if name in TARGETS])
@pytest.mark.parametrize(("layout", "side"), [("ternary", 7), ("dorefa8", 7), ("int8", 14)])
def test_tiles_of_bytes_go_on_in_the_next_row(layout, side, target):
    workload = Conv2d(1, side, side, 3, 1, 1, 64, 16, 1, layout, "uint8")
    tile = next((t for t in Conv2dKernel().tiles(workload, cpu_of(target)) if t.is_flat), None)
    if layout != "ternary" and target == "x86-64-v3":
        assert tile is None  # bytes are widened by rows there
        return
    values = np.random.default_rng(side)
    x = values.integers(0, 256, (1, side, side, 64))
    stored = values.integers(-1, 2, (16, 64, 3, 3))
    weight = 2 * stored + 1 if layout == "dorefa8" else stored
    pack = packing.pack_ternary_quads if layout == "ternary" else packing.pack_quads
    vectors = vectors_of(workload)
    given = {
        "data": x,
        "weight": pack(stored[vectors.order()], vectors.width),
        "offset": -weight.sum(axis=(1, 2, 3)),
        **lane_constants(vectors, scale=np.ones(16), bias=np.zeros(16)),
    }
    expected = references.conv2d(x, weight, stride=1, padding=1)
    for threads in (1, 2):
        (found,) = testing.run_kernel(workload, given, target, threads, str(tile))
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("count", [1, 4, 5, 16, 33])
def test_ternary_quads_hold_every_code(count):
    weight = np.random.default_rng(count).choice([-1, 0, 1], (4, count, 3, 3))
    packed = packing.pack_ternary_quads(weight, 4)  # (1, words, 4)
    quads = packing.pack_quads(weight, 4)  # (1, 3, 3, quads, 4, 4)
    for t, quad in enumerate(quads.reshape(-1, 4, 4)):
        codes = (packed[0, t // 4, :, None] >> np.uint32(2 * (t % 4)) >> np.arange(0, 32, 8)) & 3
        np.testing.assert_array_equal(np.where(codes == 3, -1, codes), quad)


def drawn_signs(values, shape):
    """Random signs, or all of one: the largest counts there are."""
    return values.choice([-1, 1], shape, p=values.choice([(0.5, 0.5), (0, 1), (1, 0)]))


@given(
    st.sampled_from(["binary", "symmetric", "two scales"]),
    st.sampled_from([3, 16, 64, 100, 512]),
    st.sampled_from([12, 16, 32, 48, 64]),
    st.sampled_from([1, 1, 2]),
    st.sampled_from([(1, 1, 0), (3, 1, 1), (3, 2, 1)]),
    st.sampled_from([name for name in TARGETS if name != "native"] or TARGETS),
    st.integers(0, 2**32 - 1),
)
@settings(SOME, max_examples=12)
def test_counts_are_exact_however_bits_are_counted(code, depth, channels, groups, window, target, seed):
    values, (kernel, stride, padding) = np.random.default_rng(seed), window
    x = drawn_signs(values, (1, 5, 4, depth * groups))
    weight = drawn_signs(values, (channels * groups, depth, kernel, kernel))
    if code != "binary":
        weight = weight * (values.random(weight.shape) < values.choice([0.5, 1]))
    count, ones = channels * groups, np.ones(channels * groups, np.float32)
    layout, is_symmetric = "binary" if code == "binary" else "ternary", code == "symmetric"
    shape = (1, 5, 4, kernel, stride, padding, depth * groups, count, groups)
    workload = BitserialConv2d(*shape, layout, is_symmetric)
    vectors = vectors_of(workload)
    weights = LayerWeights(weight, ones, ones, 0 * ones).of(vectors.order())
    packed = planes_of(workload).pack(workload, weights, vectors.width)
    expected = references.conv2d(x, weight, stride=stride, padding=padding, groups=groups, pad_value=1)
    found = run_kernel(workload, target, data=pack_images(x, groups), **packed)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    if code != "two scales" and can_write_bits(vectors, groups):
        # a bit is set where the product is below zero
        comparing = replace(workload, output="binary", output_groups=groups)
        limits = count_limits(comparing, packed, None)
        bits = run_kernel(comparing, target, data=pack_images(x, groups), **limits)
        words = pack_images(np.where(expected < 0, -1, 1), groups)
        np.testing.assert_array_equal(bits.reshape(-1).view(words.dtype), words.reshape(-1))


@pytest.mark.parametrize(
    ("extents", "most", "outer", "inner"),
    [
        ((3, 3, 2), 31, (1,), (3, 3, 2)),
        ((3, 24), 31, (3,), (1, 24)),
        ((3, 96), 31, (3, 4), (24,)),
        ((3, 3, 7), 31, (3,), (1, 3, 7)),
        ((5, 37), 31, (5, 37), (1,)),
        ((1, 64), 31, (1, 4), (16,)),
    ],
)
def test_narrow_sums_take_as_many_steps_as_they_hold(extents, most, outer, inner):
    split = split_steps(extents, most)
    assert (split.outer, split.inner) == (outer, inner)
    places = {split.index(o, i) for o in np.ndindex(*split.outer) for i in np.ndindex(*split.inner)}
    assert places == set(np.ndindex(*extents))


def test_what_is_looked_up_is_what_is_counted():
    for kind, operation in (("xor", np.bitwise_xor), ("and", np.bitwise_and)):
        table = lookup_table(kind).reshape(256, 2, 16)
        for byte, weight in product(range(256), range(256)):
            counted = table[byte, 0, weight & 15] + table[byte, 1, weight >> 4]
            assert counted == int(operation(byte, weight)).bit_count()

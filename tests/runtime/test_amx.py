"""Kernels on AMX's tile registers: to the bit as those without, and never run where they may not be."""

import logging
import platform

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import runtime
from runtime import target, tile_permission
from runtime.codegen.kernel_functions import kernel_function
from runtime.codegen.objects import build
from runtime.cpu import AMX
from runtime.formats import predict
from runtime.kernels.amx_forms import ROWS, amx_forms, pixel_tiles
from runtime.kernels.base import kernel_for
from runtime.testing import run_kernel
from runtime.workload import Conv2d, Dense, Window
from search_spaces import BitnasError, precisions
from search_spaces.layers import QuantConv2d
from tests.runtime.harness import trained

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is of x86 CPUs")
NAMED = "sapphirerapids"
UNKNOWN_FEATURE = 63  # of the system's, so that it refuses
needs_amx = pytest.mark.skipif(
    not target.host_flags() >= AMX or not tile_permission.may_use_tiles(),
    reason="this CPU has no AMX, or its system does not grant it",
)


@pytest.fixture
def refuse(monkeypatch):
    """To be called: the system refuses from then on what it is asked for."""
    caches = tile_permission.may_use_tiles, target.cpu_of

    def forget():
        for cache in caches:
            cache.cache_clear()

    def begin():
        monkeypatch.setattr(tile_permission, "XFEATURE_XTILEDATA", UNKNOWN_FEATURE)
        monkeypatch.setattr(predict, "ASK_FOR_TILES", (*predict.ASK_FOR_TILES[:2], UNKNOWN_FEATURE))
        forget()

    yield begin
    forget()


ENDINGS = (
    {},
    {"output": "int8", "residual": True, "also_float": True},
    {"output": "binary", "threshold": "channel"},
    {"output": "int8", "arithmetic": "integer", "relu": True},
    {"output": "int8", "arithmetic": "integer", "activation": "relu6"},
    {"activation": "silu"},
)


@st.composite
def workloads(draw):
    """Convolutions of bytes of which most fit tiles: windows, groups, quads and endings of all kinds."""

    def one_of(*choices):
        return draw(st.sampled_from(choices))

    image = draw(st.integers(1, 2)), draw(st.integers(4, 40)), draw(st.integers(4, 40))
    window = one_of(1, 2, 3, 5, (1, 3), (3, 2)), one_of(1, 1, 2, 3, (1, 2)), one_of(0, 1, 2, (0, 1, 2, 0))
    groups, depth = one_of(1, 1, 2), one_of(32, 36, 40, 61, 64, 96, 128)
    channels = groups * depth, groups * 16 * draw(st.integers(1, 4)), groups
    codes = one_of("int8", "int8", "ternary", "dorefa8"), one_of("uint8", "int8", "int7")
    return Conv2d(*image, *window, *channels, *codes, dilation=one_of(1, 1, 2, (1, 2)), **one_of(*ENDINGS))


def arguments(workload, seed=0):
    """Random numbers for all that a kernel reads, of the size that they have in networks."""
    random = np.random.default_rng(seed)

    def numbers(buffer):
        if buffer.name in ("zero_point", "output_zero", "shift"):
            return np.full(buffer.shape, 30, buffer.dtype)
        if buffer.name == "output_most":
            return np.full(buffer.shape, 200, buffer.dtype)
        if buffer.dtype == "int8":
            return random.integers(-127, 128, buffer.shape)
        if np.dtype(buffer.dtype).kind in "iu":
            size = np.dtype(buffer.dtype).itemsize
            return random.integers(0, 256 if size == 1 else 2**16, buffer.shape)
        return random.standard_normal(buffer.shape)

    read = (b for b in kernel_for(workload).buffers(workload) if b.role in ("input", "constant"))
    return {b.name: numbers(b).astype(b.dtype) for b in read}


def schedules(workload):
    """Those of the named CPU: with AMX, and without."""
    found = [str(tile) for tile in kernel_for(workload).tiles(workload, target.cpu_of(NAMED))]
    return [t for t in found if t.startswith("amx")], [t for t in found if not t.startswith("amx")]


@needs_amx
@settings(max_examples=6, deadline=None, derandomize=True)
@given(workloads(), st.data())
def test_tiles_give_the_bits_of_vectors(workload, data):
    with_amx, without = schedules(workload)
    assume(with_amx)  # else too little of each tile would be filled
    given_numbers = arguments(workload)
    expected = run_kernel(workload, given_numbers, NAMED, schedule=without[0])
    assert any(output.any() for output in expected)
    schedule, threads = data.draw(st.sampled_from(with_amx)), data.draw(st.sampled_from((3, 1)))
    found = run_kernel(workload, given_numbers, NAMED, threads, schedule)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)


AT_ONCE = Conv2d(1, 8, 8, 1, 1, 0, 32, 32, 1, "ternary", "uint8")
"""All of its weights are decoded in one step of one block."""


@needs_amx
def test_weights_that_are_decoded_at_once():
    with_amx, without = schedules(AT_ONCE)
    numbers = arguments(AT_ONCE)
    expected = run_kernel(AT_ONCE, numbers, NAMED, schedule=without[0])
    for schedule in with_amx:
        np.testing.assert_array_equal(run_kernel(AT_ONCE, numbers, NAMED, schedule=schedule), expected)


@pytest.mark.parametrize("workload", [Conv2d(1, 7, 7, 3, 1, 1, 64, 32, 1, "int8", "int8"), AT_ONCE])
def test_code_multiplies_tiles_and_gives_them_back(workload):
    (first, *_), (other, *_) = schedules(workload)
    for schedule, has_tiles in ((first, True), (other, False)):
        function = kernel_function(workload, NAMED, workload.symbol, schedule)
        code = build({workload.symbol: function}, NAMED).mod.inspect_source("asm")
        for instruction in ("ldtilecfg", "tileloadd", "tdpbusd", "tilestored", "tilerelease"):
            assert (instruction in code) == has_tiles, instruction


def test_dense_layers_of_many_images_use_tiles_and_others_do_not():
    cpu = target.cpu_of(NAMED)
    for batch, has_tiles in ((16, True), (1, False)):
        dense = Dense(batch, 256, 64, "int8", "uint8")
        assert any(tile.flags for tile in kernel_for(dense).tiles(dense, cpu)) == has_tiles


@pytest.mark.parametrize(
    ("rows", "columns", "border"), [(7, 7, 2), (9, 56, 2), (1, 53, 0), (5, 17, 1), (3, 40, 4), (1, 1, 0)]
)
def test_tiles_hold_all_pixels_and_no_other(rows, columns, border):
    tiles = pixel_tiles(Window(), columns + border, (rows, columns))
    assert tiles.size <= ROWS
    held = set()
    for tile in range(tiles.count):
        line, first = (int(place) for place in tiles.start(tile))
        assert 0 <= line < tiles.lines
        assert 0 <= first <= tiles.length - tiles.size
        for pixel in range(tiles.size):
            y, x = (int(place) for place in tiles.place(tile, pixel))
            assert y * tiles.pitch + x == line * tiles.pitch + first + pixel
            held.add((y, x))
    wanted = {(y, x) for y in range(rows) for x in range(columns)}
    assert wanted <= held
    assert tiles.has_gaps or wanted == held


def test_other_cpus_have_no_tiles():
    work = Conv2d(1, 8, 8, 3, 1, 1, 64, 64, 1, "int8", "uint8")
    for name in ("x86-64-v4", "icelake-server", "aarch64"):
        assert not amx_forms(work, target.cpu_of(name), 10, (8, 8))


def test_only_code_with_tiles_needs_them():
    """A network of floats for such a CPU runs where the system grants none."""
    network = runtime.compile(nn.Conv2d(16, 16, 3).eval(), (1, 16, 8, 8), target=NAMED)
    assert not AMX & set(network.info.flags)


@needs_amx
def test_what_the_system_refuses_is_not_used_and_told_once(tmp_path, refuse, caplog):
    shape = (2, 64, 8, 8)
    module = trained(nn.Sequential(QuantConv2d(64, 32, 3, precisions.get("int8"))), shape)
    images = np.random.default_rng(0).standard_normal(shape, np.float32)
    network = runtime.compile(module, shape)
    assert set(network.info.flags) >= AMX
    network.save(tmp_path / "artifact")
    expected = runtime.load(tmp_path / "artifact").run(images)

    refuse()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(BitnasError, match="this CPU lacks amx_int8, amx_tile"):
                runtime.load(tmp_path / "artifact")
        without = runtime.compile(module, shape)
    assert predict.missing_flags({*AMX, "avx2"}) == sorted(AMX)
    assert not AMX & set(without.info.flags)
    np.testing.assert_array_equal(without.run(images), expected)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("the system does not grant AMX (")

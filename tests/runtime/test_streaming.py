"""Float weights too many for the caches: what is asked for ahead, and sums that wait, change no number."""

import numpy as np
import pytest

from runtime import testing
from runtime.kernels.base import kernel_for
from runtime.kernels.covering import Cover, Grid, Vectors, vectors_of
from runtime.kernels.schedule import Tile, tiles
from runtime.kernels.weight_layouts import LayerWeights, taps_of
from runtime.target import Cpu, cpu_of
from runtime.workload import Conv2d
from tests.runtime import references
from tests.runtime.harness import TARGETS

ROW_BY_ROW = Conv2d(2, 7, 5, 3, 1, 1, 490, 162, 1, "float", "float", residual=True)
AT_ONCE = Conv2d(1, 19, 16, 1, 2, 0, 300, 162, 1, "float", "float")
AVX2 = Cpu("x86_64", frozenset({"avx2"}))


def summed(work, target, threads):
    """What a kernel computes of whole numbers, whose sums are exact in every order, and what it should."""
    values = np.random.default_rng(0)
    outputs, size = work.out_channels, work.window.kernel_height
    x = values.integers(-9, 10, (work.batch, work.height, work.width, work.in_channels))
    codes = values.integers(-9, 10, (outputs, work.in_channels, size, size))
    bias = values.integers(-9, 10, outputs).astype(np.float32)
    vectors, ones = vectors_of(work), np.ones(outputs, np.float32)
    given = taps_of(work).pack(LayerWeights(codes, ones, ones, bias).of(vectors.order()), vectors.width, 1.0)
    expected = references.conv2d(x, codes, stride=work.window.stride_x, padding=work.window.top) + bias
    if work.residual:
        given["residual"] = values.integers(-9, 10, expected.shape)
        expected = expected + given["residual"]
    found = testing.run_kernel(work, {"data": x, **given}, target, threads)[0]
    return found.reshape(expected.shape), expected


@pytest.mark.skipif("x86-64-v3" not in TARGETS, reason="this CPU runs no code for AVX2")
@pytest.mark.parametrize("target, threads", [("native", 1), ("x86-64-v3", 2)])
@pytest.mark.parametrize("work, waits", [(ROW_BY_ROW, True), (AT_ONCE, False)])
def test_sums_are_exact(work, waits, target, threads):
    code = str(kernel_for(work).prim_func(work, cpu_of(target)))
    assert "llvm.prefetch" in code
    assert ("waiting" in code) == waits
    found, expected = summed(work, target, threads)
    np.testing.assert_array_equal(found, expected)


def test_few_weights_and_other_cpus_ask_for_nothing():
    few = Conv2d(1, 9, 8, 1, 1, 0, 30, 70, 1, "float", "float")
    for work, cpu in ((few, AVX2), (AT_ONCE, Cpu("aarch64", frozenset({"asimd"})))):
        assert "prefetch" not in str(kernel_for(work).prim_func(work, cpu))


def test_few_weights_serve_a_tile_before_the_next_comes():
    def goes_by_rows(work, architecture="x86_64"):
        code = str(kernel_for(work).prim_func(work, Cpu(architecture, frozenset({"avx2"}))))
        return code.index("for x_0") < code.index("for o_0")

    few = Conv2d(1, 9, 8, 1, 1, 0, 16, 96, 1, "float", "float")
    assert goes_by_rows(few)
    assert not goes_by_rows(few, "aarch64")
    assert not goes_by_rows(AT_ONCE)


def test_flat_tiles_come_first_where_they_compute_less_twice():
    assert str(tiles(AVX2, 7, 4, lines=7, steps=512)[0]) == "5x1flat"  # 50 pixels for 49, not 56
    assert str(tiles(AVX2, 12, 4, lines=12, steps=512)[0]) == "6x1"
    assert str(tiles(AVX2, 14, 4, lines=14, steps=3)[0]) == "5x1"  # addresses every third step cost more
    assert not any(tile.is_flat for tile in tiles(AVX2, 7, 4))
    assert Tile(5, 1) != Tile(5, 1, is_flat=True)


def test_a_flat_grid_goes_on_in_the_next_line():
    grid = Grid(1, 1, Cover(21, 5), Vectors(16), line=7)
    assert grid.output == (1, 3, 7, 16)
    pixels = [tuple(int(each) for each in grid.pixel(0, x)) for x in range(20)]
    assert pixels == [divmod(x, 7) for x in range(20)]

"""Depthwise convolutions that copy no image for its border: every tap that lies on it, and no other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.cpu import Cpu
from runtime.kernels.base import kernel_for
from runtime.kernels.covering import Cover
from runtime.kernels.edges import Border
from runtime.workload import DepthwiseConv2d, Window

AVX2 = Cpu("x86_64", frozenset({"avx2"}))
SIZES = st.integers(1, 4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(SIZES, st.integers(1, 3), st.integers(1, 2), st.integers(0, 3), st.integers(1, 20), st.integers(1, 6))
def test_taps_of_a_border(taps, stride, gap, padding, size, step):
    window = Window.of(taps, stride, min(padding, taps * gap), gap)
    outputs = window.outputs(size, size)[0]
    if outputs < 1:
        return
    border = Border(window, size, size, Cover(outputs, min(step, outputs)))
    left, right = border.touching
    for y in range(outputs):
        places = y * stride - window.top + np.arange(taps) * window.dilation_y
        on_image = np.flatnonzero((places >= 0) & (places < size))
        first, count = (int(each) for each in border.rows(y))
        assert list(range(first, first + count)) == on_image.tolist()
        for x in np.flatnonzero(border.tiles.order() == y):
            found = [bool(border.is_on(int(x), kx)) for kx in range(taps)]
            assert found == [kx in on_image for kx in range(taps)]
            assert all(found) or x // border.tiles.step in left + right
    assert sorted({*left, *right}) == left + right


def test_an_image_is_copied_where_not_much_of_it_lies_within():
    def copies(kernel, cpu=AVX2):
        work = DepthwiseConv2d(1, 28, 28, kernel, 1, kernel // 2, 16, "float", "float")
        return "source0" in str(kernel_for(work).prim_func(work, cpu))

    assert [copies(3), copies(3, Cpu("aarch64", frozenset({"asimd"}))), copies(23)] == [False, True, True]

"""Winograd's convolutions of bytes: to the bit as those of windows, also at the ends of ranges."""

import platform

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import target
from runtime.kernels.base import kernel_for
from runtime.testing import run_kernel
from runtime.workload import HIGHEST_BYTE, Conv2d
from tests.runtime.test_amx import ENDINGS, arguments

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="it is for x86 CPUs")
TARGETS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


def schedules(workload, name):
    """Winograd's, and others."""
    found = [str(tile) for tile in kernel_for(workload).tiles(workload, target.cpu_of(name))]
    ours = [tile for tile in found if tile.startswith("winograd")]
    return ours, [tile for tile in found if tile not in ours]


def check(workload, name, numbers, schedule=0, threads=1):
    ours, others = schedules(workload, name)
    expected = run_kernel(workload, numbers, name, schedule=others[0])
    found = run_kernel(workload, numbers, name, threads, ours[schedule % len(ours)])
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)
    assert any(output.any() for output in expected)


@st.composite
def workloads(draw):
    """3x3 convolutions of bytes: any rows, columns, channels and endings."""

    def one_of(*choices):
        return draw(st.sampled_from(choices))

    image = draw(st.integers(1, 2)), draw(st.integers(14, 20)), draw(st.integers(14, 37))
    channels = one_of(8, 16, 30, 37, 64, 160), draw(st.integers(16, 70)), 1
    codes = one_of("int8", "dorefa8"), one_of("uint8", "int8", "uint7")
    return Conv2d(*image, 3, 1, one_of(0, 1, (0, 1, 2, 0)), *channels, *codes, **one_of(*ENDINGS))


@settings(max_examples=2, deadline=None, derandomize=True)
@given(workloads(), st.sampled_from(TARGETS), st.integers(0, 2), st.sampled_from((1, 3)))
def test_it_gives_the_bits_of_windows(workload, name, schedule, threads):
    if not set(target.required_flags(name)) <= target.host_flags():
        return
    numbers = arguments(workload)
    numbers["data"] = numbers["data"] & HIGHEST_BYTE[workload.input]
    check(workload, name, numbers, schedule, threads)


@pytest.mark.skipif("avx2" not in target.host_flags(), reason="this CPU has no AVX2")
def test_the_greatest_sums_fit():
    """Each weight is +-127 and each input 0 or 255, as they make the sums on the way greatest."""
    work = Conv2d(1, 8, 8, 3, 1, 1, 548, 16, 1, "int8", "uint8")
    numbers = arguments(work)
    numbers["weight"] = np.where(numbers["weight"] > 0, 127, -127).astype(np.int8)
    numbers["data"] = np.where(numbers["data"] > 127, 255, 0).astype(np.uint8)
    signs = np.array([1, -1, 1])
    numbers["weight"][:, :, :] = (127 * signs[:, None] * signs)[None, :, :, None, None, None]
    check(work, "x86-64-v3", numbers)
    assert not schedules(Conv2d(1, 8, 8, 3, 1, 1, 552, 16, 1, "int8", "uint8"), "x86-64-v3")[0]

"""Targets: what is no target is refused, and code that this CPU cannot run is never called."""

import platform

import numpy as np
import pytest
from torch import nn

import runtime
from runtime import target
from runtime.cpu import AMX
from search_spaces import BitnasError, InvalidInput

SHAPE = (1, 3, 8, 8)
is_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86 CPUs")


def convolution():
    return nn.Conv2d(3, 16, 3).eval()


@is_x86
@pytest.mark.parametrize("name", ["bdver2", "diamondrapids"])
def test_code_for_a_cpu_with_more_is_compiled_and_saved_but_not_run(name, tmp_path):
    """bdver2 has XOP and FMA4, which no newer CPU has; the other has APX."""
    if not target.missing_flags(target.required_flags(name)):
        pytest.skip(f"this CPU has all that {name} has")
    module = convolution()
    network = runtime.compile(module, SHAPE, target=name)
    with pytest.raises(BitnasError, match=f"target: the network is for {name} and this CPU lacks"):
        network.run(np.zeros(SHAPE, np.float32))
    network.save(tmp_path / "artifact")  # its sample comes from the same network for this CPU
    with pytest.raises(BitnasError, match="this CPU lacks"):
        runtime.load(tmp_path / "artifact")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("i686", "'i686' is a CPU of 32 bits", marks=is_x86),
        pytest.param("pentium4", "'pentium4' is a CPU of 32 bits", marks=is_x86),
        pytest.param("x86-64+dotprod", "'x86-64' has no feature 'dotprod' to name", marks=is_x86),
        ("armv7+dotprod", "'armv7' has no feature 'dotprod' to name; choose among neon"),
        ("armv7+sve", "'armv7' has no feature 'sve'"),
        ("armv7/cortex-m4", "'cortex-m4' runs no Linux"),
        ("foo/haswell", "unknown board 'foo'; choose among aarch64, armv7"),
        ("", "is no name"),
        (None, "None is no name"),
        (5, "5 is no name"),
    ],
)
def test_what_is_no_target_is_refused(name, told):
    with pytest.raises(InvalidInput, match=told):
        runtime.compile(convolution(), SHAPE, target=name)


@pytest.mark.parametrize("threads", [0, 257, 2.0, "2", None])
def test_what_is_no_number_of_threads_is_refused(threads):
    with pytest.raises(InvalidInput, match="is not a number of threads"):
        runtime.compile(convolution(), SHAPE, threads=threads)


@pytest.mark.parametrize("schedule", ["3", "0x0", "1000x1000"])
def test_what_is_no_schedule_is_refused(schedule):
    (workload, *_) = [w for w in runtime.workloads(convolution(), SHAPE) if w.family == "conv2d"]
    with pytest.raises(InvalidInput, match=f"'{schedule}' is no schedule of conv2d"):
        runtime.compile(convolution(), SHAPE, schedules={workload.key: schedule})


def test_every_flag_of_a_family_is_known_by_one_name():
    assert len(set(target.X86_FEATURES.values())) == len(target.X86_FEATURES)
    assert AMX <= target.INSTRUCTION_SETS
    assert not set(target.required_flags("native")) & AMX


@pytest.mark.skipif(platform.machine() != "x86_64", reason="LLVM's names of x86 CPUs")
def test_native_is_what_the_system_tells_whatever_llvm_calls_it(monkeypatch):
    """A virtual machine may hide the model of its CPU, or a part of what that has."""
    shown = frozenset({"ssse3", "sse4_2", "avx", "avx2", "fma", "avx_vnni", "popcnt"})
    with monkeypatch.context() as patch:
        patch.setattr(target, "host_flags", lambda: shown)
        target.resolve_target.cache_clear()
        features = target._llvm_features(dict(target.resolve_target("native").attrs))
    target.resolve_target.cache_clear()
    assert {flag for name, flag in target.X86_FEATURES.items() if name in features} == shown

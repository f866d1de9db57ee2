"""Kernels are compiled once: what is found in the cache is right, and a cache that is none does no harm."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from runtime import compile as compiled
from runtime.codegen import objects
from runtime.codegen.objects import KERNELS, object_file
from runtime.codegen.timed_kernels import link_schedules
from runtime.workload import Relu

IMAGE = (1, 3, 6, 6)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache that is empty."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / KERNELS


@pytest.fixture
def nothing_compiles(monkeypatch):
    """Switches the compiler off, when called."""

    def refuse(functions, target):
        raise AssertionError(f"{list(functions)} are compiled")

    return lambda: monkeypatch.setattr("runtime.codegen.objects.build", refuse)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2)).eval()


def require_right(model, network):
    """What the network gives is what torch gives."""
    images = np.random.default_rng(0).standard_normal(IMAGE, np.float32)
    expected = model(torch.from_numpy(images)).detach().numpy()
    assert np.abs(network.run(images) - expected).max() < 1e-5


def test_what_was_compiled_is_taken_from_the_cache(cache, model, nothing_compiles):
    first = compiled(model, IMAGE)
    nothing_compiles()
    second = compiled(model, IMAGE)
    require_right(model, second)
    assert second.library.read_bytes() == first.library.read_bytes()
    assert cache.stat().st_mode & 0o777 == 0o700


def test_what_was_timed_is_what_a_network_is_made_of(cache, model, nothing_compiles, tmp_path, monkeypatch):
    """The network's own function is all that is left to compile."""
    from runtime import workloads

    work = list(dict.fromkeys(workloads(model, IMAGE)))
    link_schedules(work, "native", 1, tmp_path / "timed.so")
    made, build = [], objects.build

    def noting(functions, target):
        made.extend(functions)
        return build(functions, target)

    monkeypatch.setattr("runtime.codegen.objects.build", noting)
    require_right(model, compiled(model, IMAGE))
    assert made == ["network"]


def test_another_process_finds_it(cache, model, nothing_compiles):
    script = (
        "import sys; from pathlib import Path; from runtime.workload import Relu; "
        "from runtime.codegen.timed_kernels import link_schedules; "
        "link_schedules([Relu(1, 48)], 'native', 1, Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", script, str(cache.parent / "there.so")], check=True)
    nothing_compiles()
    link_schedules([Relu(1, 48)], "native", 1, cache.parent / "here.so")


def test_other_code_targets_and_passes_have_files_of_their_own(cache, tmp_path, monkeypatch):
    from runtime.codegen.kernel_functions import kernel_function

    def name(size=48, target="native", threads=1):
        function = kernel_function(Relu(1, size), target, "relu", "", threads)
        return object_file({"relu": function}, target, tmp_path).name

    names = [name(), name(64), name(target="x86-64-v2"), name(threads=2)]
    monkeypatch.setattr(objects, "_sources", lambda others: "others")
    names.append(name())
    assert len(set(names)) == 5
    assert name() == names[-1]


def test_sources_of_kernels_are_a_part_of_the_digest(tmp_path):
    """Operators of ours are lowered when a function is compiled: its own form does not tell how."""
    own, copy = tmp_path / "kernel.py", tmp_path / "other.py"
    own.write_text("one", encoding="utf-8")
    copy.write_text("other", encoding="utf-8")
    assert len({objects._sources(()), objects._sources((str(own),)), objects._sources((str(copy),))}) == 3
    kernels = Path(objects.__file__).parents[1] / "kernels"
    assert str(kernels / "convolution.py") in objects._modules_of_kernels()


def test_code_that_differs_in_one_constant_has_a_file_of_its_own(cache, tmp_path):
    from tvm import te, tirx

    def name(factor):
        numbers = te.placeholder((8,), "float32", name="numbers")
        scaled = te.compute((8,), lambda i: numbers[i] * tirx.const(factor, "float32"), name="scaled")
        function = te.create_prim_func([numbers, scaled]).with_attr("global_symbol", "scale")
        return object_file({"scale": function}, "native", tmp_path).name

    assert len({name(1.0), name(1.0000001), name(-1.0)}) == 3
    assert name(1.0) == name(1.0)


def damage(entry, kind):
    content = bytearray(entry.read_bytes())
    if kind == "a bit":
        content[len(content) // 2] ^= 1
    entry.write_bytes({"a bit": bytes(content), "cut": bytes(content[:-1])}.get(kind, kind.encode()))


@pytest.mark.parametrize("kind", ["", "no code", "\n", "a bit", "cut"])
def test_a_damaged_entry_is_replaced(cache, model, kind):
    compiled(model, IMAGE)
    before = {entry: entry.read_bytes() for entry in cache.iterdir()}
    for entry in before:
        damage(entry, kind)
    require_right(model, compiled(model, IMAGE))
    assert {entry: entry.read_bytes() for entry in cache.iterdir()} == before


def test_a_full_disk_does_no_harm(cache, model, monkeypatch):
    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(objects.tempfile, "mkstemp", full)
    require_right(model, compiled(model, IMAGE))
    assert list(cache.iterdir()) == []


def spoil(kind, folder):
    """Make the place of the cache one that is not to be used."""
    folder.parent.mkdir()
    if kind == "a file":
        folder.write_text("something else", encoding="utf-8")
    else:
        folder.mkdir()
        folder.chmod(0o777)


@pytest.mark.parametrize("kind", ["a file", "open to others"])
def test_without_a_cache_of_its_own_everything_is_compiled(cache, model, kind):
    spoil(kind, cache)
    require_right(model, compiled(model, IMAGE))
    assert cache.is_file() or not list(cache.iterdir())


def test_what_was_used_longest_ago_goes_first(cache, monkeypatch):
    cache.mkdir(parents=True)
    for age in range(10):
        file = cache / f"{age}"
        file.write_bytes(bytes(100))
        os.utime(file, (1e9 - age, 1e9 - age))
    (cache / "dangling").symlink_to("nothing")  # of few bytes, wherever the folder is
    os.utime(cache / "dangling", (2e9, 2e9), follow_symlinks=False)
    for most, left in ((2000, 10), (999, 4)):
        monkeypatch.setattr(objects, "CACHE_BYTES", most)
        objects._make_room(cache)
        assert sorted(file.name for file in cache.iterdir() if file.is_file()) == [*map(str, range(left))]


def test_files_that_go_meanwhile_are_no_trouble(cache, monkeypatch):
    cache.mkdir(parents=True)
    here, gone = cache / "here", cache / "gone"
    here.write_bytes(b"code")
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter([gone, here]))
    assert [path for *_, path in objects._files(cache)] == [here]

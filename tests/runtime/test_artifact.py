"""Artifacts: what is loaded is what was saved, runs without TVM, and anything wrong is one clear line."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import runtime
import search_spaces
from search_spaces import BitnasError, InvalidInput
from tests.runtime.harness import edit_manifest


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    architecture = search_spaces.space("tiny").sample(3)
    return runtime.compile(search_spaces.build(architecture), (1, *architecture.input_shape))


@pytest.fixture
def folder(network, tmp_path):
    network.save(tmp_path / "artifact")
    return tmp_path / "artifact"


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((20, 1, 8, 8), np.float32)


def test_a_loaded_network_gives_the_same_output_to_the_bit(network, folder, images):
    loaded = runtime.load(folder)
    np.testing.assert_array_equal(loaded.run(images), network.run(images))
    assert loaded.info == network.info


def test_a_second_run_gives_the_same_output(network, images):
    first = network.run(images)
    network.run(1 - images)
    np.testing.assert_array_equal(network.run(images), first)


@pytest.fixture
def bare_python(tmp_path):
    """Runs Python where only numpy and apache-tvm-ffi can be imported."""
    site = tmp_path / "site"
    site.mkdir()
    for name in ("numpy", "tvm_ffi", "typing_extensions"):
        origin = Path(find_spec(name).origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        (site / origin.name).symlink_to(origin)
        libraries = origin.with_name(f"{name}.libs")
        if libraries.exists():
            (site / libraries.name).symlink_to(libraries)

    def run(*arguments):
        environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-S", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert run("-c", "import tvm").returncode == 1
    return run


def test_predict_runs_with_numpy_and_tvm_ffi_alone(network, folder, images, bare_python, tmp_path):
    sample = bare_python(folder / "predict.py")
    assert (sample.returncode, sample.stderr) == (0, "")
    assert "to the bit" in sample.stdout
    np.save(tmp_path / "images.npy", images)
    found = bare_python(folder / "predict.py", tmp_path / "images.npy")
    assert [int(line) for line in found.stdout.split()] == network.run(images).argmax(axis=1).tolist()


def test_predict_refuses_what_it_cannot_use(folder, bare_python, tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((2, 3, 8, 8), np.float32))
    np.save(tmp_path / "bytes.npy", np.zeros((2, 8, 8, 3), np.uint8))  # nobody tells how to scale them
    names = ("images.npy", "absent.npy", "bytes.npy")
    for bad in (*(tmp_path / name for name in names), folder / "manifest.json"):
        found = bare_python(folder / "predict.py", bad)
        assert found.returncode == 1
        assert found.stderr.startswith("Error: ")
        assert found.stderr.count("\n") == 1
    (folder / "network.so").write_bytes(b"not a library")
    found = bare_python(folder / "predict.py")
    assert (found.returncode, "checksum" in found.stderr) == (1, True)


@pytest.mark.parametrize("name", ["network.so", "constants.safetensors", "sample.safetensors", "predict.py"])
def test_a_changed_or_missing_file_is_one_line(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x00\x00")
    with pytest.raises(BitnasError, match=f"{name}: its checksum is wrong"):
        runtime.load(folder)
    path.unlink()
    with pytest.raises(BitnasError, match=f"{name}: the file is missing"):
        runtime.load(folder)


def test_a_changed_manifest_is_refused(folder):
    edit_manifest(folder, signed=False, flags=[])
    with pytest.raises(BitnasError, match=r"manifest\.json: its digest is wrong, it was changed"):
        runtime.load(folder)
    told = subprocess.run([sys.executable, folder / "predict.py"], capture_output=True, text=True)
    assert told.returncode == 1
    assert "it was changed; export it again" in told.stderr


@pytest.mark.parametrize("path", [5, None, "a\0b"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InvalidInput, match="is no path"):
        runtime.load(path)


def test_code_for_another_machine_is_refused(folder):
    edit_manifest(folder, flags=["avx1024"])
    with pytest.raises(BitnasError, match="this CPU lacks avx1024"):
        runtime.load(folder)
    edit_manifest(folder, architecture="vax")
    with pytest.raises(BitnasError, match="the artifact is for vax"):
        runtime.load(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"workspace_bytes": -1}, "workspace_bytes"),
        ({"constant_bytes": 1 << 60}, "constant_bytes"),
        ({"surprise": 1}, "surprise"),
        ({"format": 1}, "format"),
        ({"files": {}}, "lists no network.so"),
    ],
)
def test_a_manifest_is_validated(folder, changes, named):
    edit_manifest(folder, **changes)
    with pytest.raises(BitnasError, match=named):
        runtime.load(folder)


def test_a_manifest_cannot_point_outside(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit_manifest(folder, files={**files, "../secret": "0"})
    with pytest.raises(BitnasError, match="lies outside"):
        runtime.load(folder)


def test_no_artifact_and_no_manifest(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BitnasError, match="there is no artifact here"):
            runtime.load(path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BitnasError, match=r"manifest\.json"):
        runtime.load(tmp_path)


def test_save_never_overwrites(network, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InvalidInput, match="is there already"):
        network.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing is left aside"


def test_the_entry_checks_what_it_is_given(network):
    images, constants, workspace, output = network.arguments
    with pytest.raises(ValueError, match=r"when calling"):
        network.entry(images[..., :4].copy(), constants, workspace, output)
    with pytest.raises(ValueError, match=r"when calling"):
        network.entry(images, constants, workspace[:64], output)


def test_the_library_is_little_more_than_its_kernels(network):
    assert network.library.stat().st_size < 4000 * (len(set(network.info.workloads)) + 3)


def test_a_folder_that_is_written_again_is_read_again(tmp_path):
    x = np.random.default_rng(0).standard_normal((1, 4, 6, 6), np.float32)
    for pool in (nn.MaxPool2d(2), nn.AvgPool2d(2)):
        runtime.compile(pool, x.shape).save(tmp_path / "w")
        found = runtime.load(tmp_path / "w").run(x)
        np.testing.assert_allclose(found, pool(torch.from_numpy(x)).numpy(), atol=1e-6)
        shutil.rmtree(tmp_path / "w")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("constants", []),
        ("input_shape", [1, 4, 4, -4]),
        ("input_shape", [0, 4, 4, 4]),
        ("input_shape", [1, 4, 10**7, 10**7]),
        ("output_shape", [1, 60000, 60000, 4]),
    ],
)
def test_manifests_of_other_networks_are_refused(field, value, tmp_path):
    runtime.compile(nn.Conv2d(3, 4, 3), (1, 3, 6, 6)).save(tmp_path / "w")
    edit_manifest(tmp_path / "w", **{field: value})
    with pytest.raises(search_spaces.BitnasError, match=r"manifest\.json: .*export it again"):
        runtime.load(tmp_path / "w")


def test_the_working_folder_may_be_saved_to(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    runtime.compile(nn.Conv2d(3, 4, 3), (1, 3, 6, 6)).save(".")
    assert runtime.load(tmp_path / "here").info.input_shape == (1, 3, 6, 6)

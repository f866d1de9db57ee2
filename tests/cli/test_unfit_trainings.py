"""``nas train`` told or given what does not serve: one line, the right exit code, nothing left behind."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from nas.training.checkpoint import read, write_tensors
from nas.training.job import CHECKPOINT, WEIGHTS
from tests.cli.small_network import run, trained

pytestmark = pytest.mark.usefixtures("small_network")


def test_weights_of_a_precision_that_is_not_known_here(tmp_path: Path) -> None:
    trained(tmp_path / "out", "--epochs", "1")
    loaded = read(tmp_path / "out" / WEIGHTS)
    loaded.about["job"]["precision"] = "ghostly"
    write_tensors(tmp_path / "out" / WEIGHTS, loaded.tensors, loaded.about)
    done = run("export", str(tmp_path / "out"), "-o", str(tmp_path / "winner"))
    assert (done.exit_code, "give it by nas --plugin FILE" in done.stderr) == (1, True)
    given = ("--data", "digits", "--from", str(tmp_path / "out" / WEIGHTS), "-o", str(tmp_path / "new"))
    done = run("train", "small", *given)
    assert done.stderr.startswith("Error: --from: the weights are in 'ghostly', and unknown name 'ghostly'")
    assert (done.exit_code, "give it by nas --plugin FILE" in done.stderr) == (2, True)
    checkpoint = read(tmp_path / "out" / CHECKPOINT)
    checkpoint.about["about"]["job"]["precision"] = "ghostly"
    write_tensors(tmp_path / "out" / CHECKPOINT, checkpoint.tensors, checkpoint.about)
    done = run("train", "--resume", str(tmp_path / "out"))
    assert "checkpoint.safetensors: precision: unknown name 'ghostly'" in done.stderr
    assert (done.exit_code, "by nas --plugin FILE" in done.stderr) == (1, True)


@pytest.mark.parametrize("note", [{"about": 1}, {"about": "s"}, {"about": [1]}, {"job": 1}, {}])
def test_files_with_other_notes_are_one_line(tmp_path: Path, note: dict[str, object]) -> None:
    path = tmp_path / "out" / CHECKPOINT
    path.parent.mkdir()
    write_tensors(path, {"x": torch.zeros(1)}, note)
    for given in (
        ("--resume", str(path.parent)),
        ("small", "--data", "digits", "--from", str(path), "-o", str(tmp_path / "x")),
    ):
        done = run("train", *given)
        assert done.stderr == f"Error: {path}: it does not say what was trained; train again\n"
        assert done.exit_code == 1


def test_weights_are_no_checkpoint(tmp_path: Path) -> None:
    trained(tmp_path / "out", "--epochs", "1")
    shutil.copy(tmp_path / "out" / WEIGHTS, tmp_path / "out" / CHECKPOINT)
    done = run("train", "--resume", str(tmp_path / "out"))
    assert done.stderr.endswith("it is no checkpoint; name the folder of a training\n")
    assert done.exit_code == 1


def test_weights_that_are_not_finite_are_not_exported(tmp_path: Path) -> None:
    trained(tmp_path / "out", "--epochs", "1")
    loaded = read(tmp_path / "out" / WEIGHTS)
    loaded.tensors["6.weight"][0, 0] = torch.nan
    write_tensors(tmp_path / "out" / WEIGHTS, loaded.tensors, loaded.about)
    done = run("export", str(tmp_path / "out"), "-o", str(tmp_path / "winner"))
    assert done.stderr.endswith("6.weight is not finite; train again at a lower learning rate\n")
    assert (done.exit_code, (tmp_path / "winner").exists()) == (1, False)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("nas.training.checkpoint.os.fsync", full)
    done = run("train", "small", "--data", "digits", "--epochs", "1", "-o", str(tmp_path / "out"))
    file = tmp_path / "out" / CHECKPOINT
    said = f"Error: --output: '{file}' cannot be written (No space left on device); make room there\n"
    assert done.stderr.endswith(said)
    assert (done.exit_code, list(file.parent.iterdir())) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "NETWORK: none is named; choose one of alexnet, bcnn"),
        (["resnet21"], "NETWORK: unknown name 'resnet21'"),
        (["small", "--precision", "thirdary"], "--precision: unknown name 'thirdary'"),
        (["small", "--data", "nowhere"], "--data: 'nowhere' is neither a data set here"),
        (["bcnn"], "--data: 'bcnn' does not take 8x8 images of 1 channels; it is made for 32x32"),
        (["small", "--epochs", "0"], "--epochs: 0 is out of range"),
        (["small", "--validation", "1"], "--validation: 1 is out of range"),
        (
            ["small", "--optimizer", "lion"],
            "--optimizer: unknown name 'lion'; choose one of adam, adamw",
        ),
        (["small", "--schedule", "none"], "--schedule: unknown name 'none'"),
        (["small", "--rate", "nan"], "--rate: nan is out of range"),
        (["small", "--crop", "-1"], "--crop: -1 is out of range"),
        (["small", "--from", "nowhere"], "--from: there is no file 'nowhere'"),
        (["small", "--teacher", "."], "--teacher: there is no file '.'"),
        (["small", "--distillation", "0.9"], "--distillation: there is no teacher; give --teacher FILE"),
        (["small", "--temperature", "4"], "--temperature: there is no teacher; give --teacher FILE"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    given = ["train", *arguments, "-o", str(tmp_path / "out")]
    done = run(*given, *([] if "--data" in arguments else ["--data", "digits"]))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {message}")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.*"))


def test_folders_and_files_that_do_not_serve(tmp_path: Path) -> None:
    digits = ("--data", "digits", "--epochs", "1")
    assert "--output: a training needs a folder" in run("train", "small", *digits).stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "is there already" in run("train", "small", *digits, "-o", str(tmp_path / "full")).stderr
    done = run("train", "--resume", str(tmp_path / "full"))
    assert done.stderr.startswith(
        f"Error: --resume: '{tmp_path / 'full'}' has no checkpoint; name the folder"
    )
    assert done.exit_code == 2
    done = run("train", "--resume", str(tmp_path / "full"), "--epochs", "9")
    assert "--epochs: a training goes on with the settings it was begun with" in done.stderr
    trained(tmp_path / "out", "--epochs", "1")
    checkpoint = str(tmp_path / "out" / "checkpoint.safetensors")
    done = run("train", "small", *digits, "--teacher", checkpoint, "-o", str(tmp_path / "new"))
    assert "it is a checkpoint; name the weights.safetensors" in done.stderr
    loaded = read(tmp_path / "out" / WEIGHTS)
    del loaded.tensors["2.weight"]
    write_tensors(tmp_path / "less", loaded.tensors, loaded.about)
    shutil.copy(tmp_path / "less", tmp_path / "out" / WEIGHTS)
    done = run("export", str(tmp_path / "out"), "-o", str(tmp_path / "winner"))
    assert (done.exit_code, "it does not hold a 'small'; train again" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("/proc/out", "No such file or directory"),  # root has every right there, and yet nothing can be made
        ("/proc/deep/er", "No such file or directory"),
        ("file/out", "Not a directory"),
        ("file/deep/er", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("deep/" + "x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nas.data.load", None)  # to read images is work
    Path("file").touch()
    done = run("train", "small", "--data", "digits", "-o", output)
    assert done.stderr == f"Error: --output: '{output}' cannot be written ({problem}); name another folder\n"
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [tmp_path / "file"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_without_the_right_to_write_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    done = run("train", "small", "--data", "digits", "-o", str(tmp_path / "out"))
    tmp_path.chmod(0o755)
    assert (done.exit_code, "cannot be written (Permission denied)" in done.stderr) == (2, True)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    trained(tmp_path / "small", "--epochs", "1")
    weights = str(tmp_path / "small" / WEIGHTS)
    given = ("--data", "digits", "--from", weights, "-o", str(tmp_path / "out"))
    done = run("train", "resnet20", *given)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "holds weights of small, not of resnet20" in done.stderr
    assert not (tmp_path / "out").exists(), "nothing is left where nothing was trained"


def test_more_threads_than_cores_are_refused(tmp_path: Path) -> None:
    done = run("train", "small", "--data", "digits", "--threads", "1000", "-o", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "--threads: 1000 are more than this machine's" in done.stderr


def test_scales_of_pixels_want_their_images(tmp_path: Path) -> None:
    given = ("--precision", "binary-case4", "--data", "digits", "-o", str(tmp_path / "out"))
    done = run("train", "resnet20", *given)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "the scales of 'binary-case4' are for images of 32x32, not 8x8" in done.stderr
    assert not (tmp_path / "out").exists()

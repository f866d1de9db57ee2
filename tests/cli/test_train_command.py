"""``nas train``, ``nas networks`` and ``nas size`` as they are typed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import nas.training.run
from nas.data import load
from nas.training.checkpoint import read, write_tensors
from nas.training.job import WEIGHTS
from nas.training.weights import load_network, transfer
from search_spaces import BitnasError, precisions, size
from search_spaces.layers import QuantLinear
from search_spaces.networks import networks
from search_spaces.plan import Plan
from search_spaces.weight_codes.base import LATENT_START
from tests.cli.small_network import run, small, trained

pytestmark = pytest.mark.usefixtures("small_network")


def test_a_training_writes_weights_and_a_result(tmp_path: Path) -> None:
    result = trained(tmp_path / "out", "--precision", "ternary")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "checkpoint.safetensors",
        "result.json",
        "weights.safetensors",
    ]
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == result
    assert result["test_accuracy"] > 0.8  # type: ignore[operator]  # figures are objects, by their types
    module = load_network(tmp_path / "out" / WEIGHTS)
    assert nas.training.loop.accuracy(module, load("digits").test) == result["test_accuracy"]
    assert size(module).kilobytes == result["size_kb"]
    assert len(module[2].quantized_weight().unique()) == 3  # type: ignore[index, operator]  # modules by place have no types


def test_the_same_command_gives_the_same_weights(tmp_path: Path) -> None:
    for name in "ab":
        trained(tmp_path / name)
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()


def test_a_training_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(tmp_path / "whole")
    epochs = 0
    real = nas.training.run.Progress

    def stopping(**options: object) -> object:
        def on_epoch(epoch: object) -> None:
            nonlocal epochs
            epochs += 1
            if epochs == 2:
                raise KeyboardInterrupt

        return real(**options, on_epoch=on_epoch)  # type: ignore[arg-type]  # of several types

    monkeypatch.setattr(nas.training.run, "Progress", stopping)
    folder = tmp_path / "out"
    arguments = ["small", "--data", "digits", "--epochs", "3", "-o", str(folder)]
    stopped = run("train", *arguments)
    assert stopped.exit_code == 130
    assert f"nas train --resume {folder}" in stopped.stderr
    assert not (folder / WEIGHTS).exists()
    done = run("train", "--resume", str(folder), "--json")
    assert done.exit_code == 0
    assert (folder / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert json.loads(done.stdout)["test_accuracy"] == whole["test_accuracy"]


def test_float_weights_become_ternary_ones_and_teach(tmp_path: Path) -> None:
    trained(tmp_path / "float")
    weights = str(tmp_path / "float" / WEIGHTS)
    hard = ("--distillation", "0.9", "--temperature", "2")
    more = ("--precision", "ternary", "--from", weights, "--teacher", weights, *hard, "--epochs", "1")
    started = trained(tmp_path / "started", *more)
    alone = trained(tmp_path / "alone", "--precision", "ternary", "--epochs", "1")
    assert started["test_accuracy"] > alone["test_accuracy"]  # type: ignore[operator]  # figures are objects, by their types


def test_weights_are_taken_over_where_they_fit(tmp_path: Path) -> None:
    trained(tmp_path / "float")
    path = tmp_path / "float" / WEIGHTS
    given = load_network(path)
    names = {p: precisions.get(p) for p in ("float", "ternary")}
    plans = {name: Plan(name, p, p, p, p) for name, p in names.items()}
    ternary = small(plans["ternary"], 10)
    left = {f"{n}.{p}" for n in "26" for p in ("negative", "positive")}
    assert set(transfer(ternary, path, "small")) == left
    weight, layer = given[2].weight, ternary[2]  # type: ignore[index]  # modules by place have no types
    torch.testing.assert_close(layer.weight, weight * LATENT_START)
    codes = layer.quantized_weight().sign()
    assert layer.positive.item() == pytest.approx(weight[codes > 0].mean().item(), rel=1e-5)
    assert layer.negative.item() == pytest.approx(-weight[codes < 0].mean().item(), rel=1e-5)
    assert torch.equal(ternary[0].weight, given[0].weight)  # type: ignore[index]  # modules by place have no types
    again = small(plans["float"], 10)
    assert transfer(again, path, "small") == []
    assert torch.equal(again[2].weight, given[2].weight)  # type: ignore[index]  # modules by place have no types
    with pytest.raises(BitnasError, match="none of its tensors fits this network"):
        transfer(nn.Sequential(QuantLinear(3, 3, names["float"])), path, "small")


@pytest.mark.parametrize("precision", ["dorefa4", "xnor", "binary", "twn", "int8", "float"])
def test_weights_of_learned_codes_stand_for_real_ones(tmp_path: Path, precision: str) -> None:
    trained(tmp_path / "ternary", "--precision", "ternary", "--epochs", "1")
    path = tmp_path / "ternary" / WEIGHTS
    given = load_network(path)
    p = precisions.get(precision)
    other = small(Plan(precision, p, p, p, p), 10)
    fresh = other[2].activation.scale.clone()  # type: ignore[index, union-attr]  # modules by place have no types
    transfer(other, path, "small")
    assert torch.equal(other[2].activation.scale, fresh), "of another code"  # type: ignore[index, union-attr]  # modules by place have no types
    real = given[2].weight / LATENT_START  # type: ignore[index, operator]  # modules by place have no types
    learns = precision == "binary"
    torch.testing.assert_close(other[2].weight, real * LATENT_START if learns else real)  # type: ignore[index]  # modules by place have no types


def test_a_training_goes_on_with_its_own_data_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for label in "ab":
        for index in range(20):
            path = folder / label / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(index).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(path)
    options = ("--data", str(folder), "--epochs", "1")
    assert run("train", "small", *options, "-o", str(tmp_path / "out")).exit_code == 0
    teacher = ("--teacher", str(tmp_path / "out" / WEIGHTS))
    done = run("train", "small", "--data", "digits", *teacher, "-o", str(tmp_path / "x"))
    assert (done.exit_code, "--teacher: it knows 2 classes, the data has 10" in done.stderr) == (2, True)
    first, second = folder / "a" / "0.png", folder / "a" / "1.png"
    before = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(before)  # labels, mean and deviation stay
    done = run("train", "--resume", str(tmp_path / "out"))
    assert (done.exit_code, "is no longer what the training began with" in done.stderr) == (1, True)
    (folder / "b" / "3.png").unlink()
    done = run("train", "--resume", str(tmp_path / "out"))
    assert (done.exit_code, "is no longer what the training began with" in done.stderr) == (1, True)
    done = run("export", str(tmp_path / "out"), "-o", str(tmp_path / "winner"))
    assert (done.exit_code, "is no longer what the network was trained on" in done.stderr) == (1, True)
    shutil.rmtree(folder)
    done = run("export", str(tmp_path / "out"), "-o", str(tmp_path / "winner"))
    assert (done.exit_code, "what the network was trained on cannot be read" in done.stderr) == (1, True)


def test_a_training_goes_on_with_its_teacher_only(tmp_path: Path) -> None:
    trained(tmp_path / "teacher", "--epochs", "1")
    trained(tmp_path / "other", "--epochs", "2")
    weights = tmp_path / "teacher" / WEIGHTS
    trained(tmp_path / "out", "--teacher", str(weights), "--epochs", "1")
    assert run("train", "--resume", str(tmp_path / "out")).exit_code == 0
    shutil.copy(tmp_path / "other" / WEIGHTS, weights)
    done = run("train", "--resume", str(tmp_path / "out"))
    said = f"Error: teacher: '{weights}' is no longer what the training began with; train again\n"
    assert (done.exit_code, done.stderr) == (1, said)
    weights.unlink()
    done = run("train", "--resume", str(tmp_path / "out"))
    assert f"checkpoint.safetensors: teacher: there is no '{weights}'; bring back what" in done.stderr
    assert done.exit_code == 1


def test_a_validation_split_of_its_own_takes_no_share(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for index in range(12):
            path = tmp_path / "data" / split / "ab"[index % 2] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(index).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(path)
    options = (
        "train",
        "small",
        "--data",
        str(tmp_path / "data"),
        "--epochs",
        "1",
        "-o",
        str(tmp_path / "out"),
    )
    for share in ("0", "0.5"):
        done = run(*options, "--validation", share)
        assert done.exit_code == 2
        assert "--validation: '" in done.stderr and "has a validation split of its own" in done.stderr
    assert run(*options).exit_code == 0


def test_a_training_that_taught_nothing_is_told_of(tmp_path: Path) -> None:
    command = ["train", "small", "--data", "digits", "--epochs", "1"]
    untaught = run(*command, "--rate", "1e-9", "-o", str(tmp_path / "a")).stderr
    assert "of the validation images are right, no more than by" in untaught
    better = run(*command, "--epochs", "8", "-o", str(tmp_path / "b")).stderr
    assert ("no more than" in better) == (_validated(tmp_path / "b") <= 0.95)
    assert json.loads((tmp_path / "b" / "result.json").read_text())["baselines"]["linear"] > 0.9


def _validated(folder: Path) -> float:
    found: float = json.loads((folder / "result.json").read_text())["validation_accuracy"]
    return found


def test_what_to_type_next_can_be_typed(tmp_path: Path) -> None:
    folder = tmp_path / "my small one"
    done = run("train", "small", "--data", "digits", "--epochs", "1", "-o", str(folder))
    assert f"Next: nas export '{folder}' -o winner\n" in done.stderr


def test_a_teacher_of_other_data_is_told_of(tmp_path: Path) -> None:
    trained(tmp_path / "same", "--epochs", "1")
    weights = tmp_path / "same" / WEIGHTS
    loaded = read(weights)
    loaded.about["job"]["data"] = "/other\n"
    write_tensors(tmp_path / "other", loaded.tensors, loaded.about)
    said = "The teacher was trained on /other , the student is on digits.\n"
    for teacher, found in ((weights, ""), (tmp_path / "other", said)):
        given = ("--teacher", str(teacher), "-o", str(tmp_path / f"of-{teacher.name}"))
        done = run("train", "small", "--data", "digits", "--epochs", "1", "--json", *given)
        assert (done.exit_code, done.stderr) == (0, found)


def test_what_a_kill_left_half_written_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / ".checkpoint.safetensors-aside").write_bytes(b"half")
    (folder / "notes").touch()
    arguments = ("train", "small", "--data", "digits", "--epochs", "1", "-o", str(folder))
    assert "is there already" in run(*arguments).stderr
    (folder / "notes").unlink()
    assert run(*arguments).exit_code == 0
    assert len(list(folder.iterdir())) == 3, "the half is gone"
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert "is there already" in run(*arguments[:-1], str(tmp_path / "nowhere")).stderr


def test_networks_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {entry["name"]: entry for entry in json.loads(run("networks", "--json").stdout)}
    assert found["resnet20"]["parameters"] == 269_722
    assert found["mobilenet-1.0"]["macs"] == 568_740_352
    some = {name: networks.get(name) for name in ("resnet20-dw", "squeezenet1.1")}
    monkeypatch.setattr("search_spaces.networks.networks", some)  # to build all of them once is enough
    assert [line.split()[0] for line in run("networks").stdout.splitlines()[1:]] == [*some]


def test_a_size_by_code_and_layer() -> None:
    found = json.loads(run("size", "resnet20-dw", "--precision", "ternary-1x1", "--json").stdout)
    assert found["weight_kb"] == 31.776
    assert found["weight_kb_by_code"] == {"float": 24.192, "ternary": 7.584}
    assert sum(layer["weights"] for layer in found["layers"]) == 36_384
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"])
    text = run("size", "resnet20-dw", "--precision", "ternary-1x1").stdout
    assert "weights               31.776 kB" in text
    given = ("--image-size", "128", "--classes", "10", "--json")
    assert json.loads(run("size", "mobilenet-1.0", *given).stdout)["input_shape"] == [3, 128, 128]
    for arguments, message in (
        (["resnet20", "--image-size", "0"], "--image-size: 0 is out of range"),
        (["bcnn", "--image-size", "16"], "'bcnn' in float does not take 16x16 images; it is made for 32x32"),
        (["alexnet", "--image-size", "224"], "does not take 224x224 images; it is made for 227x227\n"),
        (["bcnn", "--precision", "binary-case3", "--image-size", "16"], "binary-case3 does not take 16x16"),
        (["none"], "network: unknown name"),
    ):
        done = run("size", *arguments)
        assert (done.exit_code, message in done.stderr) == (2, True)


def test_what_is_new_beside_given_weights_is_told(tmp_path: Path) -> None:
    trained(tmp_path / "ten", "--epochs", "1")
    module = nn.Sequential(*[nn.Identity()] * 2, nn.Conv2d(16, 16, 1), nn.Linear(1, 1))
    new = transfer(module, tmp_path / "ten" / WEIGHTS, "small")
    assert new == ["2.bias", "3.bias", "3.weight"]
    given = ("--epochs", "1", "--from", str(tmp_path / "ten" / WEIGHTS))
    done = run("train", "small", "--data", "digits", *given, "-o", str(tmp_path / "again"))
    assert "New, not from" not in done.stderr

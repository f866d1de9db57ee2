"""``nas export FOLDER``: what ``nas train`` wrote becomes compiled code that ``nas verify`` holds."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from nas.cli.main import cli
from nas.export.agreement import check_agreement
from nas.export.card import Card
from nas.export.card_rows import card_rows
from nas.export.identity import digest_and_kilobytes
from nas.export.readme import readme
from search_spaces import BitnasError, network, size
from search_spaces.errors import DisagreementError
from tests.cli.small_network import environment
from tests.runtime.harness import edit_manifest


def nas(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "nas.cli.main", *map(str, arguments)]
    env = environment(cwd / "cache")
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training ``small`` and its export ``winner``."""
    home = tmp_path_factory.mktemp("home")
    given = ("--precision", "ternary", "--classifier", "int8", "--epochs", 2, "-o", "small")
    trained = nas("train", "small", "--data", "digits", *given, cwd=home)
    assert trained.returncode == 0, trained.stderr
    assert "Next: nas export small -o winner\n" in trained.stderr
    exported = nas("export", "small", "-o", "winner", "--c-source", "winner-c", "--json", cwd=home)
    assert exported.returncode == 0, exported.stderr
    assert "small in ternary is in winner\n" in exported.stderr
    assert exported.stderr.endswith("Next: nas verify winner\n")
    (home / "card-printed.json").write_text(exported.stdout)
    return home


def card_of(home: Path) -> Card:
    return Card.model_validate_json((home / "winner" / "card.json").read_text())


def test_the_card_is_about_the_training(home: Path) -> None:
    card, result = card_of(home), json.loads((home / "small" / "result.json").read_text())
    assert json.loads((home / "card-printed.json").read_text()) == card.model_dump()
    assert (card.network, card.precision, card.search, card.trial) == ("small", "ternary", None, None)
    assert (card.data, card.epochs, card.seed, card.batch) == ("digits", 2, 0, 1)
    assert card.size_kb == result["size_kb"]
    assert card.validation_accuracy == result["validation_accuracy"]
    assert card.test_accuracy == pytest.approx(result["test_accuracy"], abs=0.01)
    assert card.precisions == {"float": 1, "int8": 1, "ternary": 1}, "the first layer is never coded"
    assert card.device["name"] == "local"
    assert card.measured_ms > 0
    assert "\n# small in ternary\n" in (home / "winner" / "README.md").read_text()
    files = {path.name for path in (home / "winner").iterdir()}
    assert {"network.so", "constants.safetensors", "predict.py", "network.json"} <= files
    assert not list(home.glob("*.db")), "no ledger is needed"
    subprocess.run(
        ["gcc", "-std=c99", "-Wall", "-Werror", "-c", "network.c"], cwd=home / "winner-c", check=True
    )


def test_verify_holds_and_predict_runs(home: Path) -> None:
    found = nas("verify", "winner", "--latency-tolerance", 50, "--json", cwd=home)
    assert found.returncode == 0, found.stdout + found.stderr
    assert {check["name"] for check in json.loads(found.stdout)} >= {"architecture", "size", "test accuracy"}
    command = [sys.executable, "winner/predict.py"]
    assert "to the bit" in subprocess.run(command, cwd=home, capture_output=True, text=True).stdout


def rewrite(path: Path, **changes: object) -> None:
    """Change fields of a JSON file, and its checksum in the manifest, as a forger would."""
    from runtime.formats.artifact import checksum

    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    files = json.loads(path.with_name("manifest.json").read_text())["files"]
    edit_manifest(path.parent, files={**files, path.name: checksum(path)})


def test_verify_finds_what_was_forged(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "winner", tmp_path / "winner")
    rewrite(tmp_path / "winner" / "network.json", precision="float")
    rewrite(tmp_path / "winner" / "card.json", same_class=7)
    found = nas("verify", "winner", "--latency-tolerance", 50, "--json", cwd=tmp_path)
    failed = {check["name"] for check in json.loads(found.stdout) if not check["holds"]}
    assert (found.returncode, failed) == (1, {"architecture", "size", "same class as torch"}), found.stderr
    *before, last = found.stderr.splitlines()  # before it, what a busy machine has to say of its times
    assert last.startswith("Error: ")
    assert not any("Error" in line for line in before)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"network": "none"}, "network: unknown name 'none'"),
        ({"precision": "none"}, "precision: unknown name 'none'"),
        ({"classes": 1}, "classes: input should be greater than or equal to 2"),
        ({"more": 1}, "more: extra inputs are not permitted"),
    ],
)
def test_what_a_network_is_must_be_known(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    fields = {"network": "resnet20", "precision": "float", "classifier": None, "classes": 10, "channels": 3}
    path = tmp_path / "network.json"
    path.write_text(json.dumps(fields))
    assert digest_and_kilobytes(path)[1] == size(network("resnet20")).kilobytes
    path.write_text(json.dumps(fields | changes))
    with pytest.raises(BitnasError, match=says):
        digest_and_kilobytes(path)


def test_a_card_names_one_origin(home: Path) -> None:
    fields = card_of(home).model_dump()
    assert Card(**{**fields, "network": None, "precision": None, "search": "s", "trial": 3}).title == (
        "Trial 3 of search s"
    )
    for wrong in ({"trial": 3}, {"network": None}, {"network": None, "precision": None}):
        with pytest.raises(ValueError, match="names neither a search's trial nor a published network"):
            Card(**{**fields, **wrong})


def test_a_card_says_that_the_machine_was_disturbed(home: Path) -> None:
    fields = {**card_of(home).model_dump(), "measured_drift": None, "measured_disturbed": None}
    assert "disturbed" not in readme(Card(**fields))
    for noise in ({"measured_drift": 0.38}, {"measured_disturbed": "it was 38% slower than usual"}):
        told = "do not rely on it, the machine was disturbed: it was 38% slower than usual |"
        assert told in readme(Card(**{**fields, **noise}))


def test_a_card_states_the_interval_of_its_latency(home: Path) -> None:
    fields = card_of(home).model_dump()
    stated = {"measured_ms": 2.0, "measured_low_ms": 1.9, "measured_high_ms": 2.1}
    assert "| 2.00 ms | whole network, 1.90 to 2.10 by repeats, " in readme(Card(**{**fields, **stated}))
    older = {"measured_ms": 2.0, "measured_iqr_ms": 0.5, "measured_low_ms": None}
    assert Card(**{**fields, **older}).interval == (1.5, 2.5)


def _without_weights(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _damaged(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (_without_weights, 2, "SEARCH: 'runs/t' has no weights.safetensors; name a search, or the folder of"),
        (shutil.rmtree, 2, "SEARCH: 'runs/t' has no weights.safetensors; name a search"),
        (
            lambda folder: (folder / "weights.safetensors").unlink(),
            2,
            "SEARCH: the training in 'runs/t' is not done; go on with: nas train --resume runs/t",
        ),
        (_damaged, 1, "runs/t/weights.safetensors: it cannot be read"),
        (
            lambda folder: shutil.copy(folder / "checkpoint.safetensors", folder / "weights.safetensors"),
            1,
            "runs/t/weights.safetensors: it is a checkpoint",
        ),
    ],
)
def test_a_training_that_does_not_serve_is_one_line(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], object],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "small", tmp_path / "runs" / "t")
    spoil(tmp_path / "runs" / "t")
    found = CliRunner().invoke(cli, ["export", "runs/t", "-o", "out"])
    assert (found.exit_code, found.stdout) == (code, "")
    assert found.stderr.startswith(f"Error: {says}")
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--trial", "3"), "--trial: it is about the trials of a search, and 'small' is none"),
        (("--max-latency-ms", "1"), "--max-latency-ms: it is about the trials of a search"),
        (("--max-size-kb", "1"), "--max-size-kb: it is about the trials of a search"),
        (("--epochs", "0"), "--epochs: it is about the trials of a search"),
        (("--storage", "sqlite:///x.db"), "--storage: it is about the trials of a search"),
        (("-o", "winner"), "--output: 'winner' is there already"),
        (("--c-source", "winner"), "--c-source: 'winner' is there already"),
        (("--c-source", "out"), "--c-source: 'out' would hold what --output writes"),
        (("-o", "new/out", "--c-source", "new"), "--c-source: 'new' would hold what --output writes"),
        (("-o", "/proc/out"), "--output: '/proc/out' cannot be written (No such file or directory)"),
        (("--c-source", "/proc/out"), "--c-source: '/proc/out' cannot be written"),
    ],
)
def test_options_that_do_not_serve_are_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(home)
    found = CliRunner().invoke(cli, ["export", "small", "-o", "out", *more])
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith(f"Error: {says}")
    assert found.stderr.count("\n") == 1
    assert not (home / "out").exists()


def test_a_code_that_was_rounded_otherwise_now_and_then_is_stated(home: Path) -> None:
    expected = np.zeros(200, np.int64)
    check_agreement(np.where(np.arange(200) < 2, 1, 0), expected)
    with pytest.raises(DisagreementError, match=r"3 of 200 images .* the first is image 0"):
        check_agreement(np.where(np.arange(200) < 3, 1, 0), expected)
    check_agreement(np.where(np.arange(200) < 6, 1, 0), expected, own=lambda: 4)
    with pytest.raises(DisagreementError, match=r"7 of 200 .* classes 4 otherwise than itself"):
        check_agreement(np.where(np.arange(200) < 7, 1, 0), expected, own=lambda: 4)
    card = card_of(home)
    rows = {name: value for name, value, _ in card_rows(card.model_copy(update={"same_class": 358}))}
    assert rows["same class"] == "358 of 360"
    everywhere = card.model_copy(update={"same_class": 360, "validation_accuracy": None})
    assert {"same class", "validation accuracy"}.isdisjoint(name for name, _, _ in card_rows(everywhere))


def test_a_compressed_training_is_exported_as_well(home: Path) -> None:
    given = ("--sparsity", 0.5, "--steps", 1, "--epochs", 1, "--coding", "huffman")
    idle = nas("compress", "small", "-o", "tiny", "--epochs", 1, cwd=home)
    assert idle.returncode == 2 and not (home / "tiny").exists()
    assert idle.stderr.startswith("Error: --epochs: nothing is trained") and "--cluster" in idle.stderr
    made = nas("compress", "small", "-o", "tiny", *given, cwd=home)
    assert made.returncode == 0, made.stderr
    assert [line.split()[0] for line in made.stdout.splitlines()] == ["stage", "trained", "pruned", "coded"]
    assert made.stderr.endswith("Next: nas export tiny -o tiny-winner\n")
    exported = nas("export", "tiny", "-o", "tiny-winner", "--json", cwd=home)
    assert exported.returncode == 0, exported.stderr
    report = json.loads((home / "tiny" / "compression.json").read_text())
    card = json.loads(exported.stdout)
    assert (card["network"], card["epochs"]) == ("small", 2)
    assert card["test_accuracy"] == pytest.approx(report["stages"][-1]["test_accuracy"], abs=0.01)
    (home / "tiny" / "network.bnz").write_bytes(b"bnz1")
    refused = nas("export", "tiny", "-o", "another", cwd=home)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "it is damaged" in refused.stderr

"""The whole way as a user goes it: search, look, export, verify, predict, each by its command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from nas.cli.main import COMMANDS, cli
from tests.environment import clean_environment
from tests.runtime.harness import edit_manifest

LIMIT_MS = "1.0"  # far above what a network of the space takes: here every trial is trained
SPACE = Path(__file__).with_name("small_space.py")


def nas(*arguments, cwd):
    """Run `nas` in a process of its own; PYTHONWARNINGS makes every warning in it an error."""
    command = [sys.executable, "-m", "nas.cli.main", *map(str, arguments)]
    env = clean_environment(NAS_PLUGINS=str(SPACE))
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False)


@pytest.fixture
def refused(monkeypatch):
    """Checks that `nas`, in this process, prints an error of one line and nothing else."""

    def check(*arguments, cwd, code, says):
        monkeypatch.chdir(cwd)
        found = CliRunner().invoke(cli, list(map(str, arguments)))
        assert (found.exit_code, found.stdout) == (code, ""), found.stderr
        *before, last = found.stderr.splitlines()
        assert all(line.startswith("It holds code (") for line in before), "what verify says before it runs"
        assert last.startswith("Error: ")
        assert says in last
        assert len(before) <= 1

    return check


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder in which a search of three trials was run and its winner exported."""
    home = tmp_path_factory.mktemp("home")
    new = ["search", "--name", "demo", "--space", "small-space", "--trials", 3, "--epochs", 2]
    searched = nas(*new, "--max-latency-ms", LIMIT_MS, cwd=home)
    assert searched.returncode == 0, searched.stderr
    assert "nas pareto demo" in searched.stdout + searched.stderr
    exported = nas("export", "demo", "--max-latency-ms", LIMIT_MS, "-o", "winner", "--json", cwd=home)
    assert exported.returncode == 0, exported.stderr
    assert "Next: nas verify winner" in exported.stderr
    (home / "card-printed.json").write_text(exported.stdout)
    return home


@pytest.fixture
def winner(home, tmp_path):
    return shutil.copytree(home / "winner", tmp_path / "winner")


def test_a_network_that_disagrees_with_torch_is_never_exported():
    from nas.export.agreement import check_agreement
    from search_spaces.errors import DisagreementError

    check_agreement(np.array([1, 2, 3]), np.array([1, 2, 3]))
    with pytest.raises(DisagreementError, match=r"1 of 3 images .* the first is image 1"):
        check_agreement(np.array([1, 5, 3]), np.array([1, 2, 3]))


def trials(home):
    return json.loads(nas("trials", "demo", "--json", cwd=home).stdout)


def test_every_trial_is_finished_and_the_front_is_measured(home):
    found = trials(home)
    assert [t["number"] for t in found] == [0, 1, 2]
    assert {t["state"] for t in found} <= {"complete", "infeasible"}
    front = json.loads(nas("pareto", "demo", "--json", cwd=home).stdout)["front"]
    assert front
    assert all(t["measured_latency_ms"] > 0 and t["latency_ms"] > 0 for t in front)


def test_the_winner_is_the_most_accurate_trial(home):
    card = json.loads((home / "winner" / "card.json").read_text())
    assert card == json.loads((home / "card-printed.json").read_text())
    best = max(t["accuracy"] for t in trials(home) if t["state"] == "complete")
    assert card["validation_accuracy"] == best, "what was searched is what is exported"
    chosen = next(t for t in trials(home) if t["number"] == card["trial"])
    assert (card["digest"], card["size_kb"]) == (chosen["digest"], pytest.approx(chosen["size_kb"]))
    assert card["test_images"] == 360
    assert 0.2 < card["test_accuracy"] <= 1


def test_export_trains_on_and_takes_the_trial_it_is_told(home, tmp_path):
    complete = next(t for t in trials(home) if t["state"] == "complete")
    source = ("--c-source", tmp_path / "c")
    options = ("--trial", complete["number"], "--epochs", 1, "-o", tmp_path / "more", *source, "--json")
    found = nas("export", "demo", *options, cwd=home)
    assert found.returncode == 0, found.stderr
    card = json.loads(found.stdout)
    assert (card["trial"], card["epochs"]) == (complete["number"], 3), "two of the search and one more"
    assert card["digest"] == complete["digest"]
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Werror", "-c", "network.c"], cwd=tmp_path / "c", check=True)
    assert f"Wrote it as C to {tmp_path / 'c'}" in found.stderr


def test_verify_holds(home):
    found = nas("verify", "winner", "--latency-tolerance", 50, cwd=home)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "360 of 360" in found.stdout
    checks = json.loads(nas("verify", "winner", "--latency-tolerance", 50, "--json", cwd=home).stdout)
    assert all(check["holds"] for check in checks)


def test_predict_runs_the_sample(home):
    command = [sys.executable, "winner/predict.py"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=home, check=True)
    assert "to the bit" in found.stdout


def test_predict_scales_bytes_as_the_card_tells(home):
    from nas.data import load

    test = load("digits").test
    np.save(home / "bytes.npy", test.take(np.arange(len(test))))
    np.save(home / "floats.npy", test.images)
    found = [
        subprocess.run(
            [sys.executable, "winner/predict.py", name], capture_output=True, text=True, cwd=home, check=True
        ).stdout.split()
        for name in ("bytes.npy", "floats.npy")
    ]
    assert found[0] == found[1]
    card = json.loads((home / "winner" / "card.json").read_text())
    assert np.mean([int(c) for c in found[0]] == test.labels) == card["test_accuracy"]
    assert "mean 0, deviation 16" in (home / "winner" / "README.md").read_text()
    for name in ("bytes.npy", "floats.npy"):
        (home / name).unlink()


def rewrite(path, **changes):
    """Change fields of a JSON file, and its checksum in the manifest, as a forger would."""
    from runtime.formats.artifact import checksum

    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    files = json.loads(path.with_name("manifest.json").read_text())["files"]
    edit_manifest(path.parent, files={**files, path.name: checksum(path)})


def test_verify_finds_each_false_figure(winner):
    false = {
        "test_accuracy": 0.01,
        "size_kb": 1.0,
        "artifact_kb": 1.0,
        "measured_ms": 1e-9,
        "measured_low_ms": 1e-9,
        "measured_high_ms": 2e-9,
        "digest": "0" * 64,
    }
    rewrite(winner / "card.json", **false)
    found = nas("verify", winner, "--json", cwd=winner.parent)
    assert found.returncode == 1
    *_, last = found.stderr.splitlines()  # before it, what a busy machine has to say of its times
    assert last.startswith("Error: ")
    holds = {check["name"]: check["holds"] for check in json.loads(found.stdout)}
    assert not holds.pop("latency"), "on a busy machine it is not judged"
    failed = {name for name, held in holds.items() if not held}
    assert failed == {"test accuracy", "size", "artifact", "architecture"}
    assert all(name in found.stderr for name in failed)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "network.so").unlink(), "network.so: the file is missing"),
        (lambda folder: (folder / "card.json").write_text("{}"), "checksum is wrong"),
        (lambda folder: (folder / "manifest.json").unlink(), "there is no artifact here"),
        (lambda folder: rewrite(folder / "card.json", surprise=1), "surprise"),
        (lambda folder: rewrite(folder / "card.json", data_digest="0"), "is not the data of the card"),
    ],
)
def test_a_broken_artifact_is_one_line(winner, refused, spoil, says):
    spoil(winner)
    refused("verify", winner, cwd=winner.parent, code=1, says=says)


def forge(folder, name, content):
    """Put other content into a file and its checksum into the manifest."""
    from runtime.formats.artifact import checksum

    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit_manifest(folder, files={**files, name: checksum(folder / name)})


def unlist(folder, name):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit_manifest(folder, files={key: value for key, value in files.items() if key != name})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: edit_manifest(folder, workspace_bytes=64), "does not fit the library"),
        (lambda folder: edit_manifest(folder, input_shape=[1, 1, 9, 9]), "it tells of other images than"),
        (lambda folder: edit_manifest(folder, output_shape=[]), "does not fit the library"),
        (lambda folder: edit_manifest(folder, workloads=["{}"]), "does not fit the workloads"),
        (lambda folder: edit_manifest(folder, constant_bytes=64), "does not fit the constants"),
        (lambda folder: forge(folder, "network.so", b"junk"), "not a library that this system loads"),
        (lambda folder: forge(folder, "constants.safetensors", b"junk"), "does not hold its tensors"),
        (lambda folder: forge(folder, "expected.safetensors", b"junk"), "does not hold its tensors"),
        (lambda folder: forge(folder, "architecture.json", b"[]"), "architecture: input should be an object"),
        (lambda folder: unlist(folder, "expected.safetensors"), "does not list 'expected.safetensors'"),
    ],
)
def test_a_forged_artifact_is_one_line(winner, refused, spoil, says):
    spoil(winner)
    refused("verify", winner, cwd=winner.parent, code=1, says=says)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["search", "--name", "x", "--space", "giant"], 2, "space: unknown name 'giant'; choose one of"),
        (["search", "--name", "x", "--device", "toaster"], 2, "device: unknown name 'toaster'"),
        (["search", "--name", "x", "--sampler", "oracle"], 2, "sampler: unknown name 'oracle'"),
        (["search", "--name", "x", "--data", "absent"], 2, "--data: 'absent' is neither a data set here"),
        (["search", "--name", "x", "--trials", "0"], 2, "--trials: 0"),
        (["search", "--name", "x", "--epochs", "-1"], 2, "--epochs: -1"),
        (["search", "--name", "x", "--max-latency-ms", "nan"], 2, "--max-latency-ms: nan"),
        (["search", "--name", "x", "--workers", "-1"], 2, "--workers: -1"),
        (["search", "--name", "../x"], 2, "--name"),
        (["search"], 2, "--name"),
        (["search", "--name", "x", "--storage", "nonsense"], 2, "storage"),
        (["search", "--name", "x", "--storage", "sqlite:////absent/folder/nas.db"], 1, "storage"),
        (["search", "--resume", "x"], 1, "nas.db"),
        (["trials", "x"], 1, "nas.db"),
        (["export", "x", "-o", "out"], 1, "nas.db"),
        (["export", "x"], 2, "--output"),
        (["verify", "absent"], 1, "there is no artifact here"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, code, says, tmp_path, refused):
    refused(*arguments, cwd=tmp_path, code=code, says=says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["export", "demo", "-o", "winner"], 2, "--output: 'winner' is there already"),
        (["export", "demo", "-o", "new", "--c-source", "winner"], 2, "--c-source: 'winner' is there already"),
        (["export", "demo", "-o", "new", "--trial", "99"], 2, "99"),
        (["export", "demo", "-o", "new", "--max-latency-ms", "1e-9"], 1, "no complete trial is within"),
        (["export", "demo", "-o", "new", "--max-size-kb", "-1"], 2, "--max-size-kb"),
        (["export", "other", "-o", "new"], 2, "there is no search 'other'"),
        (["export", "demo", "-o", "new", "--max-latency-ms", "nan"], 2, "--max-latency-ms: nan"),
        (["verify", "winner", "--latency-tolerance", "nan"], 2, "--latency-tolerance: nan"),
        (["trial", "demo", "99"], 2, "99"),
        (["search", "--name", "demo"], 2, "taken"),
        (["search", "--resume", "other"], 2, "other"),
    ],
)
def test_bad_input_about_a_search(home, refused, arguments, code, says):
    before = sorted(path.name for path in home.iterdir())
    refused(*arguments, cwd=home, code=code, says=says)
    assert sorted(path.name for path in home.iterdir()) == before


def test_every_command_and_option_is_documented():
    import importlib

    root = Path(__file__).parents[1]
    text = (root / "docs" / "commands.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        assert f"## nas {name}" in text
        module, _, attribute = (command.target or "dashboards.command:dashboard").partition(":")
        section = text.split(f"## nas {name}\n")[1].split("\n## ")[0]
        found = getattr(importlib.import_module(module), attribute)
        parts = getattr(found, "commands", {})  # of a group
        for part in parts:
            assert f"`nas {name} {part}" in section
        for parameter in (p for command in (found, *parts.values()) for p in command.params):
            flag = max(parameter.opts, key=len)
            assert (f"`{flag}" if flag.startswith("-") else flag.upper()) in section, f"{name} {flag}"

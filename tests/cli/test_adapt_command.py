"""``nas adapt`` as it is typed, and what the ledger then holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.ledger import Ledger, TrialState
from tests.cli.small_network import run, trained
from tests.latency.board import Board, plugged_in


def interrupt(*_: object) -> None:
    """Ctrl-C after the first epoch."""
    raise KeyboardInterrupt


@pytest.mark.usefixtures("small_network")
def test_trained_weights_become_a_network_within_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path / "out")
    storage = f"sqlite:///{tmp_path}/nas.db"
    # on the board a product of bytes takes as long as one of floats: only pruning makes it faster
    words = f"adapt {tmp_path}/out --data digits --max-latency-ms 0.0026 --max-size-kb 6.0 --device board"
    words += f" --precisions int8,ternary --epochs 3 --storage {storage} --json"
    with plugged_in(Board()):
        with monkeypatch.context() as patched:
            patched.setattr("nas.cli.adapt.tell_epoch", interrupt)
            left = run(*words.split())
        assert left.exit_code == 130, left.stderr
        assert left.stderr.splitlines()[-2:] == [f"Go on with: nas {words}", "Stopped."]
        done = run(*words.split())
        assert done.exit_code == 0, done.stderr
        found = json.loads(done.stdout)
        assert "trial 0: going on after epoch 1" in done.stderr or "epoch" in done.stderr
        assert "measuring kernels: 0 of " in left.stderr and "precisions of layers: 1 of 3" in done.stderr
        assert "pruning, % of the way: 0 of 100" in done.stderr
        again = run(*words.split())
        assert json.loads(again.stdout) == found and "epoch" not in again.stderr, "nothing is trained twice"
        assert "training on 1,077 images, judging by 360" in again.stderr
        other = run(*words.split(), "--validation", "0.3")
        assert other.exit_code == 2
        assert other.stderr.splitlines()[-1] == (
            "Error: --validation: 'digits-adapted' was begun with 0.2; "
            "give that to go on with it, or another --name"
        )
    head, whole, *tried, last = found["trials"]
    assert (head["what"], whole["what"]) == ("head", "float")
    assert head["architecture"] == whole["architecture"]
    assert head["epochs"] == 1 and whole["epochs"] == last["epochs"] == 3
    for trial in (*tried, last):
        assert trial["measured_latency_ms"] <= 0.0026 and trial["size_kb"] <= 6, trial["what"]
    assert whole["size_kb"] > 6
    assert last["digest"] == max(tried, key=lambda t: (t["accuracy"], -t["measured_latency_ms"]))["digest"]
    assert last["architecture"].get("layer_precisions") or last["architecture"].get("widths")
    assert last["accuracy"] > 0.8
    assert found["best"] in {trial["number"] for trial in (*tried, last)}
    _check_ledger(storage, found["trials"])
    for name, told in (("digits-adapted", "'digits-adapted' is what nas adapt"), ("x", "there is no search")):
        refused = run("search", "--resume", name, "--storage", storage)
        assert refused.exit_code == 2 and refused.stderr.startswith(f"Error: --resume: {told}"), (
            refused.stderr
        )


def _check_ledger(storage: str, found: list[dict[str, Any]]) -> None:
    with Ledger.open(storage) as ledger:
        (record,) = ledger.searches()
        assert record.name == "digits-adapted" and record.finished
        assert (record.config.max_latency_ms, record.config.max_size_kb) == (0.0026, 6)
        assert (record.drawn_from, record.drawn_by, record.ended) == ("adapt of out", "", None)
        trials = {trial.number: trial for trial in ledger.trials("digits-adapted")}
        for told in found:
            trial = trials[told["number"]]
            assert (trial.state, trial.digest) == (TrialState.COMPLETE, told["digest"])
        parents = [trials[told["number"]].parents for told in found]
        assert parents[:2] == [(), (0,)] and set(parents[2:-1]) == {(1,)}
        best = max(found[2:-1], key=lambda t: (t["accuracy"], -t["measured_latency_ms"]))
        assert parents[-1] == (best["number"],)
        others = [trial for trial in trials.values() if trial.state is not TrialState.COMPLETE]
        assert all(trial.state is TrialState.INFEASIBLE and trial.error for trial in others)


def _check_lists(*storage: str) -> None:
    """It has ended with all it needs, and what it was given is what is shown of it."""
    listed = run("searches", *storage).stdout.splitlines()[1]
    assert "adapt of out" in listed and " finished " in listed, listed
    shown = run("search", "show", "digits-adapted", *storage).stdout
    assert "made by         adapt of out\n" in shown and "max-latency-ms  1.0\n" in shown, shown
    assert "space" not in shown and "sampler" not in shown
    refused = run("search", "show", "digits-adapted", "--toml", *storage)
    assert refused.exit_code == 2 and refused.stderr.startswith("Error: --toml: 'digits-adapted' was made by")


@pytest.mark.usefixtures("small_network")
def test_a_network_within_the_budget_is_not_compressed_and_too_small_a_one_is_told(tmp_path: Path) -> None:
    trained(tmp_path / "out")
    common = (
        "--data",
        "digits",
        "--epochs",
        "1",
        "--device",
        "board",
        "--storage",
        f"sqlite:///{tmp_path}/n.db",
    )
    with plugged_in(Board()):
        wide = run("adapt", str(tmp_path / "out"), *common, "--max-latency-ms", "1")
        assert wide.exit_code == 0, wide.stderr
        assert "the float network is within 1.00 ms" in wide.stderr
        assert [line.split()[1] for line in wide.stdout.splitlines()[1:]] == ["head", "float"]
        _check_lists(*common[-2:])
        again = run("adapt", "digits-adapted/1", *common, "--max-size-kb", "1000", "--name", "again")
        assert again.exit_code == 0, again.stderr
        assert "trial 1 of search digits-adapted: measuring it in float" in again.stderr
        narrow = run("adapt", str(tmp_path / "out"), *common, "--max-latency-ms", "1e-6", "--name", "narrow")
        assert narrow.exit_code == 1
        last = narrow.stderr.splitlines()[-1]
        assert last.startswith("Error: --max-latency-ms: nothing that is left of the network is within"), last


@pytest.mark.usefixtures("small_network")
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path) -> None:
    trained(tmp_path / "out")
    folder, limit = str(tmp_path / "out"), ("--max-latency-ms", "1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.pth").write_bytes(b"no weights")
    for given, told in (
        ((folder, "--data", "digits"), "--max-latency-ms: there is no budget; give it, or --max-size-kb"),
        ((folder, "--data", "digits", "--max-latency-ms", "-1"), "--max-latency-ms: -1 is not a limit"),
        ((folder, "--data", "digits", *limit, "--precisions", "int9"), "--precisions: unknown name 'int9'"),
        ((folder, "--data", "digits", *limit, "--precisions", ""), "--precisions: there is none; give one"),
        ((folder, "--data", "digits", *limit, "--epochs", "0"), "--epochs: 0 is out of range"),
        ((folder, "--data", "digits", *limit, "--validation", "0"), "--validation: 0 is out of range; give"),
        ((folder, "--data", "digits", *limit, "--validation", "0.85"), "--validation: 0.85 beside the test"),
        ((folder, "--data", "digits", *limit, "--name", "a/b"), "--name: 'a/b' is not a search name"),
        ((folder, "--data", f"{tmp_path}/none", *limit), "--data: "),
        ((f"{tmp_path}/none", "--data", "digits", *limit), "WEIGHTS: there is no file"),
        ((f"{tmp_path}/empty", "--data", "digits", *limit), "WEIGHTS: there is neither"),
        ((f"{tmp_path}/x.pth", "--data", "digits", *limit), "WEIGHTS: "),
    ):
        found = run("adapt", *given, "--storage", f"sqlite:///{tmp_path}/n.db")
        assert found.exit_code == 2, (given, found.stderr)
        assert len(found.stderr.splitlines()) == 1, found.stderr
        assert found.stderr.startswith(f"Error: {told}"), (given, found.stderr)
    assert not (tmp_path / "n.db").exists()

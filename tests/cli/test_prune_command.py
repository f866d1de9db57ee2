"""``nas prune`` as it is typed, and what the ledger then holds."""

import json
from pathlib import Path

import pytest

from nas.analysis.images import png_of
from nas.ledger import Ledger, TrialState
from nas.ledger.predictions import predictions_of
from nas.pruning.source import of_trial
from tests.cli.small_network import run, trained
from tests.latency.board import Board, plugged_in


@pytest.mark.usefixtures("small_network")
def test_a_training_becomes_a_search_whose_trials_can_be_pruned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path / "out", "--precision", "ternary", "--classifier", "float")
    storage = f"sqlite:///{tmp_path}/nas.db"
    common = ("--storage", storage, "--json")
    few = ("--target-share", "0.7", "--epochs", "2", "--device", "board")
    with plugged_in(Board()):
        with monkeypatch.context() as patched:
            patched.setattr("nas.cli.prune.tell_epoch", interrupt)
            left = run("prune", str(tmp_path / "out"), *few, *common)
        assert left.exit_code == 130
        again = f"nas prune {tmp_path}/out {' '.join(few)} --storage {storage} --json"
        assert left.stderr.splitlines()[-2:] == [f"Go on with: {again}", "Stopped."]
        done = run(*again.split()[1:])
        assert done.exit_code == 0, done.stderr
        assert "trial 1: going on after epoch 1" in done.stderr
        found = json.loads(done.stdout)
        first, second = found["trials"]
        assert found["search"] == "out-pruned"
        assert second["measured_latency_ms"] <= 0.7 * first["measured_latency_ms"]
        assert second["accuracy"] > 0.5 < first["accuracy"]
        assert second["accuracy_before_training"] < second["accuracy"]
        same = run(*again.split()[1:])
        assert json.loads(same.stdout) == found and "epoch" not in same.stderr, "nothing is trained twice"
        other = run("prune", str(tmp_path / "out"), *few[:3], "3", *few[4:], *common)
        assert (other.exit_code, other.stderr) == (
            2,
            "Error: --epochs: 'out-pruned' was begun with 2; give that to go on with it, or another --name\n",
        )
        further = ("prune", "out-pruned", "--trial", "1", "--epochs", "1", *common)
        further_done = run(*further, "--target-share", "0.9")
        assert further_done.exit_code == 0, further_done.stderr
        assert json.loads(further_done.stdout)["search"] == "out-pruned-1-pruned"
        less = run(*further, "--target-latency-ms", "1e-6", "--name", "less")
        assert less.exit_code == 1
        assert less.stderr.splitlines()[-1].startswith(
            "Error: --target-latency-ms: the least that pruning leaves takes"
        )
    with Ledger.open(storage) as ledger:
        assert [search.name for search in ledger.searches()] == ["out-pruned", "out-pruned-1-pruned"]
        trials = ledger.trials("out-pruned")
        assert [(t.number, t.state, t.parents) for t in trials] == [
            (0, TrialState.COMPLETE, ()),
            (1, TrialState.COMPLETE, (0,)),
        ]
        assert len(ledger.epochs("out-pruned", 1)) == 2
        _check_images(ledger, "out-pruned")
        sizes = [trial.size_kb or 0.0 for trial in trials]
        assert sizes == sorted(sizes, reverse=True) and ledger.search("out-pruned").finished
        taken_over = ledger.trial("out-pruned-1-pruned", 0)
        assert (taken_over.same_as, taken_over.digest) == ("out-pruned/1", trials[1].digest)


def _check_images(ledger: Ledger, name: str) -> None:
    """What is pruned again, shown and told is judged by the images that the training held back."""
    search, predictions = ledger.search(name), predictions_of(ledger, name, 1)
    assert predictions is not None and predictions.worst
    held_back = len(of_trial(ledger, name, 1).data.validation)
    assert predictions.images == held_back == 180, "a tenth, where that of digits is a fifth"
    assert all(png_of(search, mistake) for mistake in predictions.worst)
    assert (search.drawn_from, search.drawn_by) == ("prune of out", "")
    assert ledger.search("out-pruned-1-pruned").drawn_from == "prune of out-pruned/1"


def interrupt(*_: object) -> None:
    """Ctrl-C after the first epoch."""
    raise KeyboardInterrupt


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    missing = run(
        "prune", f"{tmp_path}/nothing", "--target-share", "0.5", "--storage", f"sqlite:///{tmp_path}/n.db"
    )
    assert missing.exit_code == 2
    assert "has no weights.safetensors" in missing.stderr and "--trial" not in missing.stderr
    trial = run("prune", "few-adapted/1", "--target-share", "0.5", "--storage", f"sqlite:///{tmp_path}/n.db")
    assert trial.exit_code == 2 and "one trial of a search is named by --trial" in trial.stderr
    odd = run("prune", f"{tmp_path}/nothing", "--target-share", "0.5", "--trial", "3")
    assert odd.exit_code == 2 and odd.stderr.startswith("Error: --trial:")

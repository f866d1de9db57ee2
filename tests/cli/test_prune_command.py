"""``nas prune`` as it is typed, and what the ledger then holds."""

import json
from pathlib import Path

import pytest

from nas.ledger import Ledger, TrialState
from tests.cli.small_network import run, trained
from tests.latency.board import Board, plugged_in


@pytest.mark.usefixtures("small_network")
def test_a_training_becomes_a_search_whose_trials_can_be_pruned_again(tmp_path: Path) -> None:
    trained(tmp_path / "out", "--precision", "ternary", "--classifier", "float")
    storage = f"sqlite:///{tmp_path}/nas.db"
    common = ("--storage", storage, "--json")
    with plugged_in(Board()):
        few = ("--target-share", "0.7", "--epochs", "2", "--device", "board", *common)
        done = run("prune", str(tmp_path / "out"), *few)
        assert done.exit_code == 0, done.stderr
        found = json.loads(done.stdout)
        first, second = found["trials"]
        assert found["search"] == "out-pruned"
        assert second["measured_latency_ms"] <= 0.7 * first["measured_latency_ms"]
        assert second["accuracy"] > 0.5 < first["accuracy"]
        again = run("prune", "out-pruned", "--trial", "1", "--target-share", "0.9", "--epochs", "1", *common)
        assert again.exit_code == 0, again.stderr
        assert [trial["number"] for trial in json.loads(again.stdout)["trials"]] == [1, 2]
        less = run("prune", "out-pruned", "--target-latency-ms", "1e-6", *common)
        assert less.exit_code == 1
        assert less.stderr.splitlines()[-1].startswith(
            "Error: --target-latency-ms: the least that pruning leaves takes"
        )
        taken = run("prune", str(tmp_path / "out"), *few)
        assert (taken.exit_code, taken.stderr) == (
            2,
            "Error: --name: 'out-pruned' is taken; choose another name\n",
        )
    with Ledger.open(storage) as ledger:
        trials = ledger.trials("out-pruned")
        assert [(t.number, t.state, t.parents) for t in trials] == [
            (0, TrialState.COMPLETE, ()),
            (1, TrialState.COMPLETE, (0,)),
            (2, TrialState.COMPLETE, (1,)),
        ]
        assert len(ledger.epochs("out-pruned", 1)) == 2
        sizes = [trial.size_kb or 0.0 for trial in trials]
        assert sizes == sorted(sizes, reverse=True) and ledger.search("out-pruned").finished
        assert ledger.search("out-pruned").config.trials == 3


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    missing = run(
        "prune", f"{tmp_path}/nothing", "--target-share", "0.5", "--storage", f"sqlite:///{tmp_path}/n.db"
    )
    assert missing.exit_code == 2
    assert "has no weights.safetensors" in missing.stderr
    odd = run("prune", f"{tmp_path}/nothing", "--target-share", "0.5", "--trial", "3")
    assert odd.exit_code == 2 and odd.stderr.startswith("Error: --trial:")

"""A row of trainings that is killed goes on, when it is typed again, to the very bits of one that was not."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nas.ledger import Ledger, TrialState
from search_spaces.errors import BitnasError
from tests.cli.small_network import MOST_S, environment, killed_after_a_checkpoint, run, trained
from tests.latency.board import Board, plugged_in

PLUGIN = Path(__file__).parent / "board_plugin.py"
OPTIONS = ("--device", "board", "--target-share", "0.6", "--rounds", "2", "--epochs", "3", "--name", "it")


def prune(folder: Path, ledger: str) -> list[str]:
    return ["prune", str(folder / "out"), *OPTIONS, "--storage", f"sqlite:///{folder}/{ledger}.db"]


def kill_in_the_second_epoch(folder: Path, ledger: str) -> None:
    """Run it until its first round has ended an epoch, have another refused, and kill it."""
    command = [sys.executable, "-m", "nas.cli.main", *prune(folder, ledger)]
    env = environment(folder / "cache") | {"NAS_PLUGINS": str(PLUGIN)}
    with subprocess.Popen(command, env=env, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        wait_for_an_epoch(f"sqlite:///{folder}/{ledger}.db", process)
        process.send_signal(signal.SIGSTOP)  # so that it is still there
        refused = run(*prune(folder, ledger))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1].startswith("Error: --name: another process (")


def wait_for_an_epoch(storage: str, process: "subprocess.Popen[str]") -> None:
    """Until the first round of a process has ended one."""
    latest = time.monotonic() + MOST_S
    while time.monotonic() < latest:
        assert process.poll() is None, process.communicate()[1]
        try:
            with Ledger.open(storage, read_only=True) as opened:
                while not opened.epochs("it", 1):
                    assert process.poll() is None, process.communicate()[1]
                    time.sleep(0.001)  # a row of a database has no event to wait for
                return
        except BitnasError:  # there is no ledger yet, or no search in it
            time.sleep(0.01)
    raise AssertionError("it has trained nothing")


def outcome(folder: Path, ledger: str) -> list[Any]:
    """All that a run leaves which should not depend on when it ran."""
    with Ledger.open(f"sqlite:///{folder}/{ledger}.db") as opened:
        return [
            (
                (trial.number, trial.state, trial.digest, trial.accuracy, trial.parents),
                opened.weights("it", trial.number),
                [(e.epoch, e.train_loss, e.accuracy, e.reported) for e in opened.epochs("it", trial.number)],
            )
            for trial in opened.trials("it")
        ]


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_a_killed_pruning_ends_with_the_same_bits(tmp_path: Path) -> None:
    trained(tmp_path / "out", "--precision", "ternary", "--average", "0.99", "--crop", "1", "--flip")
    with plugged_in(Board()):
        whole = run(*prune(tmp_path, "whole"))
        assert whole.exit_code == 0, whole.stderr
        kill_in_the_second_epoch(tmp_path, "parts")
        with Ledger.open(f"sqlite:///{tmp_path}/parts.db") as parts:
            assert parts.trial("it", 1).state is TrialState.RUNNING
        again = run(*prune(tmp_path, "parts"))
    assert again.exit_code == 0, again.stderr
    assert "trial 1: going on after epoch" in again.stderr
    expected = outcome(tmp_path, "whole")
    assert len(expected) == 3
    assert outcome(tmp_path, "parts") == expected


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_a_killed_compression_ends_with_the_same_file(tmp_path: Path) -> None:
    trained(tmp_path / "out", "--precision", "ternary", "--classifier", "float", "--average", "0.99")
    options = ["compress", str(tmp_path / "out"), "--sparsity", "0.5", "--steps", "2", "--cluster", "3", "-o"]
    assert run(*options, str(tmp_path / "whole")).exit_code == 0
    parts = [*options, str(tmp_path / "parts")]
    killed_after_a_checkpoint(tmp_path / "parts", [sys.executable, "-m", "nas.cli.main", *parts], tmp_path)
    again = run(*parts)
    assert again.exit_code == 0, again.stderr
    assert "going on after epoch" in again.stderr
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {"compression.json", "network.bnz"}
    files = [(tmp_path / name / "network.bnz").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]

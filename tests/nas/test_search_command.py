"""``nas search`` as it is typed: what it refuses before it writes anything, and what it says at the end."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benches import FEW, ArithmeticBench
from click.testing import CliRunner, Result

import nas.trials.job
from nas.cli.main import cli
from nas.cli.search_report import next_step
from nas.ledger import Ledger, TrialState

NEW = ["--name", "demo", "--trials", "2", "--epochs", "1", "--data", FEW]


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the command keeps its ledger; its workers take no compiler."""
    monkeypatch.delenv("NAS_STORAGE", raising=False)
    defaults = (ArithmeticBench, 60.0, 0.1, 0.1, False, None)
    monkeypatch.setattr(nas.trials.job.Job.__init__, "__defaults__", defaults)
    return f"sqlite:///{tmp_path}/nas.db"


def _search(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["search", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "huge"], "--space: unknown name 'huge'; choose one of "),
        (["--data", "mnist"], "--data: 'mnist' is neither a data set here (digits"),
        (["--device", "toaster"], "--device: unknown name 'toaster'; choose one of local"),
        (["--sampler", "griddle"], "--sampler: unknown name 'griddle'; did you mean 'grid'?"),
        (["--pruner", "axe"], "--pruner: unknown name 'axe'; choose one of halving, hyperband, median, none"),
        (["--trials", "0"], "--trials: 0 is out of range"),
        (["--epochs", "-1"], "--epochs: -1 is out of range"),
        (["--seed", "-1"], "--seed: -1 is out of range"),
        (["--workers", "-1"], "--workers: -1 is out of range; give a whole number in 0..256"),
        (["--max-latency-ms", "0"], "--max-latency-ms: 0.0 is not a limit"),
        (["--max-latency-ms", "nan"], "--max-latency-ms: nan is not a limit"),
        (["--max-size-kb", "-3"], "Invalid value for '--max-size-kb': '-3' is no limit; give kB"),
        (["--max-size-kb", "inf"], "Invalid value for '--max-size-kb': 'inf' is no limit; give kB"),
        *(
            (
                ["--learning-rate", rate],
                f"--learning-rate: {rate} is out of range; give 1e-09 to 1000, or omit",
            )
            for rate in ("-1", "0", "nan", "inf", "5000", "1e-12")
        ),
        (["--trials", "many"], "Invalid value for '--trials': 'many' is not a valid integer"),
        (["--name", "../x"], "--name: '../x' is not a search name"),
        (["--name", ""], "--name: '' is not a search name"),
        (["--storage", "nonsense"], "--storage: not a database URL"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    storage: str, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = _search(*NEW, "--storage", storage, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {message}")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_search_needs_a_name(storage: str, tmp_path: Path) -> None:
    result = _search("--storage", storage)
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "--name: a new search needs a name" in result.stderr


def test_a_storage_that_does_not_open_is_exit_code_1(tmp_path: Path) -> None:
    result = _search(*NEW, "--storage", f"sqlite:///{tmp_path}/absent/nas.db")
    assert result.exit_code == 1
    assert "there is no folder" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_search_from_start_to_resume(storage: str) -> None:
    first = _search(*NEW, "--storage", storage)
    assert first.exit_code == 0
    assert first.stdout.startswith("demo: 2 trials (2 complete), ")
    assert first.stderr.endswith(f"Next: nas pareto demo --storage {storage}\n")

    taken = _search(*NEW, "--storage", storage)
    assert taken.exit_code == 2
    assert "--name: 'demo' is taken" in taken.stderr

    again = _search("--resume", "demo", "--storage", storage, "--json")
    report = json.loads(again.stdout)
    assert report["counts"]["complete"] == 2
    assert report["front"][0]["measured_latency_ms"] > 0
    assert again.stderr == ""


def test_resuming_what_is_not_there_makes_nothing(storage: str, tmp_path: Path) -> None:
    result = _search("--resume", "demo", "--storage", storage)
    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "there is no database" in result.stderr


def test_limits_that_nothing_meets_are_said(storage: str) -> None:
    result = _search(*NEW, "--storage", storage, "--max-latency-ms", "0.001")
    assert result.exit_code == 0
    assert "1 infeasible), 0 on the front" in result.stdout
    assert "were over a limit" in result.stderr
    assert "Nothing was within the limits; see by how much: nas trials demo" in result.stderr
    with Ledger.open(storage) as ledger:
        assert ledger.search("demo").counts[TrialState.INFEASIBLE] == 1


def test_what_is_told_of_a_front_that_is_not_timed_well(storage: str) -> None:
    assert _search(*NEW, "--storage", storage).exit_code == 0
    with Ledger.open(storage) as ledger:
        record, front = ledger.search("demo"), ledger.front("demo")
    waiting = [replace(trial, measured_latency_ms=None) for trial in front]
    others = next_step(record, waiting, ["elsewhere:12"], storage)
    assert others == (
        f"The front is being timed by elsewhere:12; once it is: nas pareto demo --storage {storage}"
    )
    away = next_step(record, waiting, [], storage)
    assert away.endswith(f"when the device answers: nas latency verify demo --storage {storage}")
    noisy = [replace(trial, measured_disturbed="it was 40% slower than usual") for trial in front]
    told = next_step(record, noisy, [], storage)
    trials = "trial 0" if len(front) == 1 else f"trials {', '.join(str(t.number) for t in front)}"
    assert told.startswith(f"Timed on a disturbed machine: {trials}; when it is quiet: ")
    assert f"when it is quiet: {away.partition(': ')[2]}\nNext: nas pareto demo" in told


def test_one_trial_is_not_trials(storage: str) -> None:
    result = _search("--name", "one", "--trials", "1", "--epochs", "1", "--data", FEW, "--storage", storage)
    assert result.stdout.startswith("one: 1 trial (1 complete), 1 on the front")

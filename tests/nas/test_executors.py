"""Executors: the built-in one and a plug-in's keep the contract, and a search runs on the one it is told."""

import os
from pathlib import Path

import pytest
from benches import FEW, ArithmeticBench
from click.testing import CliRunner
from threads import ThreadExecutor

import nas.trials.job
from nas.cli.main import cli
from nas.executors.base import Executor, executors
from nas.executors.local import LocalExecutor
from nas.ledger import Ledger
from nas.measuring.bench import DeviceBench
from nas.testing.executors import ExecutorConformance, MadeUpBench
from nas.trials.job import Job
from search_spaces.plugins import load_plugin_files

EXAMPLE = Path(__file__).parents[2] / "examples" / "executor.py"


class TestLocal(ExecutorConformance):
    """Processes of this machine."""

    def executor(self) -> LocalExecutor:
        return LocalExecutor()


class TestExample(ExecutorConformance):
    """That of ``examples/executor.py``, a plug-in file, which its workers know by the environment."""

    @pytest.fixture(autouse=True)
    def _plugin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NAS_PLUGINS", str(EXAMPLE))
        load_plugin_files()

    def executor(self) -> Executor:
        return executors.get("spawn")()


class TestThread(ExecutorConformance):
    """A plug-in's threads."""

    def executor(self) -> ThreadExecutor:
        return ThreadExecutor()


def test_a_search_runs_on_the_executor_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        nas.trials.job.Job.__init__, "__defaults__", (ArithmeticBench, 60.0, 0.1, 0.1, False, None)
    )
    storage = f"sqlite:///{tmp_path}/nas.db"
    new = ["search", "--name", "demo", "--trials", "2", "--epochs", "1", "--data", FEW, "--storage", storage]
    found = CliRunner().invoke(cli, [*new, "--executor", "thread"])
    assert found.exit_code == 0, found.output
    with Ledger.open(storage) as ledger:
        workers = [str(trial.worker) for trial in ledger.trials("demo")]
    assert [worker.partition(":")[2] for worker in workers] == [str(os.getpid())] * 2


def test_an_unknown_executor_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    found = CliRunner().invoke(
        cli, ["search", "--name", "demo", "--storage", f"sqlite:///{tmp_path}/nas.db", "--executor", "cloud"]
    )
    assert (found.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert found.stderr.startswith("Error: --executor: unknown name 'cloud'; choose one of local")


def test_a_job_goes_to_a_worker_as_text() -> None:
    job = Job("sqlite:///a.db", "a", bench=MadeUpBench, lease_s=3.0, verbose=True)
    assert job.to_json().isascii()
    assert Job.from_json(job.to_json()) == job
    assert Job.from_json(Job("sqlite:///ü.db", "a").to_json()).bench is DeviceBench

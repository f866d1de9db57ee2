"""Executors: the built-in one and a plug-in's keep the contract, and a search runs on the one it is told."""

import os
import time
from pathlib import Path

import pytest
from benches import FEW, ArithmeticBench
from click.testing import CliRunner
from threads import ThreadExecutor

import nas.trials.job
from nas.cli.main import cli
from nas.executors.base import Executor, executors
from nas.executors.endings import COULD_NOT_WORK
from nas.executors.local import LocalExecutor, WorkerProcess
from nas.ledger import Ledger, SearchConfig
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


def test_a_worker_that_starts_ends_when_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, plugin = tmp_path / "begun", tmp_path / "slow.py"
    plugin.write_text(f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(3600)\n")
    storage = f"sqlite:///{tmp_path}/nas.db"
    with Ledger.open(storage, create=True) as ledger:
        config = SearchConfig("not built in", "", "", trials=1, epochs=1, evaluator="likewise")
        ledger.create_search("demo", config)
    monkeypatch.setenv("NAS_PLUGINS", str(plugin))  # now, as this process is not to run it
    process = WorkerProcess(Job(storage, "demo"))
    while not begun.exists():
        assert process.exit_code() is None
        time.sleep(0.05)
    process.terminate()
    process.end_by(time.monotonic() + 60)
    assert process.exit_code() == COULD_NOT_WORK

"""Executor ray: a real cluster of two nodes keeps the contract, and loses nothing when parts of it die."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from processes import are_alive, descendants, listening
from ray_cluster import TwoNodes, two_nodes

from nas.cli.main import cli
from nas.executors.ray.cluster import INSTALL, ON_LOOPBACK
from nas.executors.ray.executor import RayExecutor
from nas.executors.ray.reaching import is_on_loopback_alone
from nas.ledger import Ledger, SearchConfig, TrialRecord, TrialState
from nas.ledger.mistakes import Predictions
from nas.ledger.predictions import predictions_of
from nas.searching.running import run
from nas.searching.supervision import Progress
from nas.testing.executors import ExecutorConformance
from nas.trials.job import Job
from nas.trials.worker import work
from search_spaces.plugins import load_plugin_files

PLUGIN = Path(__file__).with_name("numbers_plugin.py")
PATIENCE_S = 180.0
STEPS = 8
CONFIG = SearchConfig(
    *("numbers", "", "", 8, 4), sampler="grid", evaluator="slow", objectives=("accuracy",), seed=1
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes() as found:
        yield found


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the evaluators of the plug-in file leave files; the file is known."""
    folder = tmp_path_factory.mktemp("marks")
    text = PLUGIN.read_text(encoding="utf-8").replace(
        'Path(__file__).with_name("marks")', f"Path({str(folder)!r})"
    )
    plugin = tmp_path_factory.mktemp("plugin") / "twelve.py"
    plugin.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_PLUGINS", str(plugin))
        load_plugin_files()
        yield folder


class TestRay(ExecutorConformance):
    """On the cluster."""

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: TwoNodes) -> None:
        self.cluster = cluster

    def executor(self) -> RayExecutor:
        return RayExecutor(self.cluster.address)


def made(folder: Path, config: SearchConfig) -> Job:
    """A search in a ledger of its own."""
    folder.mkdir(exist_ok=True)
    storage = f"sqlite:///{folder}/nas.db"
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
    return Job(storage, "demo", poll_s=0.1)


def trials_of(job: Job) -> list[TrialRecord]:
    with Ledger.open(job.storage) as ledger:
        return ledger.trials(job.search)


def epochs_of(job: Job) -> list[list[tuple[int, float | None]]]:
    """The steps of each trial, and what they gave."""
    with Ledger.open(job.storage) as ledger:
        numbers = range(len(ledger.trials(job.search)))
        return [[(e.epoch, e.accuracy) for e in ledger.epochs(job.search, number)] for number in numbers]


def predictions_in(job: Job) -> list[Predictions | None]:
    """Those of each trial."""
    with Ledger.open(job.storage) as ledger:
        numbers = range(len(ledger.trials(job.search)))
        return [predictions_of(ledger, job.search, number) for number in numbers]


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in {PATIENCE_S:g} s"
        time.sleep(0.05)


HALVING = {"trials": 9, "epochs": 9, "pruner": "halving", "evaluator": "curves"}
TWO = {"objectives": ("accuracy", "toil")}
ODD = {"trials": 12, "evaluator": "odd", "repeats": 2, "limits": {"load": 10.0}}


@pytest.mark.usefixtures("marks")
@pytest.mark.parametrize(
    "fields", [HALVING | TWO, pytest.param(ODD, marks=pytest.mark.slow)], ids=["halving", "odd"]
)
def test_trials_end_as_they_do_locally(cluster: TwoNodes, tmp_path: Path, fields: dict[str, Any]) -> None:
    config = replace(CONFIG, **fields)
    local, remote = (made(tmp_path / name, config) for name in ("local", "ray"))
    work(local, threading.Event())
    run(remote, executor="ray", settings={"ray_address": cluster.address})
    assert ends_of(local) == ends_of(remote)
    assert epochs_of(local) == epochs_of(remote)
    assert predictions_in(local) == predictions_in(remote)
    found = {(trial.state, trial.epochs_done) for trial in trials_of(remote)}
    if fields is not ODD:
        assert {epochs for _, epochs in found} == {1, 3, 9}, "some were paused, some went on"
    else:
        assert any(predictions_in(remote))
        states = {state for state, _ in found}
        assert states == {TrialState.COMPLETE, TrialState.FAILED, TrialState.INFEASIBLE}


def ends_of(job: Job) -> list[tuple[object, ...]]:
    return [
        (t.number, t.choices, t.state, t.error, t.accuracy, t.accuracies, t.costs, t.epochs_done)
        for t in trials_of(job)
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("marks")
def test_an_evaluator_that_exits_is_the_trials_own_doing(cluster: TwoNodes, tmp_path: Path) -> None:
    job = made(tmp_path, replace(CONFIG, trials=2, evaluator="exits"))
    run(job, 2, executor="ray", settings={"ray_address": cluster.address})
    error = "its worker died 3 times in this trial: exit code 4 (3 times)"
    assert [(t.state, t.error) for t in trials_of(job)] == [(TrialState.FAILED, error)] * 2


def test_a_process_a_node_and_the_driver_die_and_nothing_is_lost(
    cluster: TwoNodes, marks: Path, tmp_path: Path
) -> None:
    job, told = made(tmp_path, replace(CONFIG, trials=12, epochs=STEPS)), list[Progress]()
    (marks / "kills").touch()
    with ThreadPoolExecutor() as pool:
        killer = pool.submit(kill_all_kinds, cluster, marks, job)
        killer.add_done_callback(lambda _: (marks / "kills").unlink())  # nothing waits for one that gave up
        settings = {"ray_address": cluster.address}
        run(job, 2, on_progress=lambda _, now: told.append(now), executor="ray", settings=settings)
        killer.result()
    cluster.add_second()
    complete = [(t.state, t.error, t.accuracy is not None) for t in trials_of(job)]
    assert complete == [(TrialState.COMPLETE, None, True)] * 12
    assert [[epoch for epoch, _ in epochs] for epochs in epochs_of(job)] == [list(range(1, STEPS + 1))] * 12
    notices = "\n".join(told[-1].notices)
    lost = re.findall(r": its worker died \((.*)\); it is tried again by another", notices)
    # on a busy machine a node still answers when its process is known to be gone; the last is the driver
    assert len(lost) >= 3 and {"killed, or crashed", "killed by SIGKILL"} <= set(lost), notices
    assert f"Ray: the cluster at {cluster.address} asks for a token; all who" in notices


def kill_all_kinds(cluster: TwoNodes, marks: Path, job: Job) -> None:
    """One of the trials kills its process; then the second node goes, then the driver."""
    until((marks / "killed").exists, "a trial that kills its process")
    until(lambda: is_at_work(cluster.second_id, marks), "a trial on the second node")
    cluster.kill_second()
    (marks / "node").touch()
    before = count(job, TrialState.COMPLETE)
    until(lambda: count(job, TrialState.COMPLETE) > before + 1, "results of the first node")
    until(lambda: count(job, TrialState.RUNNING), "a trial that runs")
    worker = next(t.worker for t in trials_of(job) if t.state is TrialState.RUNNING)
    os.kill(int(str(worker).rpartition(":")[2]), signal.SIGKILL)
    (marks / "driver").touch()


def is_at_work(node: str, marks: Path) -> bool:
    """Whether a node is at the step of a trial in which it waits."""
    begun = [mark for mark in marks.glob("*-3") if mark.read_text().startswith(node)]
    return any(not mark.with_name(mark.name.replace("-3", "-4")).exists() for mark in begun)


def count(job: Job, state: TrialState) -> int:
    return sum(trial.state is state for trial in trials_of(job))


JOIN = """
import sys
from pathlib import Path
from nas.executors.ray.cluster import connected, nodes_alive, set_up
from nas.executors.ray.settings import RaySettings

joined = RaySettings(sys.argv[1])
set_up(joined, 1)
with connected(joined, 1, Path()):
    print(len(nodes_alive()))
"""


def test_a_cluster_on_loopback_alone_is_joined_by_who_knows_its_address_and_has_its_token_in_a_file(
    cluster: TwoNodes, tmp_path: Path
) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(os.environ["RAY_AUTH_TOKEN"])
    unset = {*ON_LOOPBACK, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
    env = {name: value for name, value in os.environ.items() if name not in unset} | {"HOME": str(tmp_path)}
    command = [sys.executable, "-c", JOIN, cluster.address]
    told = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE_S)
    assert int(told.stdout) >= 1


@pytest.mark.parametrize(("host", "is_alone"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_what_listens_on_all_addresses_is_not_on_loopback_alone(host: str, is_alone: bool) -> None:
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        assert is_on_loopback_alone(f"127.0.0.1:{port}") is is_alone
    assert not is_on_loopback_alone(f"192.0.2.1:{port}")


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.mark.slow
def test_the_command_has_a_cluster_of_its_own_which_ends_with_it(marks: Path, tmp_path: Path) -> None:
    for mark in marks.iterdir():
        mark.unlink()
    (marks / "killed").touch()  # no trial kills its process
    storage = f"sqlite:///{tmp_path}/nas.db"
    options = ["--executor", "ray", "--workers", "2", "--storage", storage]
    new = ["--space", "numbers", "--evaluator", "slow", "--objective", "accuracy", "--sampler", "grid"]
    with short_folder() as folder:
        secrets = {"NAS_STORAGE": "postgresql://me:secret@far/nas", "PGPASSWORD": "secret"}
        env = {**os.environ, **secrets, "TMPDIR": str(folder), "HOME": str(tmp_path)}
        begin = [sys.executable, "-m", "nas.cli.main", "search"]
        sizes = ["--trials", "4", "--epochs", "8"]
        process = subprocess.Popen([*begin, "--name", "demo", *new, *sizes, *options], env=env)
        try:
            until(lambda: list(marks.glob("*-2")), "a step")
            started = descendants(process.pid)
            assert listening(started) <= LOOPBACK
            assert len(started) > 4, "Ray's servers, and what runs trials"
            told = [each for each in started if b"secret" in noted(each, "environ")]
            assert [each for each in told if b"ray.driver" not in noted(each, "cmdline")] == []
        finally:
            process.kill()
            process.wait()
        until(lambda: not are_alive(started), "the end of what it has started")
        again = [*begin, "--resume", "demo", *options, "--json"]
        ended = subprocess.run(again, env=env, capture_output=True, text=True, check=True)
        assert not list(folder.glob("bitnas-ray-*"))
    assert json.loads(ended.stdout)["counts"]["complete"] == 4
    assert "evaluating" in ended.stderr
    assert "raylet" not in ended.stderr
    assert not (tmp_path / "ray_results").exists()
    job = Job(storage, "demo")
    assert [[epoch for epoch, _ in epochs] for epochs in epochs_of(job)] == [list(range(1, 9))] * 4


def noted(pid: int, what: str) -> bytes:
    """What the kernel keeps of a process as it began."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:  # it has ended
        return b""


@contextmanager
def short_folder() -> Iterator[Path]:
    """One for temporary files whose name is short, as Ray's sockets are in it."""
    folder = tempfile.mkdtemp(prefix="t-", dir="/tmp")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what was killed may still write


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ray-address", "auto"], "--ray-address: executor 'local' has no such setting"),
        (
            ["--executor", "ray", "--ray-address", "auto"],
            "--ray-address: this machine is a node of no cluster",
        ),
        (["--executor", "ray", "--ray-address", "ray://x"], "--ray-address: 'ray://x' is no address"),
        (["--executor", "ray", "--ray-address", "127.0.0.1:1"], "--ray-address: nobody answers"),
        (["--executor", "ray", "--ray-address", "127.0.0.1:99999"], "--ray-address: 99999 is no port"),
        (["--executor", "ray", "--ray-address", "[::1]:0", "--dry-run"], "--ray-address: 0 is no port"),
        (["--executor", "ray", "--workers", "0"], "--executor: with no workers, 'ray' has nothing to run"),
        (["--executor", "ray", "--gpus-per-trial", "1.5"], "--gpus-per-trial: 1.5 is no whole number"),
        (["--executor", "ray", "--cpus-per-trial", "0"], "--cpus-per-trial: 0 is out of range"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    new = ["search", "--name", "demo", "--storage", f"sqlite:///{tmp_path}/nas.db"]
    found = CliRunner().invoke(cli, [*new, *options])
    assert (found.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert found.stderr.startswith(f"Error: {told}")
    assert found.stderr.count("\n") == 1


def test_a_plan_asks_no_cluster(tmp_path: Path) -> None:
    new = ["search", "--dry-run", "--storage", f"sqlite:///{tmp_path}/nas.db", "--epochs", "1"]
    found = CliRunner().invoke(cli, [*new, "--executor", "ray", "--ray-address", "127.0.0.1:1"])
    assert (found.exit_code, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize(
    ("mode", "token", "told"),
    [
        ("token", None, "asks for a token, not given here"),
        (None, None, "asks for a token, not given here"),
        (None, "7" * 64, "asks for another token than is given here"),
    ],
)
def test_without_its_token_a_cluster_is_refused_in_one_line(
    *,
    cluster: TwoNodes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str | None,
    token: str | None,
    told: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.delenv("RAY_AUTH_MODE")
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    if token is not None:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    new = [sys.executable, "-m", "nas.cli.main", "search", "--name", "demo", "--executor", "ray"]
    command = [*new, "--storage", f"sqlite:///{tmp_path}/nas.db", "--ray-address", cluster.address]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stdout, list(tmp_path.glob("nas.db"))) == (2, "", [])
    assert found.stderr.count("\n") == 1
    for name in (
        f"the cluster at '{cluster.address}' {told}",
        "RAY_AUTH_MODE",
        "RAY_AUTH_TOKEN",
        "~/.ray/auth_token",
    ):
        assert name in found.stderr


class Hidden(MetaPathFinder):
    """Finds that there is no Ray, and says so as importing does."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "ray":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


@pytest.mark.parametrize("is_raised", [False, True])
def test_without_ray_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_raised: bool
) -> None:
    if is_raised:
        for name in [name for name in sys.modules if name.partition(".")[0] == "ray"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])
    else:
        monkeypatch.setitem(sys.modules, "ray", None)
    new = ["search", "--name", "demo", "--storage", f"sqlite:///{tmp_path}/nas.db", "--executor", "ray"]
    found = CliRunner().invoke(cli, new)
    assert (found.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert found.stderr.count("\n") == 1
    assert f"run {INSTALL}" in found.stderr

"""``nas worker`` beside ``nas search``, as processes that share a database."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Command, wait_until
from postgres import PostgresServer

from nas.ledger import Ledger, SearchRecord, TrialState
from nas.ledger.roster import Roster, WorkerState
from tests.environment import clean_environment

PLUGIN = Path(__file__).with_name("shared_plugin.py")
OPTIONS = [
    *("--space", "many", "--evaluator", "shared", "--objective", "accuracy"),
    *("--epochs", "2", "--sampler", "random"),
]
Nas = Callable[..., Command]


@pytest.fixture
def storage(postgres_server: PostgresServer) -> str:
    """An empty database, which other machines could reach."""
    return postgres_server.database()


@pytest.fixture
def nas(storage: str, tmp_path: Path) -> Nas:
    """Starts a command on the database, with the plug-in."""

    def start(*words: str) -> Command:
        more = {"NAS_STORAGE": storage, "SHARED_FOLDER": str(tmp_path)}
        return Command(tmp_path, *words, plugin=PLUGIN, **more)

    return start


def record(storage: str) -> SearchRecord:
    with Ledger.open(storage) as ledger:
        return ledger.search("demo")


def noted(folder: Path, what: str) -> list[list[str]]:
    """What the trials have noted of one kind: the network, its worker, and the command that this is of."""
    lines = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return [line.split()[1:] for line in lines if line.startswith(what)]


def test_a_search_that_is_created_is_finished_by_whoever_joins(
    nas: Nas, storage: str, tmp_path: Path
) -> None:
    """Its creator ends first; failing trials end nobody; each trial is run once."""
    with nas("search", "--name", "demo", *OPTIONS, "--trials", "40", "--workers", "0") as created:
        assert created.end() == 0, created.err
        assert created.err.splitlines()[-1] == f"Next, there: nas --plugin {PLUGIN} worker demo"
        assert record(storage).counts[TrialState.QUEUED] == 40
    (tmp_path / "hold").touch()
    with (
        nas("search", "--resume", "demo") as creator,
        nas("worker", "demo") as one,
        nas("worker", "demo", "--workers", "2") as two,
    ):
        commands = [command.process.pid for command in (creator, one, two)]
        wait_until(lambda: len(noted(tmp_path, "begins")) == 4)
        shown = nas("workers", "demo", "--json")
        assert shown.end() == 0, shown.err
        at_work = {worker["pid"]: worker for worker in json.loads(shown.out)}
        assert sorted(map(str, at_work)) == sorted(pid for _, pid, _ in noted(tmp_path, "begins"))
        assert {worker["state"] for worker in at_work.values()} == {"working"}
        assert sorted(trial["number"] for worker in at_work.values() for trial in worker["trials"]) == [
            0,
            1,
            2,
            3,
        ]
        assert creator.end(signal.SIGINT) == 130
        (tmp_path / "hold").unlink()
        assert (one.end(), two.end()) == (0, 0), one.err + two.err
        assert "Joining 'demo': " in two.err and " of 40 trials left" in two.err
        assert one.err.splitlines()[-1] == f"Next: nas --plugin {PLUGIN} pareto demo"
    ended = record(storage)
    assert ended.finished and sum(ended.counts.values()) == 40
    begun, done = (Counter(network for network, *_ in noted(tmp_path, what)) for what in ("begins", "ends"))
    assert set(done.values()) == {1} and len(done) == ended.counts[TrialState.COMPLETE]
    again = [network for network, count in begun.items() if count > 1]
    assert len(begun) == 40 and len(again) <= 1, "the creator's own went to another"
    assert {int(parent) for _, _, parent in noted(tmp_path, "begins")} == set(commands)
    with nas("worker", "demo") as late:
        assert late.end() == 0 and "Joining 'demo': 0 of 40 trials left" in late.err


def test_a_worker_puts_back_what_it_began_or_loses_it_to_another(
    nas: Nas, storage: str, tmp_path: Path
) -> None:
    """By Ctrl-C and SIGTERM at once; after SIGKILL another takes it, which knows that it is dead."""
    with nas(
        "search", "--name", "demo", *OPTIONS, "--trials", "1", "--seed", "1", "--workers", "0"
    ) as created:
        assert created.end() == 0, created.err
    (tmp_path / "hold").touch()
    for how in (signal.SIGINT, signal.SIGTERM):
        before = len(noted(tmp_path, "begins"))
        with nas("worker", "demo") as worker:
            wait_until(lambda: len(noted(tmp_path, "begins")) > before)  # noqa: B023 - called here
            assert worker.end(how) == 130
            assert f"join again with: nas --plugin {PLUGIN} worker demo" in worker.err
        assert record(storage).counts[TrialState.QUEUED] == 1
    with nas("worker", "demo") as killed, nas("worker", "demo") as other:
        wait_until(lambda: len(noted(tmp_path, "begins")) == 3)
        (_, _, parent) = noted(tmp_path, "begins")[-1]
        dies, lives = (killed, other) if killed.process.pid == int(parent) else (other, killed)
        dies.end(signal.SIGKILL)
        wait_until(lambda: len(noted(tmp_path, "begins")) == 4)
        assert noted(tmp_path, "begins")[-1][2] == str(lives.process.pid)
        (tmp_path / "hold").unlink()
        assert lives.end() == 0, lives.err
    assert record(storage).finished


SHORT_LEASE = """
import sys
from pathlib import Path

from nas.searching import running
from nas.trials.job import Job
from search_spaces.plugins import add_plugin_file

add_plugin_file(Path(sys.argv[2]))
running.run(Job(sys.argv[1], "demo", lease_s=3.0))
"""


def test_a_worker_that_is_stopped_past_its_lease_changes_nothing_any_more(
    nas: Nas, storage: str, tmp_path: Path
) -> None:
    """As a machine that sleeps: another takes its trial, and what it says once it goes on is refused."""
    with nas(
        "search", "--name", "demo", *OPTIONS, "--trials", "1", "--seed", "1", "--workers", "0"
    ) as created:
        assert created.end() == 0, created.err
    (tmp_path / "hold").touch()
    # a lock of its own: who is stopped while it trains holds off whoever wants to measure on the machine
    env = clean_environment(
        PYTHONPATH=str(PLUGIN.parents[2]), SHARED_FOLDER=str(tmp_path), TMPDIR=str(tmp_path)
    )
    line = [sys.executable, "-c", SHORT_LEASE, storage, str(PLUGIN)]
    with Ledger.open(storage) as ledger, started(line, env=env) as first:
        wait_until(lambda: noted(tmp_path, "begins"))
        (_, stopped, _) = noted(tmp_path, "begins")[0]
        os.kill(int(stopped), signal.SIGSTOP)
        with started(line, env=env) as second:
            wait_until(lambda: len(noted(tmp_path, "begins")) == 2)
            (tmp_path / "hold").unlink()
            assert second.wait(180) == 0
        taken = ledger.trial("demo", 0)
        (_, taker, _) = noted(tmp_path, "ends")[0]
        assert taken.state is TrialState.COMPLETE and (taken.worker or "").endswith(f":{taker}")
        os.kill(int(stopped), signal.SIGCONT)
        assert first.wait(180) == 0
        assert ledger.trial("demo", 0) == taken and len(ledger.epochs("demo", 0)) == 2
        gone = {str(worker.pid): worker.state for worker in Roster(ledger, "demo").workers()}
        assert gone == {stopped: WorkerState.LEFT, taker: WorkerState.LEFT}


@contextmanager
def started(line: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed when the block ends."""
    with subprocess.Popen(line, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_cannot_be_joined_is_refused_in_a_line(nas: Nas, storage: str, tmp_path: Path) -> None:
    with nas("search", "--name", "demo", *OPTIONS, "--trials", "1", "--workers", "0") as created:
        assert created.end() == 0, created.err
    without_plugin = Command(tmp_path, "worker", "demo", NAS_STORAGE=storage)
    for command, message in (
        (nas("worker", "dmeo"), "SEARCH: there is no search 'dmeo'; did you mean 'demo'?"),
        (nas("worker", "demo", "--workers", "0"), "--workers: 0 is out of range; give a whole"),
        (without_plugin, "SEARCH: 'demo' was made with the space 'many'"),
    ):
        with command:
            assert command.end() == 2 and command.err.startswith(f"Error: {message}"), command.err

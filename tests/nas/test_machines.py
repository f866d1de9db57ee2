"""Workers on machines whose device is another one: the times of a search are of one machine."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command, wait_until
from postgres import PostgresServer

from nas.ledger import Ledger, SearchRecord, TrialState
from nas.ledger.roster import Roster, WorkerState
from nas.ledger.settling import settle_device

PLUGIN = Path(__file__).with_name("machines_plugin.py")
OPTIONS = ["--space", "tiny", "--evaluator", "quick", "--device", "board", "--sampler", "random"]
On = Callable[..., Command]


@pytest.fixture
def storage(postgres_server: PostgresServer) -> str:
    """An empty database, which both machines reach."""
    return postgres_server.database()


@pytest.fixture
def on(storage: str, tmp_path: Path) -> On:
    """Starts a command on the machine whose processor has that name."""

    def start(cpu: str, *words: str) -> Command:
        return Command(tmp_path, *words, plugin=PLUGIN, NAS_STORAGE=storage, BOARD_CPU=cpu)

    return start


def record(storage: str) -> SearchRecord:
    with Ledger.open(storage) as ledger:
        return ledger.search("demo")


@pytest.mark.slow
def test_only_workers_on_the_machine_of_a_search_time_anything(on: On, storage: str) -> None:
    """Those elsewhere take costs from its table, evaluate, and leave measuring to it."""
    new = ["search", "--name", "demo", *OPTIONS, "--trials", "2", "--measure", "all"]
    with on("fast", *new) as first:
        assert first.end() == 0, first.err
    assert record(storage).origin.devices["board"].startswith("board | fast | ")
    with on("fast", "search", "--resume", "demo", "--more", "3", "--workers", "0") as more:
        assert more.end() == 0, more.err
    with on("slow", "worker", "demo") as elsewhere:
        assert elsewhere.end() == 0, elsewhere.err
        remark = "device: 'board' of 'demo' is fast, "
        assert [line for line in elsewhere.err.splitlines() if line.startswith(remark)], elsewhere.err
    with Ledger.open(storage) as ledger:
        trials = ledger.trials("demo")
        slowest = max(ms for trial in trials for _, ms in trial.latency_by_workload or [])
        front = ledger.front("demo")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 5
    assert slowest < 1, "milliseconds; the slow board takes seconds"
    assert [trial.number for trial in front if trial.measured_latency_ms is None and trial.number > 1], "new"
    with on("slow", "latency", "verify", "demo") as refused:
        assert refused.end() == 1
        there = f"not this machine, and it times the front; type there: nas --plugin {PLUGIN} worker demo"
        assert refused.err.splitlines()[-1].endswith(there), refused.err
    with on("fast", "worker", "demo") as back:
        assert back.end() == 0, back.err
    with Ledger.open(storage) as ledger:
        front = ledger.front("demo")
    assert all(trial.measured_latency_ms is not None and trial.measured_latency_ms < 1 for trial in front)
    assert not any(trial.estimated for trial in front)


def test_a_worker_elsewhere_waits_for_what_it_needs_to_know(on: On, storage: str) -> None:
    """While too little is measured to predict from; a relative limit is told by the search's machine."""
    new = ["search", *OPTIONS, "--trials", "4", "--max-latency", "2x", "--workers", "0", "--name"]
    for name in ("demo", "early"):
        with on("fast", *new, name) as created:
            assert created.end() == 0, created.err
    with Ledger.open(storage) as ledger:
        settle_device(ledger, "early", "board", "board | third | znver3 | tvm 0 | kernels 0 | protocol 0")
        roster = Roster(ledger, "early")
        with on("slow", "worker", "early") as elsewhere:
            wait_until(lambda: [w.state for w in roster.workers()] == [WorkerState.WAITING])
            assert roster.workers()[0].stage == "waiting for the device"
            assert elsewhere.end(signal.SIGTERM) == 130
        assert [worker.state for worker in roster.workers()] == [WorkerState.LEFT]
        assert ledger.search("early").counts[TrialState.QUEUED] == 4
    with on("fast", "worker", "demo", "--minutes", "0.000001") as first:
        assert first.end() == 0, first.err
    median = record(storage).config.median_latency_ms
    assert median is not None and median < 1
    with on("slow", "worker", "demo") as elsewhere:
        assert elsewhere.end() == 0, elsewhere.err
    with Ledger.open(storage) as ledger:
        assert all(0 < (trial.latency_ms or 0) < 2 * median for trial in ledger.trials("demo"))

"""A database that is away: a search waits for it, nothing is done twice or lost, and a command says so."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from network import Network
from postgres import ASKED, PostgresServer, why_absent
from search_process import nas_command, started, steady_search, wait_until
from sqlalchemy import func, make_url, select

from latency.model.table import NetworkMeasurement
from nas.ledger import (
    EpochRecord,
    Ledger,
    SearchConfig,
    StaleClaimError,
    TrialState,
    Worker,
    clock,
    leases,
)
from nas.ledger import claims as claims_module
from nas.ledger.away import VARIABLE, Patience, wait_s
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import Cost
from nas.ledger.history import History
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.tables import MeasurementRow, Trial
from search_spaces.errors import DatabaseAwayError, InvalidInput, StorageError
from tests.measured import timed

psycopg = pytest.importorskip("psycopg")

CUT_S = float(os.environ.get("BITNAS_CUT_S", "2"))
"""How long the network is away; the table of docs/reliability.md has it at 30."""
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
PROPOSAL: dict[str, Any] = {"choices": {"width": 16}, "architecture": '{"space":"tiny"}', "digest": "ab" * 32}


@pytest.fixture
def network(postgres_server: PostgresServer) -> Iterator[Network]:
    """The way to the server."""
    with Network(postgres_server.port) as between:
        yield between


@pytest.fixture
def storage(postgres_server: PostgresServer, network: Network) -> str:
    """A ledger's URL, by that way."""
    url = make_url(postgres_server.database()).set(port=network.port)
    return url.render_as_string(hide_password=False)


@pytest.fixture
def far(storage: str, config: SearchConfig) -> Iterator[tuple[Ledger, list[str]]]:
    """A ledger that waits, with one search, and what it has told."""
    told: list[str] = []
    with Ledger.open(storage, create=True, patience=Patience(told.append, seconds=60)) as ledger:
        ledger.create_search("demo", config)
        yield ledger, told


def _claims(ledger: Ledger, **worker: object) -> Claims:
    return Claims(ledger, "demo", replace(Worker.this_process(), **worker))


def _taken(claim: Claim | None) -> Claim:
    assert claim is not None
    return claim


@pytest.mark.parametrize("how", ["loses", "loses_answer_to"])
def test_a_commit_that_is_cut_is_neither_lost_nor_done_twice(
    far: tuple[Ledger, list[str]], network: Network, how: str
) -> None:
    """At each write of a trial's life: whether the COMMIT or its answer is lost, the end is the same."""
    ledger, _ = far
    claims = _claims(ledger)

    def cut(call: Callable[[], Any]) -> Any:
        before = network.losses
        setattr(network, how, COMMIT)
        found = call()
        assert network.losses == before + 1
        return found

    claim = _taken(cut(claims.claim))
    assert (claim.trial.number, claim.fence) == (0, 1)
    assert cut(lambda: claims.propose(claim, **PROPOSAL))
    cut(lambda: claims.record_cost(claim, Cost(latency_ms=1.0, measuring_s=2.0)))
    cut(lambda: claims.record_epoch(claim, EpochRecord(1, 2.0, 0.4, 0.1)))
    cut(lambda: claims.pause(claim, epoch=1, accuracy=0.4, checkpoint=b"tensors"))
    again = _taken(cut(lambda: claims.claim_paused([0])))
    cut(lambda: claims.release(again))
    assert ledger.trial("demo", 0).state is TrialState.PAUSED
    last = _taken(claims.claim_paused([0]))
    cut(lambda: claims.record_epoch(last, EpochRecord(2, 1.0, 0.5, 0.1)))
    cut(lambda: claims.finish(last, TrialState.COMPLETE, accuracy=0.5, weights=b"tensors"))
    timing = _taken(cut(lambda: claims.claim_measuring([0])))
    assert timing.fence == 4
    cut(lambda: claims.record_measured(timing, measured=timed(2.0), seconds=1.0))
    history = History(ledger, "demo")
    history.refresh()
    assert history.revision == network.losses + 1, "each change once, and one that was not cut"
    done = ledger.trial("demo", 0)
    assert (done.state, done.accuracy, done.latency_ms) == (TrialState.COMPLETE, 0.5, 1.0)
    assert (done.measured_latency_ms, done.measuring_s) == (2.0, 3.0)
    assert [epoch.epoch for epoch in ledger.epochs("demo", 0)] == [1, 2]
    assert ledger.weights("demo", 0) == b"tensors"
    table = SqlLatencyTable(ledger)
    table.register("local", target="", description={})
    networks = NetworkMeasurement(("conv",), timed(1.0))
    cut(lambda: table.put("local", "conv", timed(1.0)))
    cut(lambda: table.put_network("local", networks))
    with ledger.reading() as session:
        assert session.scalar(select(func.count()).select_from(MeasurementRow)) == 1
    assert len(table.networks("local")) == 1


def _complete(ledger: Ledger) -> int:
    return ledger.search("demo").counts[TrialState.COMPLETE]


def _is_whole(ledger: Ledger, trials: int) -> bool:
    """Whether each trial of a search is complete, with its three epochs, and no two are the same."""
    found = ledger.trials("demo")
    assert len({trial.digest for trial in found}) == len(found) == trials
    assert all([e.epoch for e in ledger.epochs("demo", t.number)] == [1, 2, 3] for t in found)
    return all(trial.state is TrialState.COMPLETE for trial in found)


def test_a_search_outlives_its_server(own_postgres: PostgresServer) -> None:
    """Stopped at once and started again, twice: nothing is lost, and it is told."""
    storage = own_postgres.database()
    patience = Patience(seconds=60)
    with (
        Ledger.open(storage, create=True, patience=patience) as ledger,
        steady_search(storage, 24, "--workers", "2") as searching,
    ):
        for least in (4, 10):
            wait_until(lambda least=least: "demo" in {s.name for s in ledger.searches()})
            wait_until(lambda least=least: _complete(ledger) >= least)
            own_postgres.stop()
            assert _listing(storage).startswith("Error: --storage: postgresql+psycopg://")
            own_postgres.start()
        _, told = searching.communicate(timeout=120)
        assert searching.returncode == 0, told
        assert _is_whole(ledger, 24)
    lines = [line for line in told.splitlines() if line.startswith("storage: ")]
    ways = [("waiting for it" in line, "answers again" in line) for line in lines]
    # a stop may fall between two questions
    assert ways in ([(True, False), (False, True)] * times for times in (1, 2)), told
    assert "Traceback" not in told


def _listing(storage: str) -> str:
    """What a command says that only reads, which does not wait."""
    words = nas_command("trials", "demo", "--storage", storage)
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1 and ran.stdout == ""
    return ran.stderr


def test_a_search_outlives_its_network(storage: str, network: Network) -> None:
    """First nothing arrives for a while, which nobody notices; then the connections are cut."""
    patience = Patience(seconds=60)
    with (
        Ledger.open(storage, create=True, patience=patience) as ledger,
        steady_search(storage, 12, "--workers", "2") as searching,
    ):
        wait_until(lambda: "demo" in {search.name for search in ledger.searches()})
        wait_until(lambda: _complete(ledger) >= 3)
        network.is_silent = True
        time.sleep(CUT_S / 2)
        network.is_silent = False
        wait_until(lambda: _complete(ledger) >= 6)
        network.is_cut = True
        time.sleep(CUT_S)
        network.is_cut = False
        _, told = searching.communicate(timeout=120)
        assert searching.returncode == 0, told
        assert _is_whole(ledger, 12)
    assert told.count("waiting for it") == told.count("answers again") == 1, told


def test_a_search_gives_up_with_one_line(own_postgres: PostgresServer) -> None:
    storage = own_postgres.database()
    with (
        Ledger.open(storage, create=True) as ledger,
        steady_search(storage, 200, "--workers", "2", NAS_STORAGE_WAIT="2") as searching,
    ):
        wait_until(lambda: "demo" in {search.name for search in ledger.searches()} and _complete(ledger))
        own_postgres.stop()
        _, told = searching.communicate(timeout=60)
        assert searching.returncode == 1
        *_, waits, ends = told.splitlines()
        assert "does not answer (" in waits and waits.endswith("; waiting for it, at most 2 s")
        assert ends.startswith("Error: --storage: ") and ends.endswith("; start it, or check the URL")
        own_postgres.start()
        with started("search", "--resume", "demo", "--storage", storage, "--minutes", "0.02") as resumed:
            assert resumed.communicate(timeout=120) and resumed.returncode == 0
        assert not ledger.search("demo").counts[TrialState.FAILED]


def test_ctrl_c_does_not_wait_for_the_database(own_postgres: PostgresServer) -> None:
    storage = own_postgres.database()
    with Ledger.open(storage, create=True) as ledger, steady_search(storage, 200) as searching:
        wait_until(lambda: "demo" in {search.name for search in ledger.searches()} and _complete(ledger))
        own_postgres.stop()
        assert searching.stderr is not None
        for line in searching.stderr:
            if "waiting for it" in line:
                break
        searching.send_signal(signal.SIGINT)
        _, told = searching.communicate(timeout=30)
        assert searching.returncode == 130 and "Traceback" not in told


def test_too_many_connections_are_waited_for(config: SearchConfig) -> None:
    if why := why_absent():
        pytest.skip(why)
    with PostgresServer(max_connections="4", superuser_reserved_connections="0") as server:
        storage, told = server.database(), list[str]()
        with Ledger.open(storage, create=True) as ledger:
            ledger.create_search("demo", config)
        with ExitStack() as held:
            for _ in range(4):
                held.enter_context(psycopg.connect(storage.replace("+psycopg", "")))
            with pytest.raises(DatabaseAwayError, match="too many clients"):
                Ledger.open(storage)

            def tell(line: str) -> None:
                told.append(line)
                threading.Timer(0.5, held.close).start()

            with Ledger.open(storage, patience=Patience(tell, seconds=60)) as ledger:
                assert ledger.search("demo").trials == config.trials
    assert "too many clients" in told[0] and "answers again" in told[1]


def test_what_never_comes_back_is_an_error_at_once(postgres_server: PostgresServer) -> None:
    absent = Patience(pytest.fail, seconds=60)
    with pytest.raises(StorageError, match='database "absent" does not exist') as caught:
        Ledger.open(f"{postgres_server.url}/absent", patience=absent)
    assert not isinstance(caught.value, DatabaseAwayError)
    with pytest.raises(StorageError, match="does not support SSL"):
        Ledger.open(f"{postgres_server.url}/postgres?sslmode=require", patience=absent)


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_password_that_is_missing_or_wrong_is_told_of(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str | None
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    storage = postgres_server.database()
    with closing(psycopg.connect(storage.replace("+psycopg", ""), autocommit=True)) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {ASKED}; CREATE ROLE {ASKED} LOGIN PASSWORD 'right'")
    url = make_url(storage).set(username=ASKED, password=password)
    with pytest.raises(StorageError) as caught:
        Ledger.open(url.render_as_string(hide_password=False), patience=Patience(pytest.fail, seconds=60))
    assert not isinstance(caught.value, DatabaseAwayError)
    assert str(caught.value).endswith("put the password into ~/.pgpass or PGPASSWORD")


def test_a_worker_that_was_away_past_its_lease_loses_its_trial(
    far: tuple[Ledger, list[str]], postgres_server: PostgresServer, network: Network
) -> None:
    ledger, told = far
    slow = Claims(ledger, "demo", Worker.this_process(), 0.1)
    claim = _taken(slow.claim())
    near = make_url(ledger.url).set(port=postgres_server.port).render_as_string(hide_password=False)
    network.is_cut = True
    with Ledger.open(near) as other, ThreadPoolExecutor() as pool:
        late = pool.submit(slow.finish, claim, TrialState.COMPLETE, accuracy=0.1)
        theirs = _claims(other, pid=1)
        wait_until(lambda: theirs.claim_abandoned() is not None)
        wait_until(lambda: len(told) == 1)
        network.is_cut = False
        with pytest.raises(StaleClaimError):
            late.result(60)
        assert other.trial("demo", 0).state is TrialState.RUNNING
    assert "answers again" in told[1]


@pytest.mark.parametrize("ahead_s", [-300, 300])
def test_the_clock_of_the_database_decides(
    far: tuple[Ledger, list[str]], monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    """A worker's clock is five minutes off: it neither takes a trial of another, nor loses its own."""
    ledger, _ = far
    ours = _taken(_claims(ledger).claim())
    real = datetime

    class Off(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return real.now(tz) + timedelta(seconds=ahead_s)

    for module in (clock, leases, claims_module):
        monkeypatch.setattr(module, "datetime", Off)
    theirs = _claims(ledger, pid=os.getppid(), started=0, machine="")
    taken = _taken(theirs.claim())
    assert taken.trial.number == 1, "the first is held, by the server's clock"
    theirs.renew(taken)
    monkeypatch.undo()
    assert _claims(ledger).claim_abandoned() is None, "the second is held, by the server's clock"
    _claims(ledger).renew(ours)
    with ledger.reading() as session:
        left = session.scalars(select(Trial.expires_at - func.now()).where(Trial.expires_at.is_not(None)))
        assert all(timedelta(0) < each <= timedelta(seconds=60) for each in left)


@pytest.mark.parametrize("given", ["soon", "-1", "nan", "inf"])
def test_how_long_to_wait_is_checked(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(InvalidInput, match=f"NAS_STORAGE_WAIT: '{given}' is no number of seconds; "):
        wait_s()
    monkeypatch.setenv(VARIABLE, "")
    assert wait_s() == 600

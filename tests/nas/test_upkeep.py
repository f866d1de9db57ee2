"""``nas db``: a ledger is upgraded after a backup, looked over, and copied while it is in use."""

import itertools
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import save
from sqlalchemy import Engine, event, make_url, text

from benchmarks.ledger_depth import filled
from nas.cli.main import cli
from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialState, Worker, migrate
from nas.ledger.claims import Claims
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.supported import SUPPORTED, check_server, check_sqlite
from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.search_space import space
from tests.measured import timed

ROOT = Path(__file__).parents[2]
TENSORS = save({"w": numpy.zeros(2)})
OLD = Path(__file__).parent / "schemas" / "r0003.sql"


@pytest.fixture
def demo(ledger: Ledger, config: SearchConfig) -> Iterator[Ledger]:
    """A ledger with two complete trials and what was measured."""
    ledger.create_search("demo", config)
    claims = Claims(ledger, "demo", Worker.this_process())
    for number in range(2):
        claim = claims.claim()
        assert claim is not None
        found = space("tiny").sample(number)
        claims.propose(claim, choices={"n": number}, architecture=found.to_json(), digest=found.digest)
        claims.record_epoch(claim, EpochRecord(1, 2.0, 0.4, 0.1))
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.5, weights=TENSORS)
    SqlLatencyTable(ledger).put("local", "conv", timed(1.0))
    yield ledger


def run(*words: str, storage: str, code: int = 0) -> Result:
    """``nas db``, with this exit code."""
    found = CliRunner().invoke(cli, ["db", *words, "--storage", storage])
    assert found.exit_code == code, found.output
    return found


def test_an_upgrade_says_what_it_does_and_keeps_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "nas.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
    storage, newest = f"sqlite:///{file}", migrate.newest()
    assert f"the database: its schema is 0003, and this version's {newest}; upgrade it" in (
        run("check", storage=storage, code=1).stdout
    )
    done = run("upgrade", storage=storage)
    steps = done.stdout.splitlines()
    assert [step.partition(":")[0] for step in steps] == [f"{n:04}" for n in range(4, int(newest) + 1)]
    assert steps[0].startswith("0004: Devices by name")
    assert f"The schema went from 0003 to {newest}." in done.stderr
    (copy,) = tmp_path.glob("nas.db.0003.*.backup")
    assert str(copy) in done.stderr
    with closing(sqlite3.connect(copy)) as connection:
        assert "\n".join([*connection.iterdump(), ""]) == OLD.read_text(encoding="utf-8")
    again = json.loads(run("upgrade", "--json", storage=storage).stdout)
    assert again == {"before": newest, "after": newest, "steps": [], "backup": None}
    assert sorted(path.name for path in tmp_path.glob("*.backup")) == [copy.name]


BROKEN = {
    "demo/2: it runs, and nobody holds it": "UPDATE trials SET state = 'running' WHERE number = 2",
    "demo/0: it is complete, and has no result": "UPDATE trials SET accuracy = NULL WHERE number = 0",
    "demo/2: it is paused, and has no checkpoint": "UPDATE trials SET state = 'paused' WHERE number = 2",
    "demo/0: it has weights, and is not complete": "UPDATE trials SET state = 'failed' WHERE number = 0",
    "demo/1: it has more epochs than it went through": "UPDATE trials SET epochs_done = 0 WHERE number = 1",
    "demo/1: its change is newer than its search's last": "UPDATE trials SET revision = 99 WHERE number = 1",
    "demo/1: an earlier trial has the same architecture and budget": (
        "UPDATE trials SET (digest, architecture) = "
        "(SELECT digest, architecture FROM trials WHERE number = 0) WHERE number = 1"
    ),
    "demo/2: somebody holds it, and it does not run": (
        "UPDATE trials SET expires_at = '2026-01-01 00:00:00' WHERE number = 2"
    ),
    "demo: 3 trials are there, of 4": "DELETE FROM trials WHERE number = 3",
}


@pytest.mark.parametrize(("told", "breaks"), BROKEN.items(), ids=range(len(BROKEN)))
def test_each_impossible_state_is_found(demo: Ledger, storage: str, told: str, breaks: str) -> None:
    assert run("check", storage=storage).stdout == ""
    with demo.writing() as session:
        session.execute(text(breaks))
    found = run("check", storage=storage, code=1)
    assert found.stdout.splitlines() == [told]
    assert found.stderr.endswith("Found 1 problem.\n")


def test_a_check_asks_a_fixed_amount_for_each_trial(tmp_path: Path) -> None:
    steps = [_steps_of_a_check(f"sqlite:///{tmp_path}/{trials}.db", trials) for trials in (150, 600)]
    assert steps[1] < 6 * steps[0]  # four times the trials; sixteen times, where each is held against all


def _steps_of_a_check(storage: str, trials: int) -> int:
    """The thousands of steps that SQLite takes for the check of a ledger with so many complete trials."""
    filled(storage, trials)
    steps = itertools.count()

    def counted(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(lambda: next(steps) < 0, 1000)

    event.listen(Engine, "connect", counted)
    try:
        found = run("check", storage=storage, code=1)
    finally:
        event.remove(Engine, "connect", counted)
    assert f"Found {trials + 1} problems." in found.stderr  # made up: no architectures, and one's weights
    return next(steps)


def test_damage_is_found_and_named(tmp_path: Path, config: SearchConfig) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
    with closing(sqlite3.connect(tmp_path / "nas.db", isolation_level=None)) as connection:
        connection.execute("UPDATE trials SET choices = '{' WHERE number = 1")
        connection.execute("INSERT INTO epochs (trial_id, epoch, seconds) VALUES (77, 1, 0), (77, 2, 0)")
    lost, damaged = json.loads(run("check", "--json", storage=storage, code=1).stdout)
    assert (damaged["search"], damaged["trial"]) == ("demo", 1)
    assert damaged["problem"].startswith("column 'choices' is damaged (")
    assert lost["problem"] == "2 rows of 'epochs' belong to row 77 of 'trials', which is gone"
    with closing(sqlite3.connect(tmp_path / "nas.db")) as connection:
        of_table = "SELECT rootpage FROM sqlite_master WHERE name = 'measurements'"
        (page,) = connection.execute(of_table).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with (tmp_path / "nas.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    assert run("check", storage=storage, code=1).stdout.startswith("the database: SQLite finds: ")


def test_what_a_schema_lacks_is_named(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    with Ledger.open(storage, create=True):
        pass
    spoil = """
        DROP INDEX ix_trials_search_id_digest; DROP TABLE artifacts; DROP TABLE workers;
        CREATE TABLE workers (id INTEGER NOT NULL PRIMARY KEY, search_id INTEGER, owner TEXT NOT NULL,
            versions JSON NOT NULL, stage TEXT NOT NULL, joined_at DATETIME NOT NULL,
            seen_at DATETIME NOT NULL, ended_at DATETIME, more TEXT);
        CREATE TABLE mine (number INTEGER);
        CREATE INDEX of_mine ON trials (state);
    """
    with closing(sqlite3.connect(tmp_path / "nas.db", isolation_level=None)) as connection:
        connection.executescript(spoil)
        assert sorted(run("check", storage=storage, code=1).stdout.splitlines()) == [
            "the database: 'trials' lacks 'ix_trials_search_id_digest'",
            "the database: 'workers' has 'more', which no version of bitnas has added",
            "the database: 'workers' lacks 'fk_workers_search_id_searches'",
            "the database: 'workers' lacks 'uq_workers_search_id_owner'",
            "the database: 'workers.search_id' may be empty, unlike this version's",
            "the database: the table 'artifacts' is missing",
        ]
        connection.execute("DELETE FROM bitnas_version")
    assert "has no version in 'bitnas_version'; go back to a backup" in (
        run("check", storage=storage, code=1).stderr
    )


def test_a_backup_is_of_one_moment_while_others_write(demo: Ledger, storage: str, tmp_path: Path) -> None:
    copy, ended = tmp_path / "copy.db", threading.Event()
    config = SearchConfig("tiny", "digits", "local", trials=20, epochs=1)

    def write() -> None:
        with Ledger.open(storage) as mine:
            for number in range(10_000):
                mine.create_search(f"more-{number}", config)
                if ended.is_set():
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        run("backup", str(copy), storage=storage)
        written = json.loads(run("backup", str(copy), "--overwrite", "--json", storage=storage).stdout)
    finally:
        ended.set()
        writer.join()
    assert written == {"file": str(copy), "bytes": copy.stat().st_size, "storage": f"sqlite:///{copy}"}
    assert run("check", storage=f"sqlite:///{copy}").stdout == "", "each search has all its trials"
    with Ledger.open(f"sqlite:///{copy}") as found:
        assert found.trials("demo") == demo.trials("demo")
        assert found.epochs("demo", 1) == demo.epochs("demo", 1)
        assert found.weights("demo", 1) == TENSORS
        assert SqlLatencyTable(found).rows("local").keys() == {"conv"}
    for refused, told in (
        ((str(copy),), "is there already"),
        ((str(tmp_path / "no" / "x"),), "cannot be a file"),
    ):
        assert told in run("backup", *refused, storage=storage, code=2).stderr
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == ["copy.db"]


def test_a_backup_replaces_nothing_but_a_file_that_nobody_uses(tmp_path: Path, config: SearchConfig) -> None:
    storage, other, old = f"sqlite:///{tmp_path}/nas.db", tmp_path / "other.db", tmp_path / "old.db"
    for file in (tmp_path / "nas.db", other):
        with Ledger.open(f"sqlite:///{file}", create=True) as ledger:
            ledger.create_search("demo", config)
    run("backup", str(old), storage=storage)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.db").symlink_to("old.db")
    (tmp_path / "dangling.db").symlink_to("nowhere")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "nas.db")
    (tmp_path / "lone.db-wal").write_bytes(b"left")
    before = {path: path.lstat().st_ino for path in tmp_path.iterdir()}
    for name in ("/dev/null", "pipe", "link.db", "dangling.db", "."):
        assert "is a folder, a link or a device" in refused(tmp_path / name, storage)
    assert "no file is named" in refused(Path(), storage)
    assert "(File name too long)" in refused(tmp_path / ("n" * 300), storage)
    for name in ("nas.db", "hard.db"):
        assert "is the ledger itself" in refused(tmp_path / name, storage)
    assert "takes for its own files" in refused(tmp_path / "nas.db-wal", storage)
    assert "or delete that" in refused(tmp_path / "lone.db", storage)
    with Ledger.open(f"sqlite:///{other}") as ledger:  # as a search has it open, or a kill leaves it
        ledger.create_search("more", config)
        told = refused(other, storage)
        assert "other.db-wal' is beside it" in told and f"nas db check --storage sqlite:///{other}" in told
        assert [search.name for search in ledger.searches()] == ["demo", "more"]
    assert {path: path.lstat().st_ino for path in tmp_path.iterdir()} == before
    run("backup", str(other), "--overwrite", storage=storage)
    with Ledger.open(f"sqlite:///{other}") as ledger:
        assert [search.name for search in ledger.searches()] == ["demo"]


def refused(file: Path, storage: str) -> str:
    """The words in which a backup to ``file`` is refused."""
    return run("backup", str(file), "--overwrite", storage=storage, code=2).stderr


def test_docs_and_code_say_the_same_of_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    page = " ".join((ROOT / "docs" / "ledger.md").read_text(encoding="utf-8").split())
    assert SUPPORTED[0].upper() + SUPPORTED[1:] in page
    for url in (
        "mysql://user@host/name",
        "postgresql+psycopg2://user@host/name",
        "sqlite+aiosqlite:///nas.db",
    ):
        with pytest.raises(InvalidInput, match="is not supported: ") as refused:
            Ledger.open(url)
        assert SUPPORTED in str(refused.value)
        assert make_url(url).drivername.partition("+")[2] or "'mysql'" in str(refused.value)
    with pytest.raises(BitnasError, match=r"Python has SQLite 3\.34\.1, and a ledger is kept in "):
        check_sqlite((3, 34, 1))
    check_sqlite((3, 35, 0))


class Server:
    """What psycopg tells of a server."""

    def __init__(self, version: int) -> None:
        self.info, self.server_version = self, version


def test_an_old_server_is_refused() -> None:
    with pytest.raises(BitnasError, match="the server is PostgreSQL 11, and a ledger is kept in "):
        check_server(Server(110_022))
    check_server(Server(120_000))

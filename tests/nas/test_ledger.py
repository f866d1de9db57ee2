"""The ledger as its readers see it: searches, trials, fronts, measurements, artifacts, and bad databases."""

import math
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from nas.ledger import Ledger, SearchConfig, TrialRecord, TrialState, non_dominated
from nas.ledger.migrate import VERSION_TABLE
from nas.ledger.tables import Base
from search_spaces.errors import BitnasError, DatabaseAwayError, InvalidInput, StorageError


def test_a_search_starts_with_its_trials_queued(ledger: Ledger, config: SearchConfig) -> None:
    before = datetime.now(UTC)
    record = ledger.create_search("demo", config)
    assert record.config == config
    assert record.counts == {state: 4 if state == "queued" else 0 for state in TrialState}
    assert before <= record.created_at <= datetime.now(UTC)
    assert record.created_at.utcoffset() == timedelta(0)
    assert [trial.number for trial in ledger.trials("demo")] == [0, 1, 2, 3]
    assert ledger.searches() == [record]
    assert not record.finished


def test_everything_is_still_there_after_reopening(storage: str, config: SearchConfig) -> None:
    with Ledger.open(storage, create=True) as first:
        first.create_search("demo", config)
    with Ledger.open(storage) as second:
        assert second.search("demo").config == config


def test_what_is_opened_to_read_is_not_written(storage: str, config: SearchConfig) -> None:
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
        with Ledger.open(storage, read_only=True) as reader:
            with pytest.raises(StorageError, match=r"cannot be used \(.*read-?only"):
                reader.create_search("other", config)
            assert reader.searches() == ledger.searches()


def test_a_taken_name_is_refused_and_adds_nothing(ledger: Ledger, config: SearchConfig) -> None:
    ledger.create_search("demo", config)
    with pytest.raises(InvalidInput, match=r"^name: 'demo' is taken; .*--resume demo"):
        ledger.create_search("demo", config)
    assert len(ledger.trials("demo")) == 4


def test_unknown_searches_and_trials_are_named(ledger: Ledger, config: SearchConfig) -> None:
    with pytest.raises(InvalidInput, match="there is no search 'x'; the ledger holds: none yet"):
        ledger.search("x")
    ledger.create_search("demo", config)
    with pytest.raises(InvalidInput, match="the ledger holds: demo"):
        ledger.trials("x")
    with pytest.raises(InvalidInput, match=r"no trial 4; give a number in 0\.\.3"):
        ledger.trial("demo", 4)


def test_artifacts_are_listed_with_their_trial(ledger: Ledger, config: SearchConfig) -> None:
    ledger.create_search("demo", config)
    record = ledger.record_artifact("demo", 2, path="winner", target="llvm", digest="ab" * 32)
    assert ledger.artifacts("demo") == [record]
    assert record.number == 2


def test_writers_that_read_first_wait_for_each_other(ledger: Ledger, config: SearchConfig) -> None:
    ledger.create_search("demo", config)

    def record(number: int) -> None:
        for _ in range(25):
            ledger.record_artifact("demo", number, path="winner", target="llvm", digest="ab" * 32)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(record, range(4)))
    assert len(ledger.artifacts("demo")) == 100


def test_migrations_make_exactly_the_tables_of_the_code(ledger: Ledger) -> None:
    engine = create_engine(ledger.url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, Base.metadata) == []
        checks = inspect(connection).get_check_constraints("trials")
        assert [check["name"] for check in checks] == ["ck_trials_state"]
    engine.dispose()


def test_a_newer_database_is_refused_untouched(storage: str, config: SearchConfig) -> None:
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
    engine = create_engine(storage)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for create in (True, False):
        with pytest.raises(BitnasError, match="newer version of bitnas; update bitnas") as caught:
            Ledger.open(storage, create=create)
        assert "\n" not in str(caught.value)
    with engine.connect() as connection:
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"
    engine.dispose()


def test_a_table_that_is_not_ours_is_refused(storage: str) -> None:
    engine = create_engine(storage)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE artifacts (id INTEGER)"))
    with pytest.raises(BitnasError, match="holds a foreign table 'artifacts'"):
        Ledger.open(storage, create=True)
    assert inspect(engine).get_table_names() == ["artifacts"]
    engine.dispose()


def test_a_failed_upgrade_leaves_nothing(storage: str) -> None:
    engine = create_engine(storage)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (id INTEGER)"))
        connection.execute(text("CREATE INDEX ix_measurements_device_id_workload ON notes (id)"))
    with pytest.raises(BitnasError, match=r"ix_measurements_device_id_workload\"? already exists"):
        Ledger.open(storage, create=True)
    assert inspect(engine).get_table_names() == ["notes"]
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "not a database URL"),
        ("", "not a database URL"),
        ("oracle9://x", "not a database URL"),
        ("mysql://host/name", "'mysql' is not supported: a ledger is kept in SQLite"),
        ("sqlite://", "a database in memory"),
    ],
)
def test_what_is_no_usable_url_is_invalid_input(url: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=f"storage: {message}.*; "):
        Ledger.open(url, create=True)


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(DatabaseAwayError, match="does not answer") as caught:
        Ledger.open("postgresql://me:secret@127.0.0.1:1/x")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_absent_file_is_made_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "nas.db"
    with pytest.raises(BitnasError, match="there is no database at"):
        Ledger.open(f"sqlite:///{path}")
    assert not path.exists()
    with pytest.raises(BitnasError, match="there is no folder"):
        Ledger.open(f"sqlite:///{tmp_path}/absent/nas.db", create=True)
    with pytest.raises(BitnasError, match="is not a file"):
        Ledger.open(f"sqlite:///{tmp_path}", create=True)
    Ledger.open(f"sqlite:///{path}", create=True).close()
    assert path.exists()


def test_a_file_that_is_no_database_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    with pytest.raises(BitnasError, match="file is not a database"):
        Ledger.open(f"sqlite:///{path}", create=True)
    assert path.read_text() == "not a database\n" * 100


def test_another_programs_database_is_not_changed_by_reading(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (id INTEGER)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(BitnasError, match="holds no searches yet"):
        Ledger.open(f"sqlite:///{path}")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trials", 0),
        ("epochs", 0),
        ("seed", -1),
        ("max_latency_ms", 0.0),
        ("max_latency_ms", math.nan),
        ("max_size_kb", -1.0),
        ("max_size_kb", math.inf),
    ],
)
def test_a_config_names_the_parameter_that_is_wrong(field: str, value: float) -> None:
    given = {"space": "tiny", "data": "digits", "device": "local", "trials": 1, "epochs": 1, field: value}
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        SearchConfig(**given)


def _trial(number: int, accuracy: float, latency: float, size: float) -> TrialRecord:
    return TrialRecord(
        "demo", number, TrialState.COMPLETE, accuracy=accuracy, latency_ms=latency, size_kb=size
    )


def test_the_front_keeps_what_none_beats() -> None:
    best, small, fast = _trial(0, 0.9, 2, 20), _trial(1, 0.5, 2, 10), _trial(2, 0.5, 1, 20)
    beaten, twin = _trial(3, 0.9, 2, 21), _trial(4, 0.9, 2, 20)
    unfinished = TrialRecord("demo", 5, TrialState.PRUNED, accuracy=1.0, latency_ms=0.1, size_kb=1)
    front = non_dominated([beaten, fast, small, best, twin, unfinished])
    assert [trial.number for trial in front] == [0, 4, 2, 1]

"""Ledgers of every schema that ever landed are brought up to date, and lose nothing.

``schemas/`` has a dump of each, with rows as the code of that time wrote them. A new migration needs one:
``python tests/nas/make_schema.py`` writes it.
"""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from postgres import PostgresServer
from sqlalchemy import Connection, create_engine, inspect, text

from nas.cli.main import cli
from nas.ledger import Ledger, TrialState, Worker, migrate
from nas.ledger.claims import Claims
from nas.ledger.history import History
from nas.ledger.inspecting import check
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.lineage import parents_of
from nas.ledger.predictions import predictions_of

SCHEMAS = Path(__file__).with_name("schemas")
REVISIONS = sorted(
    script.revision for script in ScriptDirectory.from_config(migrate._config()).walk_revisions()
)
CHANGED = {("trials", "revision"), ("searches", "revision")}
"""Columns that a migration fills anew."""
EDITED = {
    "0007-d6aa585": (
        "0008",
        "ALTER TABLE trials DROP COLUMN measured_low_ms",
        "ALTER TABLE trials DROP COLUMN measured_high_ms",
        "ALTER TABLE trials DROP COLUMN measured_disturbed",
    ),
    "0010-9ca2ab8": (
        "0010",
        "ALTER TABLE epochs DROP COLUMN reported",
        "ALTER TABLE epochs ALTER COLUMN train_loss SET NOT NULL",
        "ALTER TABLE epochs ALTER COLUMN accuracy SET NOT NULL",
        "ALTER TABLE trials ALTER COLUMN same_as TYPE integer USING NULL",
        "DROP INDEX ix_trials_search_id_digest",
    ),
    "0011-2228c15": ("0012", "DROP TABLE workers", "ALTER TABLE searches DROP COLUMN origin"),
}
"""Migrations that were changed after they had landed, or took another number, by the commit that had them:
what the migrations of today up to one number make, and what that has in excess."""


def _dump(revision: str) -> str:
    return (SCHEMAS / f"r{revision}.sql").read_text(encoding="utf-8")


def _sqlite(revision: str, folder: Path) -> str:
    with closing(sqlite3.connect(folder / "nas.db")) as connection:
        connection.executescript(_dump(revision))
    return f"sqlite:///{folder}/nas.db"


def _postgresql(revision: str, server: PostgresServer) -> str:
    """The rows of the dump, in a schema that the migrations up to it make."""
    number, *excess = EDITED.get(revision, (revision,))
    storage = server.database()
    engine = create_engine(storage)
    with closing(sqlite3.connect(":memory:")) as dump, engine.begin() as connection:
        dump.executescript(_dump(revision))
        dump.row_factory = sqlite3.Row
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, number)
        for statement in (*excess, f"UPDATE {migrate.VERSION_TABLE} SET version_num = '{revision[:4]}'"):
            connection.execute(text(statement))
        for table in _in_order(connection):
            for row in dump.execute(f"SELECT * FROM {table}"):
                values = dict(row)
                names, given = ", ".join(values), ", ".join(f":{name}" for name in values)
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({given})"), values)
            if "id" in {column["name"] for column in inspect(connection).get_columns(table)}:
                last = f"(SELECT coalesce(max(id), 1) FROM {table})"
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})"))
    engine.dispose()
    return storage


def _in_order(connection: Connection) -> list[str]:
    ordered = [name for name, _ in inspect(connection).get_sorted_table_and_fkc_names() if name is not None]
    return [name for name in ordered if name != migrate.VERSION_TABLE]


def _rows(storage: str) -> dict[tuple[str, str], list[Any]]:
    """Every column, as the database has it, by its table and name."""
    engine = create_engine(storage)
    with engine.connect() as connection:
        found = {}
        for table in _in_order(connection):
            key = ", ".join(inspect(connection).get_pk_constraint(table)["constrained_columns"])
            rows = connection.execute(text(f"SELECT * FROM {table} ORDER BY {key}")).mappings().all()
            names = [column["name"] for column in inspect(connection).get_columns(table)]
            found |= {(table, name): [row[name] for row in rows] for name in names}
    engine.dispose()
    return found


def test_every_schema_has_its_dump() -> None:
    assert sorted(path.stem.removeprefix("r") for path in SCHEMAS.glob("*.sql")) == sorted(
        [*REVISIONS, *EDITED]
    )


@pytest.mark.parametrize("revision", REVISIONS)
def test_no_migration_is_changed_once_it_has_landed(revision: str) -> None:
    """The dump was written when it landed, so the migrations up to it still make what it has."""
    engine = create_engine("sqlite://")
    config = migrate._config()
    with engine.begin() as connection, closing(sqlite3.connect(":memory:")) as dump:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        dump.executescript(_dump(revision))
        made: Any = connection.connection.driver_connection
        assert _schema(made) == _schema(dump)
    engine.dispose()


def _schema(connection: sqlite3.Connection) -> dict[str, str]:
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(sql.replace('"', "").split()) for name, sql in found}


@pytest.mark.parametrize("revision", [*REVISIONS, *EDITED])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_older_ledger_is_brought_up_to_date_whole(
    kind: str, revision: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        storage = _sqlite(revision, tmp_path)
    else:
        storage = _postgresql(revision, request.getfixturevalue("postgres_server"))
    before = _rows(storage)
    done = CliRunner().invoke(cli, ["db", "upgrade", "--storage", storage, "--json"])
    assert done.exit_code == 0, done.output
    after = _rows(storage)
    kept = {name: values for name, values in before.items() if name in after and name not in CHANGED}
    assert kept == {name: after[name] for name in kept}
    assert before.keys() - after.keys() <= {("trials", "deaths")}
    _goes_on(storage, revision)
    made_up = "its weights are no safetensors file", "its architecture cannot be read ("
    assert [found for found in check(storage) if not found.problem.startswith(made_up)] == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_ledger_that_an_older_version_works_on_is_left_alone(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        storage = _sqlite("0003", tmp_path)
    else:
        storage = _postgresql("0003", request.getfixturevalue("postgres_server"))
    engine = create_engine(storage)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    mine, gone = Worker.this_process(), replace(Worker.this_process(), pid=2**22 + 1)
    for owner, code in ((mine, 1), (gone, 0)):
        with engine.begin() as connection:
            lease = "UPDATE trials SET owner = :owner, expires_at = :soon WHERE number = 3"
            connection.execute(text(lease), {"owner": owner.to_text(), "soon": soon.isoformat(" ")})
        before = _rows(storage)
        for words in (["searches"], ["db", "upgrade"]):
            done = CliRunner().invoke(cli, [*words, "--storage", storage])
            assert done.exit_code == code, done.output
            if code:
                assert f"{mine.label} of an older version works on 'demo'; let that end" in done.stderr
                assert _rows(storage) == before and not [*tmp_path.glob("*.backup")]
    engine.dispose()


def _goes_on(storage: str, revision: str) -> None:
    """What the dump has is read, and the trial that ran is taken over."""
    with Ledger.open(storage) as ledger:
        third = TrialState.PAUSED if revision >= "0010" else TrialState.PRUNED
        states = [TrialState.COMPLETE, TrialState.INFEASIBLE, third, TrialState.RUNNING, TrialState.QUEUED]
        assert [trial.state for trial in ledger.trials("demo")] == states
        best = ledger.trial("demo", 0)
        assert (best.accuracy, best.latency_ms, best.size_kb) == (0.6, 1.5, 12.0)
        assert best.latency_by_workload == [("conv2d(a)", 1.0), ("dense(b)", 0.5)]
        assert best.choices is not None and best.measured_latency_ms is not None
        assert [(e.epoch, e.accuracy, e.seconds) for e in ledger.epochs("demo", 0)] == [
            (1, 0.5, 0.25),
            (2, 0.6000000000000001, 0.25),
        ]
        assert ledger.weights("demo", 0) == (b"\x08\x00tensors" if revision > "0001" else None)
        assert [trial.number for trial in ledger.front("demo")] == [0]
        assert parents_of(ledger, "demo") == ({1: (0,)} if revision >= "0014" else {})
        kept = predictions_of(ledger, "demo", 0)
        assert (kept is not None and kept.worst[0].image == 4) is (revision >= "0014")
        assert [artifact.path for artifact in ledger.artifacts("demo")] == ["/work/demo.nas"]
        assert SqlLatencyTable(ledger).rows("cpu | 1 thread")["conv2d(a)"].milliseconds == 1.0
        history = History(ledger, "demo")
        assert {trial.number for trial in history.refresh()} == {0, 1, 2, 3}
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None and claim.trial.number == 3
        assert ledger.epochs("demo", 3) == []
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.7)
        assert [trial.number for trial in history.refresh()] == [3]

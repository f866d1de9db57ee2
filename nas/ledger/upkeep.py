"""Keeping a ledger: bringing its schema up to date after a backup, and copying it while it is in use."""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select

from nas.hints import command
from nas.ledger import migrate
from nas.ledger.engine import bring_up_to_date, explained, open_engine, unmigrated
from nas.ledger.in_use import refuse_while_used
from nas.ledger.tables import Base
from search_spaces.errors import BitnasError, InvalidInput, Parameter

_ANOTHER = "name another file"
_BESIDE = "-wal", "-shm", "-journal"
"""Ends of the names of what SQLite keeps beside a database while it is open, or after a kill."""
_AT_ONCE = 500
"""Rows that are copied in one statement."""


@dataclass(frozen=True)
class Upgrade:
    """What bringing a ledger up to date did.

    Attributes:
        before: the revision of the schema that was there.
        after: that of this version.
        steps: what each migration between them did, in words.
        backup: the copy that was made before, of a SQLite file that was changed.
    """

    before: str
    after: str
    steps: tuple[str, ...]
    backup: Path | None

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values."""
        return {**asdict(self), "backup": None if self.backup is None else str(self.backup)}


def upgrade(url: str) -> Upgrade:
    """Bring the schema of the ledger at ``url`` up to date; a SQLite file is copied beside itself before.

    Raises:
        InvalidInput: ``url`` is not a database URL.
        BitnasError: the database does not open, or is none of ours, or is of a newer version, or an older one
            is at work.
    """
    with unmigrated(url) as engine:
        with engine.connect() as connection:
            before = migrate.revision(connection) or ""
            if steps := migrate.steps_from(before):
                refuse_while_used(connection, engine.url.render_as_string(hide_password=True))
        copied = _copy_beside(engine, before) if steps and engine.dialect.name == "sqlite" else None
        bring_up_to_date(engine, create=False)
    return Upgrade(before, migrate.newest(), tuple(steps), copied)


def _copy_beside(engine: Engine, revision: str) -> Path:
    """Copy a SQLite file to one beside it that is not there yet."""
    file = Path(str(engine.url.database))
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = file.with_name(f"{file.name}.{revision}.{when}.backup")
    with _aside("storage", target) as aside:
        _copy_sqlite(file, aside)
    return target


def backup(url: str, target: Path, *, overwrite: bool = False) -> None:
    """Write a copy of the ledger at ``url``, as it is at one moment, to a SQLite file; others may be at work.

    A ledger in PostgreSQL is copied row by row, so that its copy is a ledger of the same kind: it needs no
    program of PostgreSQL's, and opens on any machine.

    Raises:
        InvalidInput: ``url`` is not a database URL, or ``target`` cannot be a new file.
        BitnasError: the database does not open, or the file cannot be written.
    """
    _check_target(target, overwrite)
    with unmigrated(url) as engine:
        if engine.dialect.name != "sqlite":
            with _aside("file", target) as aside:
                _copy_rows(engine, aside)
            return
        source = Path(str(engine.url.database))
        if target.exists() and target.samefile(source):
            raise InvalidInput("file", f"'{target}' is the ledger itself", _ANOTHER)
        with _aside("file", target) as aside:
            _copy_sqlite(source, aside)


def _check_target(target: Path, overwrite: bool) -> None:
    """Refuse what is no file of its own: it would be replaced, not written, and what belongs to it stays."""
    if target == Path():
        raise InvalidInput("file", "no file is named", "name one, such as copy.db")
    try:
        found = target.lstat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise InvalidInput("file", f"'{target}' cannot be a file ({error.strerror})", _ANOTHER) from error
    if not target.parent.is_dir():
        raise InvalidInput("file", f"'{target}' cannot be a file", "name one in a folder that is there")
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise InvalidInput("file", f"'{target}' is a folder, a link or a device, no file", _ANOTHER)
    if found is not None and not overwrite:
        fix = "name another file, or give ", Parameter("overwrite")
        raise InvalidInput("file", f"'{target}' is there already", fix)
    if target.name.endswith(_BESIDE):
        raise InvalidInput("file", f"'{target}' is a name that SQLite takes for its own files", _ANOTHER)
    _check_beside(target, is_there=found is not None)


def _check_beside(target: Path, *, is_there: bool) -> None:
    """SQLite would take what is left of another database for the new one's, and spoil it."""
    for beside in (Path(f"{target}{end}") for end in _BESIDE):
        if os.path.lexists(beside):
            ended = f"end what uses it, then run {command('db', 'check', storage=f'sqlite:///{target}')}"
            fix = f"{_ANOTHER}, or {ended if is_there else 'delete that'}"
            raise InvalidInput("file", f"'{target}' is in use, or was: '{beside.name}' is beside it", fix)


@contextmanager
def _aside(parameter: str, target: Path) -> Iterator[Path]:
    """A file beside ``target`` that takes its name when the block ends, and is gone where it fails."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            for end in ("", *_BESIDE):
                Path(f"{aside}{end}").unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BitnasError(Parameter(parameter), f": cannot write '{target}' ({why})") from error


def _copy_sqlite(file: Path, target: Path) -> None:
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        # a file by itself, which can be moved and read where nothing can be written
        copy.execute("PRAGMA journal_mode = DELETE")


def _copy_rows(engine: Engine, target: Path) -> None:
    """Copy every row in one transaction that sees one state of the database."""
    target.unlink()  # an empty file is no ledger
    shown = engine.url.render_as_string(hide_password=True)
    copy = open_engine(f"sqlite:///{target}", create=True)
    try:
        frozen = engine.execution_options(isolation_level="REPEATABLE READ")
        with explained(shown), frozen.connect() as source, copy.begin() as into:
            if (found := migrate.revision(source)) != migrate.newest():
                told = f"its schema is {found}, and this version's {migrate.newest()}"
                raise BitnasError(Parameter("storage"), f": {told}; upgrade it first: nas db upgrade")
            _copy_tables(source, into)
        with copy.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        copy.dispose()
    with closing(sqlite3.connect(target)) as alone:
        alone.execute("PRAGMA journal_mode = DELETE")


def _copy_tables(source: Connection, into: Connection) -> None:
    """Those that others refer to come first."""
    for table in Base.metadata.sorted_tables:
        rows = source.execution_options(yield_per=_AT_ONCE).execute(select(table))
        for some in rows.mappings().partitions():
            into.execute(table.insert(), [dict(row) for row in some])

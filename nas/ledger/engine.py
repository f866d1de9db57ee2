"""Opening the ledger's database: the URL, SQLite's settings, the schema's version, and clear refusals."""

import math
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DisconnectionError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from nas.ledger import migrate
from nas.ledger.away import fix_of, is_away
from nas.ledger.in_use import refuse_while_used
from nas.ledger.libpq import settings_of_environment
from nas.ledger.same_file import SameFile
from nas.ledger.supported import EXAMPLE, check_kind, check_server, check_sqlite
from search_spaces.errors import (
    AbsentLedgerError,
    BitnasError,
    DatabaseAwayError,
    InvalidInput,
    Parameter,
    StorageError,
)

if TYPE_CHECKING:
    import psycopg

# A writer waits this long for another one; each write takes milliseconds.
BUSY_TIMEOUT_S = 60
AGAIN_S = 0.001, 0.009
"""After a random time in this range it asks again."""
CLIENT = {
    "connect_timeout": 10,  # s
    "keepalives_idle": 10,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # ms
}
"""How libpq finds out that the network is gone, unless the URL or the environment says otherwise."""
SERVER = {
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30s",
}
"""How the server finds that out, and lets go of what the lost transaction had locked."""
IDLE_S = 1.0
"""After so long a connection may have been lost without anybody's notice."""
_USED = "used"
_STORAGE = Parameter("storage")
_AS_SEARCHED = "give the ", _STORAGE, " that 'nas search' was given"


def open_engine(url: str, *, create: bool) -> Engine:
    """An engine on the database at ``url`` with the schema of this version.

    An older schema is brought up to date. With ``create`` an absent database file or an empty database
    becomes a ledger; without it nothing is written that is not there yet.

    Raises:
        InvalidInput: ``url`` is not a database URL.
        BitnasError: the database does not open, is absent, is none of ours, or is of a newer version.
    """
    with _opened(url, create) as engine:
        bring_up_to_date(engine, create=create)
        return engine


@contextmanager
def unmigrated(url: str) -> Iterator[Engine]:
    """An engine on the ledger at ``url``, whatever its schema, which stays as it is.

    Raises:
        InvalidInput: ``url`` is not a database URL.
        BitnasError: the database does not open, is absent, or is none of ours.
    """
    with _opened(url, create=False) as engine:
        try:
            with engine.connect() as connection:
                _refuse_foreign(connection, migrate.revision(connection), create=False)
            yield engine
        finally:
            engine.dispose()


@contextmanager
def _opened(url: str, create: bool) -> Iterator[Engine]:
    """An engine, closed where the block fails; what the database raises in it is explained."""
    parsed = parse_url(url)
    _check_file(parsed, create)
    with explained(_shown(parsed)):
        engine = _engine(parsed)
        try:
            yield engine
        except BaseException:
            engine.dispose()
            raise


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def parse_url(url: str) -> URL:
    """``url`` in parts, with a driver that is installed.

    Raises:
        InvalidInput: it is not a URL, or of a database this project does not use.
    """
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        # The text of a bad URL may hold a password, so it is not repeated.
        raise InvalidInput("storage", "not a database URL", EXAMPLE) from error
    check_kind(parsed)
    if parsed.get_backend_name() == "sqlite" and (parsed.database or ":memory:") == ":memory:":
        raise InvalidInput("storage", "a database in memory is gone when the command ends", EXAMPLE)
    return parsed


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn what a database or its driver raises into one line that names the database ``shown``.

    Raises:
        DatabaseAwayError: in place of the driver's own error, where it may pass.
        StorageError: in place of any other.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        fix = "run pip install -c constraints.txt -e '.[postgres]' in bitnas's repository"
        raise BitnasError(_STORAGE, f": {shown} needs the driver '{error.name}'; {fix}") from error
    except IntegrityError:
        raise  # A broken rule of ours, which the caller knows how to name.
    except SQLAlchemyError as error:
        told = str(getattr(error, "orig", None) or error).strip()
        if is_away(error):
            cause, fix = told.splitlines()[0], "start it, or check the URL"
            raise DatabaseAwayError(_STORAGE, shown, cause, fix) from error
        cause = " ".join(told.split())
        raise StorageError(_STORAGE, f": {shown} cannot be used ({cause}); {fix_of(error)}") from error


def _check_file(url: URL, create: bool) -> None:
    """Refuse a file that is not there or is no database before SQLite would create or touch it."""
    if url.get_backend_name() != "sqlite":
        return
    path = Path(str(url.database))
    if not path.exists():
        if not create:
            raise AbsentLedgerError(_STORAGE, f": there is no database at {path}; ", *_AS_SEARCHED)
        if not path.parent.is_dir():
            raise BitnasError(_STORAGE, f": there is no folder {path.parent}; create it first")
    elif not path.is_file():
        raise BitnasError(_STORAGE, f": {path} is not a file; give the path of a database file")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        given = {name: value for name, value in CLIENT.items() if name not in url.query}
        engine = create_engine(url, connect_args={**given, **settings_of_environment(url)})
        event.listen(engine, "connect", _set_up_postgresql)
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", partial(_check_idle, engine))
        return engine
    check_sqlite()
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    file = SameFile(Path(str(url.database)), _shown(url))
    event.listen(engine, "connect", lambda *_: file.check())
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", lambda _: file.check())
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_postgresql(connection: "psycopg.Connection[Any]", _entry: ConnectionPoolEntry) -> None:
    check_server(connection)
    settings = ", ".join(["set_config(%s, %s, false)"] * len(SERVER))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {settings}", [*chain(*SERVER.items())])
    connection.commit()


def _note_use(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info[_USED] = time.monotonic()


def _check_idle(
    engine: Engine, connection: Any, entry: ConnectionPoolEntry, _fairy: PoolProxiedConnection
) -> None:
    """Ask whether a connection that was idle still is one; to ask each time takes a sixth of a transaction.

    Raises:
        DisconnectionError: it is none; the pool makes another.
    """
    if time.monotonic() - entry.info.get(_USED, math.inf) < IDLE_S:
        return
    try:
        engine.dialect.do_ping(connection)
    except Exception as error:  # whatever the driver has for it
        raise DisconnectionError from error


def _set_up_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # Python's sqlite3 begins transactions late and never around DDL; _begin_sqlite does it instead.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # With a write-ahead log this loses at most the last transactions to a power cut, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail without waiting when another has
    # written in between; one that will write takes the write lock at once.
    if not connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        if not _took_write_lock(raw):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # which raises, as SQLAlchemy does
    finally:
        raw.execute(f"PRAGMA busy_timeout = {1000 * BUSY_TIMEOUT_S}")


def _took_write_lock(connection: sqlite3.Connection) -> bool:
    """Wait for the write lock, by trying again and again; False where that leads nowhere.

    SQLite itself waits longer each time, up to 100 ms, so that who has waited long loses to who has just
    come: half of 16 processes got nothing. Here all try again equally often.
    """
    until = time.monotonic() + BUSY_TIMEOUT_S
    while time.monotonic() < until:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                return False
            time.sleep(random.uniform(*AGAIN_S))  # noqa: S311 - not a secret
        else:
            return True
    return False


def bring_up_to_date(engine: Engine, *, create: bool) -> None:
    """Bring the schema to that of this version, in one transaction; ``create`` makes one where there is none.

    Raises:
        BitnasError: the database is none of ours, or of a newer version, or an older version is at work.
    """
    with engine.connect() as connection:
        if migrate.revision(connection) == migrate.newest():
            return
        # Another command may be creating the tables right now; judge what it leaves.
        migrate.wait_for_others(connection)
        _refuse_foreign(connection, migrate.revision(connection), create)
    if engine.dialect.name == "sqlite":
        _use_write_ahead_log(engine)
    with engine.execution_options(writes=True).begin() as connection:
        migrate.wait_for_others(connection)
        if migrate.revision(connection) not in (None, migrate.newest()):
            refuse_while_used(connection, _shown(engine.url))
        migrate.upgrade(connection)


def _use_write_ahead_log(engine: Engine) -> None:
    """Let readers go on while one writes; the file remembers it, and it cannot be set in a transaction."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _refuse_foreign(connection: Connection, found: str | None, create: bool) -> None:
    shown = _shown(connection.engine.url)
    if found is not None and not migrate.is_known(found):
        fix = "update bitnas, or use another database"
        raise BitnasError(_STORAGE, f": {shown} was written by a newer version of bitnas; {fix}")
    if found is not None:
        return
    tables = inspect(connection).get_table_names()
    if migrate.VERSION_TABLE in tables:
        fix = "go back to a backup of it"
        raise BitnasError(_STORAGE, f": {shown} has no version in '{migrate.VERSION_TABLE}'; {fix}")
    if tables and (taken := sorted(set(tables) & migrate.table_names())):
        fix = "use another database"
        raise BitnasError(_STORAGE, f": {shown} holds a foreign table '{taken[0]}'; {fix}")
    if not create:
        raise AbsentLedgerError(_STORAGE, f": {shown} holds no searches yet; ", *_AS_SEARCHED)

"""Connections of the ledger to SQLite and to PostgreSQL: whom they wait for, and how a loss is noticed."""

import math
import random
import sqlite3
import time
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from nas.ledger.libpq import settings_of_environment
from nas.ledger.same_file import SameFile
from nas.ledger.supported import check_server, check_sqlite

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
READ_ONLY = {"default_transaction_read_only": "on"}
IDLE_S = 1.0
"""After so long a connection may have been lost without anybody's notice."""
_USED = "used"


def connected(url: URL, *, read_only: bool = False) -> Engine:
    """An engine on the database at ``url``, which it opens once it is asked something.

    With ``read_only`` the database refuses every write on its connections.
    """
    if url.get_backend_name() != "sqlite":
        given = {name: value for name, value in CLIENT.items() if name not in url.query}
        engine = create_engine(url, connect_args={**given, **settings_of_environment(url)})
        settings = {**SERVER, **(READ_ONLY if read_only else {})}
        event.listen(engine, "connect", partial(_set_up_postgresql, settings))
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", partial(_check_idle, engine))
        return engine
    check_sqlite()
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    file = SameFile(Path(str(url.database)), url.render_as_string(hide_password=True))
    event.listen(engine, "connect", lambda *_: file.check())
    event.listen(engine, "connect", _set_up_sqlite)
    if read_only:
        event.listen(engine, "connect", _refuse_writes)
    event.listen(engine, "begin", lambda _: file.check())
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_postgresql(
    settings: Mapping[str, str], connection: "psycopg.Connection[Any]", _entry: ConnectionPoolEntry
) -> None:
    check_server(connection)
    calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", [*chain(*settings.items())])
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


def _refuse_writes(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # A file that is opened to be read alone leaves the files of its write-ahead log behind; this does not.
    connection.execute("PRAGMA query_only = ON")


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
            # SQLite tells nobody that a lock is free: to try again is all there is
            time.sleep(random.uniform(*AGAIN_S))  # noqa: S311 - not a secret
        else:
            return True
    return False


def use_write_ahead_log(engine: Engine) -> None:
    """Let readers go on while one writes; the file remembers it, and it cannot be set in a transaction."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()

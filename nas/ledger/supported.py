"""Which databases a ledger may be in; the docs and the refusals of others say it in the same words."""

import sqlite3
from typing import Any

from sqlalchemy import URL

from search_spaces.errors import BitnasError, InvalidInput, Parameter

OLDEST_SQLITE = 3, 35
"""It was the first with RETURNING and DROP COLUMN."""
OLDEST_POSTGRESQL = 12
"""It was the first that notices by itself that a client's network is gone (``tcp_user_timeout``)."""
SUPPORTED = (
    "a ledger is kept in SQLite (3.35 or newer) or in PostgreSQL (12 or newer, by psycopg; tested with 15)"
)
EXAMPLE = "give a URL such as sqlite:///nas.db or postgresql+psycopg://user@host/name"
_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg"}


def check_kind(url: URL) -> None:
    """InvalidInput where a database, or a driver, is none of those supported."""
    kind, driver = url.get_backend_name(), url.get_driver_name()
    if kind not in _DRIVERS:
        raise InvalidInput("storage", f"'{kind}' is not supported: {SUPPORTED}", EXAMPLE)
    if driver != _DRIVERS[kind]:
        raise InvalidInput("storage", f"the driver '{driver}' is not supported: {SUPPORTED}", EXAMPLE)


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """BitnasError where Python's SQLite is too old."""
    if version < OLDEST_SQLITE:
        found = ".".join(map(str, version))
        raise _too_old(f"Python has SQLite {found}", "use a newer Python, or PostgreSQL")


def check_server(connection: Any) -> None:
    """BitnasError where the server at the other end of a psycopg connection is too old."""
    if (found := connection.info.server_version // 10_000) < OLDEST_POSTGRESQL:
        raise _too_old(f"the server is PostgreSQL {found}", "update it, or use SQLite")


def _too_old(what: str, fix: str) -> BitnasError:
    return BitnasError(Parameter("storage"), f": {what}, and {SUPPORTED}; {fix}")

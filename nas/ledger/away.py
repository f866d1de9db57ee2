"""A database that is away for a while: telling that, and having what keeps a search going wait for it."""

import math
import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from nas.formatting import lasting
from nas.ledger.refusals import COMES_BACK, PASSWORD_FIX, is_for_good, is_of_password
from search_spaces.errors import DatabaseAwayError, InvalidInput, StaleClaimError

P = ParamSpec("P")
T = TypeVar("T")
Of = TypeVar("Of")

VARIABLE = "NAS_STORAGE_WAIT"
WAIT_S = 600.0
SHORTEST_S, LONGEST_S = 0.05, 1.0
"""Between two attempts: as long as the wait so far, within these. Half of it is random, so that many workers
do not come back at once."""

_CHECK = "check the URL"
_ROOM, _WRITABLE = "make room on its disk, and go on", "the file and its folder must be writable"
_FIXES: dict[int | str | None, str] = {
    sqlite3.SQLITE_FULL: _ROOM,
    sqlite3.SQLITE_READONLY: _WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _WRITABLE,
    "53100": _ROOM,
    "42501": "grant its user the right, or give the URL of another",
    "25006": "give the URL of a server that takes writes",
}
"""By SQLite's code, or by SQLSTATE."""


def is_away(error: SQLAlchemyError) -> bool:
    """Whether a database does not answer now, and may later."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    state = getattr(cause, "sqlstate", None)
    if error.connection_invalidated or (state is not None and state.startswith(COMES_BACK)):
        return True
    refused: Any = cause if state is None else None
    return type(refused).__name__ in ("OperationalError", "ConnectionTimeout") and not is_for_good(refused)


def fix_of(error: SQLAlchemyError) -> str:
    """What to do about a database that cannot be used."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return _FIXES.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, _CHECK)
    if is_of_password(cause):
        return PASSWORD_FIX
    return _FIXES.get(getattr(cause, "sqlstate", None), _CHECK)


def wait_s() -> float:
    """How many seconds a search waits for its database: those of ``NAS_STORAGE_WAIT``, or 600.

    Raises:
        InvalidInput: it is no number of seconds.
    """
    given = os.environ.get(VARIABLE, "")
    try:
        seconds = float(given or WAIT_S)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidInput(VARIABLE, f"'{given}' is no number of seconds", "give one from 0, such as 600")
    return seconds


def to_stderr(line: str) -> None:
    """Where a person is told that a database is away."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Patience:
    """Has calls start over while the database is away, for so many seconds; threads may share it.

    Args:
        tell: is given a line when the database goes away, and one when it is back.
        check: is called before each pause, and may raise to end the wait.
        seconds: how long to wait; None: ``wait_s()``. Once they are over, calls fail at once until one works.
    """

    def __init__(
        self,
        tell: Callable[[str], None] = to_stderr,
        check: Callable[[], None] = lambda: None,
        seconds: float | None = None,
    ) -> None:
        self._tell, self._check = tell, check
        self._seconds = wait_s() if seconds is None else seconds
        self._lock = threading.Lock()
        self._away_since: float | None = None
        self._told = ""

    def end(self) -> None:
        """From now on a database that is away is an error at once."""
        self._seconds = 0.0

    def during(self, call: Callable[[], T]) -> T:
        """What ``call`` gives, once the database lets it.

        Raises:
            DatabaseAwayError: it was away for too long.
        """
        is_first = True
        while True:
            began = time.monotonic()
            try:
                found = call()
            except DatabaseAwayError as error:
                # the first connection may be of before the database was away; a new one tells
                if not (is_first and self._seconds):
                    self._pause(error)
                is_first = False
            except StaleClaimError:  # by an answer
                self._note_back(began)
                raise
            else:
                self._note_back(began)
                return found

    def _pause(self, error: DatabaseAwayError) -> None:
        now = time.monotonic()
        with self._lock:
            since = self._away_since
            if since is None:
                since = self._away_since = now
                if self._seconds:
                    self._told = error.storage
                    self._tell(f"{error.problem}; waiting for it, at most {lasting(self._seconds)}")
        left = since + self._seconds - now
        if left <= 0:
            raise error
        self._check()
        pause = min(LONGEST_S, max(SHORTEST_S, now - since))
        time.sleep(min(left, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - not a secret

    def _note_back(self, began: float) -> None:
        """A call worked: the database is back if the call began after it went away."""
        if self._away_since is None:
            return
        with self._lock:
            since, told = self._away_since, self._told
            if since is None or began < since:
                return
            self._away_since, self._told = None, ""
        if told:
            self._tell(f"{told} answers again, after {lasting(time.monotonic() - since)}")


def patient(call: Callable[Concatenate[Of, P], T]) -> Callable[Concatenate[Of, P], T]:
    """Have a method of a ledger, or of what holds one as ``_ledger``, start over as its ``patience`` says.

    It must be one transaction, or several that may be repeated: a write that was committed is not repeated
    (``Ledger.writing``), but what came before it is.
    """

    @wraps(call)
    def until_it_answers(of: Of, /, *args: P.args, **kwargs: P.kwargs) -> T:
        ledger: Any = getattr(of, "_ledger", of)
        patience: Patience | None = ledger.patience
        if patience is None:
            return call(of, *args, **kwargs)
        return patience.during(lambda: call(of, *args, **kwargs))

    return until_it_answers

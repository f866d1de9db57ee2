"""Why a PostgreSQL server refuses a connection: by its SQLSTATE, as its messages are in any language."""

import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGconn

COMES_BACK = ("08", "53300", "57P01", "57P02", "57P03")
"""Begin the SQLSTATE of errors that pass: the connection, too many of them, a server that stops or starts."""
ANSWER_S = 10.0
"""How long a server that has just answered may take."""
_STAYS = (
    *("authentication failed", "does not exist", "pg_hba.conf", "no password supplied", "not permitted"),
    *("certificate", "does not support SSL"),
)
"""In the text of a refusal that waiting does not help. It is the last resort: what libpq refuses itself, such
as a certificate, has no SQLSTATE. (It is in English, as Python leaves the language of messages alone.) And
libpq before 18, or off Linux, does not tell the server's: who speaks another language is then waited for."""
_STATE = re.compile(rb'\tErrorResponse\t.*? C "([0-9A-Z]{5})" M "')


def is_for_good(refused: "psycopg.Error") -> bool:
    """Whether a connection that was refused will be so later, too; psycopg has no SQLSTATE for that."""
    if refused.pgconn is not None:
        if refused.pgconn.needs_password:
            return True
        if state := _state(refused.pgconn):
            return not state.startswith(COMES_BACK)
    return any(text in str(refused) for text in _STAYS)


def _state(refused: "PGconn") -> str | None:
    """The SQLSTATE with which a server refuses the same connection once more; None where it does not tell.

    libpq gives that of a query only. Its trace of what server and client say has it, and the password: so it
    is in memory alone.
    """
    from psycopg.pq import PGconn, Ping

    given = {each.keyword: each.val for each in refused.info if each.val}
    asked = b" ".join(b"%s='%s'" % (name, _escaped(value)) for name, value in given.items())
    if not hasattr(os, "memfd_create") or PGconn.ping(asked) != Ping.OK:
        return None
    with _in_memory() as trace:
        connection = PGconn.connect_start(asked)
        connection.trace(trace)
        _go_on(connection)
        connection.untrace()
        connection.finish()
        found = _STATE.search(os.pread(trace, os.fstat(trace).st_size, 0))
    return None if found is None else found[1].decode()


def _escaped(value: bytes) -> bytes:
    return value.replace(b"\\", rb"\\").replace(b"'", rb"\'")


@contextmanager
def _in_memory() -> Iterator[int]:
    file = os.memfd_create("trace")
    try:
        yield file
    finally:
        os.close(file)


def _go_on(connection: "PGconn") -> None:
    """Connect, until that is done, has failed, or takes too long."""
    from psycopg.pq import PollingStatus

    events = {PollingStatus.READING: select.POLLIN, PollingStatus.WRITING: select.POLLOUT}
    until = time.monotonic() + ANSWER_S
    while (waits_for := events.get(PollingStatus(connection.connect_poll()))) and time.monotonic() < until:
        ready = select.poll()
        ready.register(connection.socket, waits_for)
        ready.poll(1000 * ANSWER_S)

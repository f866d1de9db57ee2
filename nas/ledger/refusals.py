"""Why a PostgreSQL server refuses a connection, and whether it will do so later, too."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

COMES_BACK = ("08", "53300", "57P01", "57P02", "57P03")
"""Begin the SQLSTATE of errors that pass: the connection, too many of them, a server that stops or starts."""
_STAYS = (
    *("authentication failed", "does not exist", "pg_hba.conf", "not permitted"),
    *("certificate", "does not support SSL"),
)
"""In the text of a refusal that waiting does not help: libpq tells no SQLSTATE of one. Where the server's
messages are in another language, a search that runs waits for as long as for one that is away."""
PASSWORD_FIX = "put the password into ~/.pgpass or PGPASSWORD"  # noqa: S105 - says where it goes, is none


def is_for_good(refused: "psycopg.Error") -> bool:
    """Whether a connection that was refused will be so later, too."""
    return lacks_password(refused) or any(text in str(refused) for text in _STAYS)


def lacks_password(refused: object) -> bool:
    """Whether a server has asked for a password and none was there."""
    connection = getattr(refused, "pgconn", None)
    return connection is not None and bool(connection.needs_password)


def is_of_password(refused: object) -> bool:
    """Whether a server has asked for a password, and none was there, or a wrong one."""
    connection = getattr(refused, "pgconn", None)
    wrong = connection is not None and connection.used_password and "authentication failed" in str(refused)
    return lacks_password(refused) or bool(wrong)

"""What time it is by the database, which decides how long a trial is whose; machines may disagree."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import Session

Time = datetime | ColumnElement[datetime]


def now(session: Session, later: timedelta = timedelta(0)) -> Time:
    """The server's time, or so much later; this machine's for SQLite, which has no other."""
    return func.now() + later if is_the_servers(session) else datetime.now(UTC) + later


def is_the_servers(session: Session) -> bool:
    """Whether the database has a clock of its own."""
    return session.get_bind().dialect.name != "sqlite"

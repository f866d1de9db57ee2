"""What time it is by the database, which decides how long a trial is whose; machines may disagree."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import Session

Time = datetime | ColumnElement[datetime]


def now(session: Session, later: timedelta = timedelta(0)) -> Time:
    """The server's time, or so much later; this machine's for SQLite, which has no other."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC) + later
    return func.now() + later

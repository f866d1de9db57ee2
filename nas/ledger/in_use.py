"""Whether somebody of an older version is at work: a new schema would take the ledger from under its feet."""

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from nas.ledger.tables import Search, Trial
from nas.ledger.workers import Worker
from search_spaces.errors import BitnasError, Parameter


def refuse_while_used(connection: Connection, shown: str) -> None:
    """Refuse where a trial is somebody's whose lease has not run out; every schema tells.

    Raises:
        BitnasError: the search and the worker are named.
    """
    is_held = Trial.expires_at > (func.now() if connection.dialect.name != "sqlite" else datetime.now(UTC))
    held = (
        select(Search.name, Trial.owner)
        .join(Trial, Trial.search_id == Search.id)
        .where(is_held, Trial.owner.is_not(None))
    )
    for search, owner in connection.execute(held.order_by(Trial.id)):
        worker = Worker.from_text(str(owner))
        if not worker.is_known_dead():
            problem = (
                f"{shown} has an older schema, and {worker.label} of an older version works on '{search}'"
            )
            raise BitnasError(Parameter("storage"), f": {problem}; let that end, or stop it, then try again")

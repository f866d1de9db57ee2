"""Holds the schema of a database against the ledger's tables, and says in words where it differs."""

from collections.abc import Iterator
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from nas.ledger.migrate import VERSION_TABLE
from nas.ledger.tables import Base


def differences(connection: Connection) -> Iterator[str]:
    """What the database lacks of the tables of this version, and the columns that it has in excess.

    Other tables, and further indices, do no harm.
    """
    options = {"version_table": VERSION_TABLE, "compare_type": False, "include_object": _is_ours}
    context = MigrationContext.configure(connection, opts=options)
    for found in compare_metadata(context, Base.metadata):
        for each in found if isinstance(found, list) else [found]:
            yield from _told(*each)


def _is_ours(_object: Any, _name: str, kind: str, is_reflected: bool, compared_to: Any) -> bool:
    """Leave out what only the database has, unless it is a column."""
    return kind == "column" or not (is_reflected and compared_to is None)


def _told(what: str, *about: Any) -> Iterator[str]:
    if what == "add_table":
        yield f"the table '{about[0].name}' is missing"
    elif what == "add_column":
        yield f"'{about[1]}' lacks '{about[2].name}'"
    elif what == "remove_column":
        yield f"'{about[1]}' has '{about[2].name}', which no version of bitnas has added"
    elif what == "modify_nullable":
        yield f"'{about[1]}.{about[2]}' {'may' if about[-2] else 'must not'} be empty, unlike this version's"
    elif what.startswith("add_"):
        yield f"'{about[0].table.name}' lacks '{about[0].name}'"

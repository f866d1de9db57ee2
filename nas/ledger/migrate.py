"""The version of a database's schema: reading it, comparing it, and bringing it up to date with Alembic."""

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select

from nas.ledger.tables import Base

# Not Alembic's own name, so that a ledger can live in a database that another program migrates too.
VERSION_TABLE = "bitnas_version"
# Any constant; it names the lock under which two commands do not upgrade one PostgreSQL at once.
_UPGRADE_LOCK = 0x62697473
_SWAPPED = {"0007": ("latency_low_ms", "0006", "0008"), "0011": ("losses", "0010", "0012")}
"""Numbers that another migration had first, for a while: a column of ``trials`` that tells, the number before
it, and the one that migration has now. Ledgers of that time have it, and lack what has the number today."""


def revision(connection: Connection) -> str | None:
    """The revision of the schema in the database, None where there is none yet."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


@cache
def newest() -> str:
    """The revision of this version's schema."""
    head = _scripts().get_current_head()
    assert head is not None, "the package ships its migrations"  # noqa: S101 - the package would be broken
    return head


def is_known(found: str) -> bool:
    """Whether this version has a migration called ``found`` and so a way from there to the newest."""
    return found in {script.revision for script in _scripts().walk_revisions()}


def steps_from(found: str) -> list[str]:
    """What each migration after ``found`` does, the first one first: its number and its sentence."""
    steps = _scripts().iterate_revisions("head", found)
    return [f"{step.revision}: {(step.doc or '').splitlines()[0]}" for step in reversed([*steps])]


def table_names() -> set[str]:
    """The names of the ledger's own tables."""
    return set(Base.metadata.tables)


def wait_for_others(connection: Connection) -> None:
    """Let nobody else upgrade until this transaction ends (SQLite's own transactions see to that)."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision within the transaction of ``connection``."""
    config = _config()
    config.attributes["connection"] = connection
    found = revision(connection)
    if found in _SWAPPED:
        column, before, has = _SWAPPED[found]
        if column in {each["name"] for each in inspect(connection).get_columns("trials")}:
            command.stamp(config, before)
            command.upgrade(config, found)
            command.stamp(config, has)
    command.upgrade(config, "head")


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "nas.ledger:migrations")
    return config

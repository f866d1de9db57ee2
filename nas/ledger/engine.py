"""Opening the ledger's database: the URL, the schema's version, and clear refusals."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from nas.hints import command, without_password
from nas.ledger import migrate
from nas.ledger.away import fix_of, is_away
from nas.ledger.connecting import connected, use_write_ahead_log
from nas.ledger.in_use import refuse_while_used
from nas.ledger.supported import EXAMPLE, check_kind
from search_spaces.errors import (
    AbsentLedgerError,
    BitnasError,
    DatabaseAwayError,
    InvalidInput,
    Parameter,
    StorageError,
)

_STORAGE = Parameter("storage")
_AS_SEARCHED = "give the ", _STORAGE, " that 'nas search' was given"


def open_engine(url: str, *, create: bool) -> Engine:
    """An engine on the database at ``url`` with the schema of this version.

    An older schema is brought up to date. With ``create`` an absent database file or an empty database
    becomes a ledger; without it nothing is written that is not there yet.

    Raises:
        InvalidInput: ``url`` is not a database URL.
        BitnasError: the database does not open, is absent, is none of ours, or is of a newer version.
    """
    with _opened(url, create) as engine:
        bring_up_to_date(engine, create=create)
        return engine


def open_to_read(url: str) -> Engine:
    """An engine on the ledger at ``url`` on which nothing can be written, a newer schema neither.

    Raises:
        InvalidInput: ``url`` is not a database URL.
        BitnasError: the database does not open, is absent, is none of ours, or is of another version.
    """
    with _opened(url, create=False, read_only=True) as engine:
        with engine.connect() as connection:
            found = migrate.revision(connection)
            _refuse_foreign(connection, found, create=False)
        if found != migrate.newest():
            told = f"is of an older version of bitnas ({found}, this one's is {migrate.newest()})"
            fix = f"{command('db', 'upgrade', storage=without_password(url))} brings it up to date"
            raise BitnasError(_STORAGE, f": {_shown(engine.url)} {told}; {fix}")
        return engine


@contextmanager
def unmigrated(url: str) -> Iterator[Engine]:
    """An engine on the ledger at ``url``, whatever its schema, which stays as it is.

    Raises:
        InvalidInput: ``url`` is not a database URL.
        BitnasError: the database does not open, is absent, or is none of ours.
    """
    with _opened(url, create=False) as engine:
        try:
            with engine.connect() as connection:
                _refuse_foreign(connection, migrate.revision(connection), create=False)
            yield engine
        finally:
            engine.dispose()


@contextmanager
def _opened(url: str, create: bool, read_only: bool = False) -> Iterator[Engine]:
    """An engine, closed where the block fails; what the database raises in it is explained."""
    parsed = parse_url(url)
    _check_file(parsed, create)
    with explained(_shown(parsed)):
        engine = connected(parsed, read_only=read_only)
        try:
            yield engine
        except BaseException:
            engine.dispose()
            raise


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def parse_url(url: str) -> URL:
    """``url`` in parts, with a driver that is installed.

    Raises:
        InvalidInput: it is not a URL, or of a database this project does not use.
    """
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        # The text of a bad URL may hold a password, so it is not repeated.
        raise InvalidInput("storage", "not a database URL", EXAMPLE) from error
    check_kind(parsed)
    if parsed.get_backend_name() == "sqlite" and (parsed.database or ":memory:") == ":memory:":
        raise InvalidInput("storage", "a database in memory is gone when the command ends", EXAMPLE)
    return parsed


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn what a database or its driver raises into one line that names the database ``shown``.

    Raises:
        DatabaseAwayError: in place of the driver's own error, where it may pass.
        StorageError: in place of any other.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        fix = "run pip install -c constraints.txt -e '.[postgres]' in bitnas's repository"
        raise BitnasError(_STORAGE, f": {shown} needs the driver '{error.name}'; {fix}") from error
    except IntegrityError:
        raise  # A broken rule of ours, which the caller knows how to name.
    except SQLAlchemyError as error:
        told = str(getattr(error, "orig", None) or error).strip()
        if is_away(error):
            cause, fix = told.splitlines()[0], "start it, or check the URL"
            raise DatabaseAwayError(_STORAGE, shown, cause, fix) from error
        cause = " ".join(told.split())
        raise StorageError(_STORAGE, f": {shown} cannot be used ({cause}); {fix_of(error)}") from error


def _check_file(url: URL, create: bool) -> None:
    """Refuse a file that is not there or is no database before SQLite would create or touch it."""
    if url.get_backend_name() != "sqlite":
        return
    path = Path(str(url.database))
    if not path.exists():
        if not create:
            raise AbsentLedgerError(_STORAGE, f": there is no database at {path}; ", *_AS_SEARCHED)
        if not path.parent.is_dir():
            raise BitnasError(_STORAGE, f": there is no folder {path.parent}; create it first")
    elif not path.is_file():
        raise BitnasError(_STORAGE, f": {path} is not a file; give the path of a database file")


def bring_up_to_date(engine: Engine, *, create: bool) -> None:
    """Bring the schema to that of this version, in one transaction; ``create`` makes one where there is none.

    Raises:
        BitnasError: the database is none of ours, or of a newer version, or an older version is at work.
    """
    with engine.connect() as connection:
        if migrate.revision(connection) == migrate.newest():
            return
        # Another command may be creating the tables right now; judge what it leaves.
        migrate.wait_for_others(connection)
        _refuse_foreign(connection, migrate.revision(connection), create)
    if engine.dialect.name == "sqlite":
        use_write_ahead_log(engine)
    with engine.execution_options(writes=True).begin() as connection:
        migrate.wait_for_others(connection)
        if migrate.revision(connection) not in (None, migrate.newest()):
            refuse_while_used(connection, _shown(engine.url))
        migrate.upgrade(connection)


def _refuse_foreign(connection: Connection, found: str | None, create: bool) -> None:
    shown = _shown(connection.engine.url)
    if found is not None and not migrate.is_known(found):
        fix = "update bitnas, or use another database"
        raise BitnasError(_STORAGE, f": {shown} was written by a newer version of bitnas; {fix}")
    if found is not None:
        return
    tables = inspect(connection).get_table_names()
    if migrate.VERSION_TABLE in tables:
        fix = "go back to a backup of it"
        raise BitnasError(_STORAGE, f": {shown} has no version in '{migrate.VERSION_TABLE}'; {fix}")
    if tables and (taken := sorted(set(tables) & migrate.table_names())):
        fix = "use another database"
        raise BitnasError(_STORAGE, f": {shown} holds a foreign table '{taken[0]}'; {fix}")
    if not create:
        raise AbsentLedgerError(_STORAGE, f": {shown} holds no searches yet; ", *_AS_SEARCHED)

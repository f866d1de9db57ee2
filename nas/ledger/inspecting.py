"""Looks a ledger over: the database, its schema, rows that belong to nothing, and impossible trials."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, column, exists, func, or_, select, text
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from nas.formatting import counted
from nas.ledger import migrate
from nas.ledger.cells import Damage, damages
from nas.ledger.engine import unmigrated
from nas.ledger.records import TrialState, config_from_dict
from nas.ledger.schema import differences
from nas.ledger.tables import Artifact, Base, Checkpoint, Epoch, PredictionsRow, Search, Trial, Weights
from nas.ledger.whole import flaws
from search_spaces.errors import BitnasError

RUNNING, QUEUED, PAUSED = TrialState.RUNNING, TrialState.QUEUED, TrialState.PAUSED
ENDED = [state for state in TrialState if state.finished]
_MOST = 100
"""Findings of one kind."""


@dataclass(frozen=True)
class Finding:
    """Something that should not be in a ledger.

    Attributes:
        problem: in words.
        search: the search that it is about, if it is about one.
        trial: the number of the trial that it is about, if it is about one.
    """

    problem: str
    search: str | None = None
    trial: int | None = None

    def __str__(self) -> str:
        where = self.search or "the database"
        return f"{where}{'' if self.trial is None else f'/{self.trial}'}: {self.problem}"

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON-able values."""
        return asdict(self)


def check(url: str) -> list[Finding]:
    """What is wrong with the ledger at ``url``, which stays as it is; nothing, where all is well.

    Raises:
        InvalidInput: ``url`` is not a database URL.
        BitnasError: the database does not open, or is none of ours.
    """
    with unmigrated(url) as engine, engine.connect() as connection:
        found = [*_integrity(connection)] or [*_schema(connection)]
        if found:
            return found
        damaged = [*damages(connection)]
        cells = [_of_cell(connection, each) for each in damaged]
        left_out = {each.row["id"] for each in damaged if each.table == "trials"}
        searches = _searches(connection, left_out)
        return [*_orphans(connection), *cells, *searches, *_trials(connection)]


def first_damage(connection: Connection) -> str | None:
    """The first cell that cannot be read, in words; None where there is none."""
    found = next(damages(connection), None)
    return None if found is None else str(_of_cell(connection, found))


def _integrity(connection: Connection) -> Iterator[Finding]:
    """What the database itself finds; PostgreSQL checks as it reads."""
    if connection.dialect.name != "sqlite":
        return
    try:
        for (told,) in connection.execute(text(f"PRAGMA integrity_check({_MOST})")):
            if told != "ok":
                yield Finding(f"SQLite finds: {told}")
    except DatabaseError as error:  # so damaged that it cannot be looked through
        yield Finding(f"SQLite finds: {error.orig}")


def _schema(connection: Connection) -> Iterator[Finding]:
    """A schema of another version, or one that lacks what its version has."""
    found = migrate.revision(connection)
    if found != migrate.newest():
        yield Finding(f"its schema is {found}, and this version's {migrate.newest()}; upgrade it")
        return
    yield from map(Finding, differences(connection))


def _orphans(connection: Connection) -> Iterator[Finding]:
    """Rows that refer to one that is not there."""
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            lost = select(key.parent, func.count()).where(~exists().where(key.column == key.parent))
            for of, count in connection.execute(lost.group_by(key.parent).limit(_MOST)):
                whose = f"row {of} of '{key.column.table.name}', which is gone"
                yield Finding(f"{counted(count, 'row')} of '{table.name}' belong to {whose}")


def _of_cell(connection: Connection, found: Damage) -> Finding:
    """Where a damaged cell is: in a search, in a trial of it, or in what belongs to none."""
    of = found.row.get("id" if found.table == "trials" else "trial_id")
    key, number = found.row.get("id" if found.table == "searches" else "search_id"), None
    if of is not None:
        trial: Select[Any, Any] = select(column("search_id"), column("number")).select_from(Trial.__table__)
        key, number = connection.execute(trial.where(Trial.id == of)).one_or_none() or (None, None)
    name = connection.scalar(select(column("name")).select_from(Search.__table__).where(Search.id == key))
    where = "" if found.table in ("searches", "trials") else f"a row of '{found.table}': "
    return Finding(f"{where}{found.problem}", name, number)


def _searches(connection: Connection, left_out: Collection[int]) -> Iterator[Finding]:
    """Searches whose settings cannot be read, or that have too few trials, or impossible ones."""
    of = select(func.count()).where(Trial.search_id == Search.id).scalar_subquery()
    for key, name in connection.execute(select(Search.id, Search.name)).all():
        try:
            row = connection.execute(select(Search.config, Search.ended, of).where(Search.id == key)).one()
            config = config_from_dict(row.config)
        except (BitnasError, SQLAlchemyError, ValueError, TypeError, KeyError, AttributeError) as error:
            yield Finding(f"its settings cannot be read ({error})", name)
            continue
        if row.ended is None and row[2] < config.trials:
            yield Finding(f"{row[2]} trials are there, of {config.trials}", name)
        for number, problem in flaws(connection, name, key, config, left_out):
            yield Finding(problem, name, number)


def _trials(connection: Connection) -> Iterator[Finding]:
    """Trials that no search could have left so."""
    for problem, which in _IMPOSSIBLE.items():
        for name, number in connection.execute(_named(which).limit(_MOST)):
            yield Finding(problem, name, number)


def _named(which: Any) -> Select[str, int]:
    """The searches and numbers of trials."""
    named = select(Search.name, Trial.number).join(Search, Search.id == Trial.search_id)
    return named.where(which).order_by(Search.id, Trial.number)


_alike = select(
    Trial.id,
    Trial.number,
    func.min(Trial.number).over(partition_by=(Trial.search_id, Trial.digest, Trial.budget)).label("first"),
).where(Trial.digest.is_not(None))
"""Each trial with the first that has its architecture and budget: read once, not once a trial."""
_first_alike = _alike.subquery()
_IMPOSSIBLE: dict[str, Any] = {
    "it runs, and nobody holds it": (Trial.state == RUNNING)
    & or_(Trial.owner.is_(None), Trial.expires_at.is_(None)),
    "somebody holds it, and it does not run": Trial.state.in_([s for s in TrialState if s is not RUNNING])
    & (Trial.state != TrialState.COMPLETE)
    & Trial.expires_at.is_not(None),
    "it is complete, and has no result": (Trial.state == TrialState.COMPLETE)
    & Trial.accuracy.is_(None)
    & Trial.costs.is_(None),
    "it is complete, and has no architecture": (Trial.state == TrialState.COMPLETE)
    & Trial.architecture.is_(None),
    "it has an architecture without a digest, or the other way round": Trial.architecture.is_(None)
    != Trial.digest.is_(None),
    "it is paused, and has no checkpoint": (Trial.state == PAUSED)
    & ~exists().where(Checkpoint.trial_id == Trial.id),
    "it has ended, and has a checkpoint": Trial.state.in_(ENDED)
    & exists().where(Checkpoint.trial_id == Trial.id),
    "it has weights, and is not complete": (Trial.state != TrialState.COMPLETE)
    & Trial.same_as.is_(None)
    & exists().where(Weights.trial_id == Trial.id),
    "it has predictions, and is not complete": (Trial.state != TrialState.COMPLETE)
    & Trial.same_as.is_(None)
    & exists().where(PredictionsRow.trial_id == Trial.id),
    "it was exported, and is not complete": (Trial.state != TrialState.COMPLETE)
    & exists().where(Artifact.trial_id == Trial.id),
    "it has more epochs than it went through": exists().where(
        Epoch.trial_id == Trial.id, Epoch.epoch > Trial.epochs_done
    ),
    "its change is newer than its search's last": Trial.revision > Search.revision,
    "an earlier trial has the same architecture and budget": Trial.same_as.is_(None)
    & Trial.id.in_(select(_first_alike.c.id).where(_first_alike.c.first < _first_alike.c.number)),
}
"""What cannot be, and the trials of which it is so."""

"""The ledger: opening it, creating searches, and reading everything back as records."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlalchemy import ColumnElement, Engine, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from nas.hints import command, without_password
from nas.ledger.away import Patience, is_away, patient
from nas.ledger.engine import explained, open_engine, open_to_read
from nas.ledger.entries import ArtifactRecord, EpochRecord, check_finite
from nas.ledger.front import front_of
from nas.ledger.needs import check_objectives
from nas.ledger.origin import Origin
from nas.ledger.records import (
    SearchConfig,
    SearchRecord,
    TrialRecord,
    TrialState,
    check_search_name,
    config_from_dict,
)
from nas.ledger.rows import (
    Change,
    find_search,
    find_trial,
    measured_columns,
    next_revision,
    noted_change,
    trial_columns,
    trial_record,
)
from nas.ledger.tables import Artifact, Epoch, Search, Trial, Weights
from search_spaces.errors import BitnasError, InvalidInput, Parameter, StorageError

if TYPE_CHECKING:
    from latency import Measurement


_LONG = {"architecture", "choices", "latency_by_workload", "parents"}
_IN_COLUMNS = {"accuracy", "latency", "size"}
"""The objectives of which a trial has a column; others may be computed from its architecture."""
_AT_ONCE = 500
"""Numbers in one statement; databases limit them."""

AddTrials = Callable[[Session, int, SearchConfig], int]
"""Adds trials to the search with an id, numbered from 0, and tells how many."""


def left_out_of(config: SearchConfig, objectives: Iterable[str] = ()) -> set[str]:
    """The columns of trials that are long, save what the objectives of a search, or these, come from."""
    is_enough = {*config.watched, *objectives} <= _IN_COLUMNS
    return _LONG if is_enough else _LONG - {"architecture"}


class Ledger:
    """A database of searches. It may be shared by threads and is a context manager.

    What a worker does to a trial goes through ``nas.ledger.claims.Claims``, measured latencies through
    ``nas.ledger.latencies.SqlLatencyTable``; both take a ledger.
    """

    def __init__(self, engine: Engine, url: str, patience: Patience | None = None) -> None:
        self._engine = engine
        self.patience = patience
        self.url = url
        self._shown = engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(
        cls, url: str, *, create: bool = False, read_only: bool = False, patience: Patience | None = None
    ) -> Self:
        """The ledger at ``url``, brought up to date; ``create`` makes an absent one.

        With ``read_only`` nothing can be written, and one of an older version is refused.
        With ``patience`` it waits for a database that is away: now, and in what a search does with it.

        Raises:
            InvalidInput: ``url`` is not a database URL.
            BitnasError: it does not open, is absent, is none of ours, or is of a newer version.
        """

        def opened() -> Engine:
            return open_to_read(url) if read_only else open_engine(url, create=create)

        return cls(opened() if patience is None else patience.during(opened), url, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that sees one state of the database."""
        with explained(self._shown), self._damage_named(), Session(self._engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that commits when the block ends and rolls back when it raises."""
        engine = self._engine.execution_options(writes=True)
        session = Session(engine, expire_on_commit=False)
        with explained(self._shown), self._damage_named(), session:
            yield session
            try:
                session.commit()
            except DBAPIError as error:
                if not (is_away(error) and self._was_committed(session)):
                    raise

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Say which cell cannot be read, in place of what its reader says; other errors pass.

        Raises:
            StorageError: the ledger has a damaged cell.
        """
        try:
            yield
        except BitnasError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            from nas.ledger.inspecting import first_damage

            with self._engine.connect() as connection:
                told = first_damage(connection)
            if told is None:
                raise
            fix = command("db", "check", storage=without_password(self.url))
            raise StorageError(Parameter("storage"), f": {self._shown}: {told}; run {fix}") from error

    def _was_committed(self, session: Session) -> bool:
        """Whether a transaction is in the database, the answer to whose COMMIT never came.

        The change that it made tells (``nas.ledger.rows.note_change``): no other has its fence and revision.
        To read it locked is to wait for what the server may still do with the lost connection. Where nothing
        was noted the answer is no: what is not noted may be repeated.
        """
        change = noted_change(session)
        if change is None or self.patience is None:
            return False
        return self.patience.during(lambda: self._is_there(change))

    def _is_there(self, change: Change) -> bool:
        with self.reading() as session:
            return session.scalar(change.found().with_for_update()) is not None

    def create_search(
        self,
        name: str,
        config: SearchConfig,
        add_first: AddTrials | None = None,
        origin: Origin | None = None,
    ) -> SearchRecord:
        """Add a search with its trials, all queued, in one transaction.

        ``add_first`` adds trials that come before these, and are not counted (``nas.ledger.warm``).

        Raises:
            InvalidInput: the name is malformed or taken.
        """
        check_search_name(name)
        with self.writing() as session:
            try:
                search = Search(name=name, config=config.to_dict(), created_at=datetime.now(UTC))
                search.origin = None if origin is None else origin.to_dict()
                session.add(search)
                session.flush()
            except IntegrityError as error:
                raise self._taken(name) from error
            first = 0 if add_first is None else add_first(session, search.id, config)
            rows = [
                {"search_id": search.id, "number": first + n, "state": TrialState.QUEUED}
                for n in range(config.trials)
            ]
            if rows:
                session.execute(insert(Trial), rows)
        return self.search(name)

    def check_new(self, names: Iterable[str]) -> None:
        """InvalidInput where a search has one of the names."""
        wanted = list(names)
        with self.reading() as session:
            taken = session.scalars(select(Search.name).where(Search.name.in_(wanted)).order_by(Search.name))
            for name in taken:
                raise self._taken(name)

    def _taken(self, name: str) -> InvalidInput:
        resume = command("search", resume=name, storage=self.url)
        return InvalidInput("name", f"'{name}' is taken", f"choose another name, or go on with it: {resume}")

    @patient
    def searches(self) -> list[SearchRecord]:
        """All searches, oldest first."""
        with self.reading() as session:
            rows = session.scalars(select(Search).order_by(Search.id)).all()
            counts = _counts(session, [row.id for row in rows])
            return [_search_record(row, counts[row.id]) for row in rows]

    @patient
    def search(self, name: str) -> SearchRecord:
        """The search called ``name``.

        Raises:
            InvalidInput: there is none; the message lists those there are.
        """
        with self.reading() as session:
            row = find_search(session, name)
            return _search_record(row, _counts(session, [row.id])[row.id])

    @patient
    def trials(self, name: str) -> list[TrialRecord]:
        """All trials of a search by number; InvalidInput when there is no such search."""
        with self.reading() as session:
            return _records(session, name, find_search(session, name).id)

    @patient
    def outlines(
        self, name: str, state: TrialState | None = None, objectives: Iterable[str] = ()
    ) -> list[TrialRecord]:
        """The trials of a search, of one state or all, without what is long: they take a third of the time.

        They lack choices, parents, the times of kernels, and architectures, unless no choices lead to these,
        or one of the search's objectives, or of ``objectives``, is computed from them.

        Raises:
            InvalidInput: there is no such search.
        """
        with self.reading() as session:
            search = find_search(session, name)
            left_out = left_out_of(config_from_dict(search.config), objectives)
            in_state = () if state is None else (Trial.state == state,)
            return _records(session, name, search.id, *in_state, left_out=left_out)

    @patient
    def trial(self, name: str, number: int) -> TrialRecord:
        """One trial; InvalidInput when there is no such search or number."""
        with self.reading() as session:
            return trial_record(name, find_trial(session, name, number))

    @patient
    def epochs(self, name: str, number: int) -> list[EpochRecord]:
        """The epochs a trial has been through; InvalidInput when there is no such search or number."""
        with self.reading() as session:
            trial = find_trial(session, name, number)
            rows = session.scalars(select(Epoch).where(Epoch.trial_id == trial.id).order_by(Epoch.epoch))
            return [
                EpochRecord(row.epoch, row.train_loss, row.accuracy, row.seconds, row.reported or {})
                for row in rows
            ]

    @patient
    def weights(self, name: str, number: int) -> bytes | None:
        """The tensors that a trial's training ended with, as a safetensors file; None unless complete."""
        with self.reading() as session:
            trial = find_trial(session, name, number)
            return session.scalar(select(Weights.tensors).where(Weights.trial_id == trial.id))

    def front(self, name: str) -> list[TrialRecord]:
        """The complete trials within the limit that none dominates; latency is the predicted one.

        Raises:
            InvalidInput: there is no such search, or a plug-in with an objective of it is not loaded.
        """
        config = self.search(name).config
        check_objectives(name, config)
        front = [trial.number for trial in front_of(self.outlines(name, TrialState.COMPLETE), config)]
        whole = {trial.number: trial for trial in self._numbered(name, front)}
        return [whole[number] for number in front]

    @patient
    def _numbered(self, name: str, numbers: Sequence[int]) -> list[TrialRecord]:
        with self.reading() as session:
            key = find_search(session, name).id
            parts = (numbers[at : at + _AT_ONCE] for at in range(0, len(numbers), _AT_ONCE))
            return [t for part in parts for t in _records(session, name, key, Trial.number.in_(part))]

    @patient
    def training_seconds(self, name: str) -> float:
        """How long the trials of a search were trained, in all."""
        with self.reading() as session:
            search = find_search(session, name)
            trained = (
                select(func.sum(Epoch.seconds))
                .join(Trial, Trial.id == Epoch.trial_id)
                .where(Trial.search_id == search.id)
            )
            return session.scalar(trained) or 0.0

    @patient
    def record_median(self, name: str, of: str, median: float) -> SearchConfig:
        """Resolve the relative limit of an objective, unless somebody has; the config as it then is."""
        with self.writing() as session:
            row = session.scalars(select(Search).where(Search.name == name).with_for_update()).one()
            config = config_from_dict(row.config)
            if of in config.awaited:
                check_finite(median=median)
                config = config.with_median(of, median)
                row.config = config.to_dict()
            return config

    @patient
    def record_verified(self, name: str, number: int, measured: "Measurement") -> None:
        """Put a new time of a complete trial's whole network in place of an older one.

        A time that the machine's noise made worthless takes the place of such a one only.
        """
        values = measured_columns(measured)
        with self.writing() as session:
            trial = find_trial(session, name, number)
            if measured.disturbed and trial.measured_latency_ms is not None and not trial.measured_disturbed:
                return
            for column, value in values.items():
                setattr(trial, column, value)
            trial.error = None
            trial.revision = next_revision(session, trial.search_id)

    def record_artifact(
        self, name: str, number: int, *, path: str, target: str, digest: str
    ) -> ArtifactRecord:
        """Note that a compiled network was written; ``digest`` is the sha256 hex of its manifest."""
        with self.writing() as session:
            trial = find_trial(session, name, number)
            now = datetime.now(UTC)
            row = Artifact(trial_id=trial.id, path=path, target=target, digest=digest, created_at=now)
            session.add(row)
        return ArtifactRecord(name, number, path, target, digest, now)

    def artifacts(self, name: str) -> list[ArtifactRecord]:
        """What was exported from a search, oldest first."""
        with self.reading() as session:
            search = find_search(session, name)
            rows = session.execute(
                select(Artifact, Trial.number)
                .join(Trial, Trial.id == Artifact.trial_id)
                .where(Trial.search_id == search.id)
                .order_by(Artifact.id)
            )
            return [
                ArtifactRecord(name, number, row.path, row.target, row.digest, row.created_at)
                for row, number in rows
            ]


@patient
def revisions(ledger: Ledger) -> dict[str, tuple[int, int]]:
    """The key of each search's row and its revision, by its name."""
    with ledger.reading() as session:
        rows = session.execute(select(Search.name, Search.id, Search.revision))
        return {name: (key, revision) for name, key, revision in rows}


@patient
def find_id(ledger: Ledger, search: str) -> int:
    """The key of a search's row; InvalidInput when there is none."""
    with ledger.reading() as session:
        return find_search(session, search).id


def _records(
    session: Session,
    name: str,
    search_id: int,
    *which: ColumnElement[bool],
    left_out: Collection[str] = (),
) -> list[TrialRecord]:
    """Trials by number, as rows: objects of the tables' classes take twice as long."""
    wanted = select(*trial_columns(left_out)).where(Trial.search_id == search_id, *which)
    return [trial_record(name, row) for row in session.execute(wanted.order_by(Trial.number))]


def _search_record(row: Search, counts: dict[TrialState, int]) -> SearchRecord:
    origin = Origin.from_dict(row.origin)
    return SearchRecord(row.name, config_from_dict(row.config), row.created_at, counts, row.ended, origin)


def _counts(session: Session, searches: list[int]) -> dict[int, dict[TrialState, int]]:
    counts = {search: dict.fromkeys(TrialState, 0) for search in searches}
    rows = session.execute(
        select(Trial.search_id, Trial.state, func.count())
        .where(Trial.search_id.in_(searches))
        .group_by(Trial.search_id, Trial.state)
    )
    for search, state, count in rows:
        counts[search][state] = count
    return counts

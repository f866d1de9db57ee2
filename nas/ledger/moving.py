"""Takes a search out of a ledger as lines, and puts lines into one: a whole search, or nothing."""

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, cast

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nas.ledger.changing import check_new_name
from nas.ledger.checking import Checks
from nas.ledger.lines import (
    CheckpointLine,
    EpochLine,
    OriginOf,
    PredictionsOf,
    SearchLine,
    TrialLine,
    damaged,
    read_search,
    read_trial,
)
from nas.ledger.rows import find_search
from nas.ledger.store import Ledger
from nas.ledger.tables import Checkpoint, Epoch, PredictionsRow, Search, Trial, Weights
from search_spaces.errors import InvalidInput

AT_ONCE = 200
"""Trials that are read in one transaction, and written in one statement."""

_OF_ROW = [name for name in TrialLine.model_fields if name in Trial.__table__.columns]


def search_line(ledger: Ledger, name: str) -> SearchLine:
    """A search as a line; InvalidInput where there is none."""
    with ledger.reading() as session:
        row = find_search(session, name)
        return SearchLine(
            bitnas_search=1,
            name=row.name,
            created_at=row.created_at,
            config=row.config,
            trials=session.scalar(select(func.count()).where(Trial.search_id == row.id)) or 0,
            ended=row.ended,
            origin=cast(OriginOf | None, row.origin),  # the line checks it
        )


def trial_lines(ledger: Ledger, name: str, weights: bool) -> Iterator[TrialLine]:
    """The trials of a search as lines, by number.

    One that runs becomes a queued one, which keeps its architecture, or a paused one, where it has a
    checkpoint; without ``weights`` (trained tensors and checkpoints) a paused one becomes a queued one, too.
    """
    last = -1
    while True:
        with ledger.reading() as session:
            of_search = select(Trial).where(Trial.search_id == find_search(session, name).id)
            rows = session.scalars(
                of_search.where(Trial.number > last).order_by(Trial.number).limit(AT_ONCE)
            ).all()
            found = _lines(session, rows, weights)
        if not found:
            return
        yield from found
        last = found[-1].number


def _lines(session: Session, rows: Iterable[Trial], weights: bool) -> list[TrialLine]:
    by_id = {row.id: row for row in rows}
    epochs: dict[int, list[EpochLine]] = {trial_id: [] for trial_id in by_id}
    for e in session.scalars(select(Epoch).where(Epoch.trial_id.in_(by_id)).order_by(Epoch.epoch)):
        epochs[e.trial_id].append(
            EpochLine(
                epoch=e.epoch,
                train_loss=e.train_loss,
                accuracy=e.accuracy,
                seconds=e.seconds,
                reported=e.reported,
            )
        )
    kept = select(PredictionsRow).where(PredictionsRow.trial_id.in_(by_id))
    predictions = {row.trial_id: _predictions(row.summary) for row in session.scalars(kept)}
    return [
        _line(session, row, epochs[trial_id], predictions.get(trial_id), weights)
        for trial_id, row in by_id.items()
    ]


def _predictions(summary: dict[str, Any]) -> PredictionsOf:
    """As a line has them: pairs of classes as tuples."""
    counts = [tuple(count) for count in summary["counts"]]
    return cast(PredictionsOf, {**summary, "counts": counts})


def _line(
    session: Session,
    row: Trial,
    epochs: list[EpochLine],
    predictions: PredictionsOf | None,
    weights: bool,
) -> TrialLine:
    tensors = session.get(Weights, row.id) if weights else None
    by_workload = row.latency_by_workload and [(key, ms) for key, ms in row.latency_by_workload]
    paused = session.get(Checkpoint, row.id) if weights else None
    # what the ledger holds was checked when it was written
    found = TrialLine.model_construct(
        **{**{name: getattr(row, name) for name in _OF_ROW}, "latency_by_workload": by_workload},
        epochs=epochs,
        weights=None if tensors is None else tensors.tensors,
        predictions=predictions,
        checkpoint=None
        if paused is None
        else CheckpointLine.model_construct(epoch=paused.epoch, tensors=paused.tensors),
    )
    if found.state.finished:
        return found
    return found.again() if found.checkpoint is None else found.left()


def read_file(
    file: IO[bytes], on_unchecked: Callable[[int, str], None] = lambda *_: None
) -> tuple[SearchLine, Iterator[TrialLine]]:
    """The search in a file, and its trials, each checked as it is read.

    ``on_unchecked`` is told after the last how many architectures could not be checked, and of which space.

    Raises:
        InvalidInput: a line is damaged or missing; the message tells which.
    """
    search, config = read_search(file.readline())
    checks = Checks(config)

    def trials() -> Iterator[TrialLine]:
        number = -1
        for number, text in enumerate(file):
            found = read_trial(text, number)
            _check_parents(found, search.trials)
            checks.check(found, number + 2)
            yield found
        if number + 1 != search.trials:
            raise damaged(number + 3, f"{number + 1} trials are there, of {search.trials}")
        if checks.unchecked:
            on_unchecked(checks.unchecked, config.space)

    return search, trials()


def _check_parents(trial: TrialLine, trials: int) -> None:
    for parent in trial.parents or ():
        if parent == trial.number or parent >= trials:
            raise damaged(trial.number + 2, f"parents: trial {parent} is no other trial of the search")


def write(ledger: Ledger, search: SearchLine, trials: Iterable[TrialLine], name: str) -> None:
    """Put a search into a ledger under a name, all in one transaction.

    Raises:
        InvalidInput: the name is malformed or taken, or what ``trials`` raises.
    """
    check_new_name(ledger, name)
    with ledger.writing() as session:
        about = {"config": search.config, "origin": search.origin, "ended": search.ended}
        row = Search(name=name, created_at=search.created_at, revision=1, **about)
        session.add(row)
        try:
            session.flush()
        except IntegrityError as error:
            raise InvalidInput("name", f"'{name}' is taken", "choose another name") from error
        for line in trials:
            _write_trial(session, row.id, line)


def _write_trial(session: Session, search_id: int, line: TrialLine) -> None:
    """One trial; who has a proposal counts as changed (``nas.ledger.history``)."""
    values = {name: getattr(line, name) for name in _OF_ROW}
    row = Trial(search_id=search_id, revision=0 if line.digest is None else 1, **values)
    session.add(row)
    session.flush()
    if line.epochs:
        session.execute(insert(Epoch), [{"trial_id": row.id, **e.model_dump()} for e in line.epochs])
    if line.weights is not None:
        session.add(Weights(trial_id=row.id, tensors=line.weights))
    if line.predictions is not None:
        session.add(PredictionsRow(trial_id=row.id, summary=dict(line.predictions)))
    if line.checkpoint is not None:
        kept = line.checkpoint
        session.add(Checkpoint(trial_id=row.id, epoch=kept.epoch, tensors=kept.tensors))
    session.expunge(row)

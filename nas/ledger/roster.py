"""Who works on a search: workers note themselves and give signs of life; who reads gets records."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from nas.ledger import clock
from nas.ledger.away import patient
from nas.ledger.changes import rows
from nas.ledger.leases import LEASE_S
from nas.ledger.records import TrialState
from nas.ledger.store import Ledger, find_id
from nas.ledger.tables import Epoch, Search, Trial, WorkerRow
from nas.ledger.workers import Worker

STARTING = "starting"
WAITING = "waiting"
"""Begins what a worker does that waits for something, such as for the device."""
FOR_OTHERS = f"{WAITING} for another bitnas process"
"""Begins what a worker does that waits for one that trains or measures on its machine."""
KEPT = 64
"""So many of the workers of a search are kept once they are gone."""
GONE_S = 3600.0
"""Who has given no sign of life for so long is gone."""


class WorkerState(StrEnum):
    """How a worker is: at work, without work, waiting for something such as the device, or not there.

    ``silent`` has given no sign of life for the time of a lease: others take its trial. ``dead`` was on this
    machine, and its process is gone without a word. ``left`` has said that it ended.
    """

    WORKING = "working"
    IDLE = "idle"
    WAITING = "waiting"
    SILENT = "silent"
    DEAD = "dead"
    LEFT = "left"


@dataclass(frozen=True)
class HeldTrial:
    """A trial that a worker holds.

    Attributes:
        number: of the trial.
        epoch: the last one that it has ended, if any.
        epochs: of how many; None where it is not evaluated, but measured.
    """

    number: int
    epoch: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class WorkerRecord:
    """One worker of a search.

    Attributes:
        host: of its machine.
        pid: of its process there.
        state: how it is.
        stage: what goes on beside trials, in words; empty where nothing does.
        trials: those that it holds, by their numbers: one, or as many as run at once where it is the driver
            of a cluster.
        joined_at: since when it works.
        seen_at: its last sign of life.
        silent_s: seconds since that.
        ended_at: when it left; None where it has not said so.
        versions: of bitnas and of what a result depends on.
    """

    host: str
    pid: int
    state: WorkerState
    stage: str
    trials: tuple[HeldTrial, ...]
    joined_at: datetime
    seen_at: datetime
    silent_s: float
    ended_at: datetime | None
    versions: Mapping[str, str]

    @property
    def label(self) -> str:
        """How people see it: ``host:pid``."""
        return f"{self.host}:{self.pid}"

    @property
    def is_gone(self) -> bool:
        """Whether it is of no interest any more: it has left, or was not heard of for long."""
        return self.state is WorkerState.LEFT or self.silent_s > GONE_S

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values; times are ISO 8601 in UTC."""
        times = {name: getattr(self, name) for name in ("joined_at", "seen_at", "ended_at")}
        told = {name: None if time is None else time.isoformat() for name, time in times.items()}
        return {**asdict(self), **told}


class Roster:
    """The workers of one search; times are those of the database's clock."""

    def __init__(self, ledger: Ledger, search: str) -> None:
        self._ledger = ledger
        self._search_id, self._epochs = find_id(ledger, search), ledger.search(search).config.epochs

    @patient
    def join(self, worker: Worker, versions: Mapping[str, str]) -> None:
        """Note a worker that begins; the oldest of those that are gone are forgotten."""
        with self._ledger.writing() as session:
            now = clock.now(session)
            self._forget(session, now)
            row = {"owner": worker.to_text(), "versions": dict(versions), "stage": STARTING}
            times = {"joined_at": now, "seen_at": now}
            session.execute(delete(WorkerRow).where(*self._is(worker)))  # it begins anew
            session.execute(insert(WorkerRow).values(search_id=self._search_id, **row, **times))

    def note(self, worker: Worker, stage: str) -> None:
        """A sign of life, and what goes on beside trials; nothing where the worker was forgotten."""
        with self._ledger.writing() as session:
            values = {"stage": stage, "seen_at": clock.now(session)}
            session.execute(update(WorkerRow).where(*self._is(worker)).values(**values))

    def leave(self, worker: Worker) -> None:
        """The worker has ended."""
        with self._ledger.writing() as session:
            now = clock.now(session)
            left = {"stage": "", "seen_at": now, "ended_at": now}
            session.execute(update(WorkerRow).where(*self._is(worker)).values(**left))

    @patient
    def workers(self, silent_after_s: float = LEASE_S) -> list[WorkerRecord]:
        """All that are known, in the order in which they joined."""
        with self._ledger.reading() as session:
            now = _read(session)
            mine = select(WorkerRow).where(WorkerRow.search_id == self._search_id)
            found = session.scalars(mine.order_by(WorkerRow.joined_at, WorkerRow.id)).all()
            held = self._held(session)
            return [_record(row, held[row.owner], now, silent_after_s) for row in found]

    def _held(self, session: Session) -> defaultdict[str, list[HeldTrial]]:
        """What each owner of trials holds."""
        last = select(func.max(Epoch.epoch)).where(Epoch.trial_id == Trial.id).scalar_subquery()
        columns = select(Trial.owner, Trial.number, Trial.state, Trial.budget, last).order_by(Trial.number)
        mine = columns.where(Trial.search_id == self._search_id, Trial.expires_at.is_not(None))
        found = defaultdict[str, list[HeldTrial]](list)
        for owner, number, state, budget, epoch in session.execute(mine):
            is_evaluated = state is TrialState.RUNNING
            steps = (epoch, budget or self._epochs) if is_evaluated else ()
            found[owner].append(HeldTrial(number, *steps))
        return found

    def _forget(self, session: Session, now: clock.Time) -> None:
        """Delete those that are gone but for the last, so that the table does not grow without end."""
        mine = WorkerRow.search_id == self._search_id
        last = select(WorkerRow.id).where(mine).order_by(WorkerRow.id.desc()).limit(KEPT)
        is_gone = or_(WorkerRow.ended_at.is_not(None), WorkerRow.seen_at < now - timedelta(seconds=GONE_S))
        rows(session, delete(WorkerRow).where(mine, is_gone, WorkerRow.id.not_in(last)))

    def _is(self, worker: Worker) -> tuple[Any, Any]:
        return WorkerRow.search_id == self._search_id, WorkerRow.owner == worker.to_text()


@patient
def present(ledger: Ledger, silent_after_s: float = LEASE_S) -> dict[str, list[WorkerRecord]]:
    """Who works on each search now, by its name; searches that nobody works on are left out.

    Of the trials that a worker holds only those are told that it evaluates. Whoever holds one without having
    noted itself, such as a worker of an older version, is there as well.
    """
    with ledger.reading() as session:
        now = _read(session)
        noted = select(Search.name, WorkerRow).join(Search, Search.id == WorkerRow.search_id)
        there = noted.where(WorkerRow.ended_at.is_(None)).order_by(WorkerRow.joined_at, WorkerRow.id)
        held = _evaluated(session, now)
        found = defaultdict[str, list[WorkerRecord]](list)
        for name, row in session.execute(there):
            trials = [trial for trial, _ in held.pop((name, row.owner), [])]
            worker = _record(row, trials, now, silent_after_s)
            if worker.state not in _GONE:
                found[name].append(worker)
    for (name, owner), unnoted in held.items():
        if not (whose := Worker.from_text(owner)).is_known_dead():
            found[name].append(_unnoted(whose, unnoted, now))
    return dict(found)


def _unnoted(worker: Worker, held: Sequence[tuple[HeldTrial, datetime]], now: datetime) -> WorkerRecord:
    return WorkerRecord(
        host=worker.host,
        pid=worker.pid,
        state=WorkerState.WORKING,
        stage="",
        trials=tuple(trial for trial, _ in held),
        joined_at=min(began for _, began in held),
        seen_at=now,
        silent_s=0.0,
        ended_at=None,
        versions={},
    )


_GONE = WorkerState.LEFT, WorkerState.DEAD, WorkerState.SILENT


def _evaluated(session: Session, now: datetime) -> dict[tuple[str, str], list[tuple[HeldTrial, datetime]]]:
    """The trials that run, and when each began, by the names of their searches and their owners."""
    running = (
        select(Search.name, Trial.owner, Trial.number, Trial.started_at)
        .join(Trial, Trial.search_id == Search.id)
        .where(Trial.state == TrialState.RUNNING, Trial.expires_at > now)
        .order_by(Trial.number)
    )
    found: dict[tuple[str, str], list[tuple[HeldTrial, datetime]]] = {}
    for name, owner, number, started_at in session.execute(running):
        assert owner is not None  # noqa: S101 - whoever has a lease owns it
        found.setdefault((name, owner), []).append((HeldTrial(number), started_at or now))
    return found


def _read(session: Session) -> datetime:
    """The time by the database's clock."""
    now = clock.now(session)
    return now if isinstance(now, datetime) else session.execute(select(now)).scalar_one()


def _record(row: WorkerRow, held: Sequence[HeldTrial], now: datetime, silent_after_s: float) -> WorkerRecord:
    worker, silent_s = Worker.from_text(row.owner), max(0.0, (now - row.seen_at).total_seconds())
    state = _state(row, worker, bool(held), silent_s > silent_after_s)
    is_there = state not in (WorkerState.LEFT, WorkerState.DEAD)
    return WorkerRecord(
        host=worker.host,
        pid=worker.pid,
        state=state,
        stage=row.stage if is_there else "",
        trials=tuple(held) if is_there else (),
        joined_at=row.joined_at,
        seen_at=row.seen_at,
        silent_s=silent_s,
        ended_at=row.ended_at,
        versions=row.versions,
    )


def _state(row: WorkerRow, worker: Worker, holds: bool, is_silent: bool) -> WorkerState:
    if row.ended_at is not None:
        return WorkerState.LEFT
    if worker.is_known_dead():
        return WorkerState.DEAD
    if is_silent:
        return WorkerState.SILENT
    if row.stage.startswith(WAITING):
        return WorkerState.WAITING
    return WorkerState.WORKING if holds or row.stage else WorkerState.IDLE

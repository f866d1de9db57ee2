"""What a list of searches shows: how each one stands, how fast it goes, and who works on it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Any

from nas.algorithms.pruners import pruners
from nas.analysis.kept_search import Best, KeptSearch, first_that_needs_training
from nas.analysis.searches_compared import Comparison, compared
from nas.formatting import MISSING, lasting
from nas.ledger import Ledger, SearchRecord, TrialState
from nas.ledger.roster import WorkerRecord, present
from nas.ledger.store import revisions
from search_spaces.errors import InvalidInput, StorageError

RECENT = 20
"""So many of the trials that ended last tell the rate."""
HOUR_S = 3600.0


class SearchState(StrEnum):
    """Whether a search goes on, and if not, why; once its trials have ended, its front is measured."""

    RUNNING = "running"
    NOT_BEGUN = "not begun"
    STOPPED = "stopped"
    MEASURING = "measuring the front"
    FINISHED = "finished"
    ENDED_EARLY = "ended early"


@dataclass(frozen=True)
class SearchRow:
    """A search as a list shows it.

    Attributes:
        record: its settings and its counts.
        state: whether it goes on.
        workers: who works on it now.
        best: its best trial within the limits, in the first of its objectives that takes training.
        front: how many trials are on its front; None where that is not known here.
        hypervolume: the share of its box that the front dominates, as ``nas pareto`` tells; None where it is
            not defined.
        rate: trials an hour, of the last ones; None where it does not run, or none has ended.
        left_s: seconds until it ends, if it goes on as it did; None where that is not known.
        is_at_most: whether ``left_s`` is the most that it can take: it pauses trials, and few go on.
        unread: why its trials cannot be read; None where they can.
    """

    record: SearchRecord
    state: SearchState
    workers: Sequence[WorkerRecord]
    best: Best | None
    front: int | None
    hypervolume: float | None
    rate: float | None
    left_s: float | None
    is_at_most: bool
    unread: StorageError | None

    @property
    def finished(self) -> int:
        """How many trials have ended."""
        return sum(count for state, count in self.record.counts.items() if state.finished)

    @property
    def told_best(self) -> str:
        """Such as ``97.4%``."""
        return MISSING if self.best is None else self.best.of.told(self.best.value)

    @property
    def told_left(self) -> str:
        """Such as ``about 12 min``."""
        if self.left_s is None:
            return MISSING
        return f"{'at most' if self.is_at_most else 'about'} {lasting(self.left_s)}"

    @property
    def stages(self) -> str:
        """What its workers do beside trials, such as ``timing the front``."""
        return ", ".join(dict.fromkeys(worker.stage for worker in self.workers if worker.stage))

    def to_dict(self) -> dict[str, Any]:
        """The search's record, and how it stands, as JSON-able values."""
        best = self.best
        found = None if best is None else {**best._asdict(), "of": best.of.name}
        return {
            **self.record.to_dict(),
            "state": str(self.state),
            "best": found,
            "front": self.front,
            "hypervolume": self.hypervolume,
            "trials_per_hour": self.rate,
            "left_s": self.left_s,
            "workers": [worker.label for worker in self.workers],
        }

    @property
    def hosts(self) -> Counter[str]:
        """How many workers there are on each machine."""
        return Counter(worker.host for worker in self.workers)


class SearchesData:
    """The searches of a ledger, kept in memory. Threads may share it.

    A look reads the searches' rows, and of their trials only those that have changed since the last.
    """

    def __init__(self) -> None:
        self._kept: dict[str, KeptSearch] = {}
        self._compared: dict[str, Comparison] = {}
        self._lock = Lock()

    def rows(self, ledger: Ledger, now: datetime | None = None) -> list[SearchRow]:
        """Every search, the newest first."""
        at_work, now = present(ledger), now or datetime.now(UTC)
        with self._lock:
            kept = self._refreshed(ledger)
            return [_row(search, at_work.get(search.record.name, ()), now) for search in reversed(kept)]

    def kept(self, ledger: Ledger, names: Sequence[str]) -> list[KeptSearch]:
        """The searches of these names, brought up to date.

        Raises:
            InvalidInput: one of them is not there.
        """
        with self._lock:
            there = {search.record.name: search for search in self._refreshed(ledger)}
        for name in names:
            if name not in there:
                fix = f"the ledger holds: {', '.join(there) or 'none yet'}"
                raise InvalidInput("search", f"there is no search '{name}'", fix)
        return [there[name] for name in names]

    def compared(self, ledger: Ledger, names: Sequence[str], x: str = "", y: str = "") -> Comparison:
        """The searches of these names beside one another; what was asked for last is kept until they change.

        Raises:
            InvalidInput: one of them is not there, or they cannot be compared (``searches_compared``).
        """
        searches = self.kept(ledger, names)
        state = [(s.record.name, s.key, s.revision, s.record.trials) for s in searches]
        wanted = str((state, x, y))
        with self._lock:
            if wanted not in self._compared:
                self._compared = {wanted: compared(searches, x, y)}
            return self._compared[wanted]

    def _refreshed(self, ledger: Ledger) -> list[KeptSearch]:
        """All searches, the oldest first."""
        known = revisions(ledger)  # before the records, so that what changes meanwhile is read next time
        before, self._kept = self._kept, {}
        for record in ledger.searches():
            if record.name not in known:
                continue
            key, revision = known[record.name]
            kept = before.get(record.name)
            if kept is None or not kept.is_of(record, key, revision):
                kept = KeptSearch(record, key)
            if kept.revision < revision:
                kept.refresh(ledger, record, revision)
            kept.record = record
            self._kept[record.name] = kept
        return list(self._kept.values())


def goes_on(ledger: Ledger, searches: Iterable[SearchRecord]) -> bool:
    """Whether one of these searches has trials left, or workers that still measure its front."""
    found = list(searches)
    return any(not search.finished for search in found) or not present(ledger).keys().isdisjoint(
        search.name for search in found
    )


def _row(search: KeptSearch, workers: Sequence[WorkerRecord], now: datetime) -> SearchRow:
    record, standing = search.record, search.standing
    state = _state(record, workers)
    rate = left_s = None
    pauses = record.config.pruner in pruners and pruners.get(record.config.pruner)(record.config).pauses
    if state is SearchState.RUNNING:
        joined = min(worker.joined_at for worker in workers)
        rate = _rate(search, joined, now)
        left_s = _left_by_epochs(search, joined, now) if pauses else _left_by_trials(record, rate)
    if search.unread is not None:
        standing = None
    is_known = standing is not None
    return SearchRow(
        record,
        state,
        workers,
        search.best(first_that_needs_training(record.config)) if is_known else None,
        len(standing.front) if standing is not None else None,
        standing.hypervolume if standing is not None else None,
        rate,
        left_s,
        pauses,
        search.unread,
    )


def _state(record: SearchRecord, workers: Sequence[WorkerRecord]) -> SearchState:
    if not record.finished:
        if workers:
            return SearchState.RUNNING
        is_begun = record.counts[TrialState.QUEUED] < record.trials
        return SearchState.STOPPED if is_begun else SearchState.NOT_BEGUN
    if workers:
        return SearchState.MEASURING
    return SearchState.ENDED_EARLY if _is_early(record) else SearchState.FINISHED


def _is_early(record: SearchRecord) -> bool:
    """Whether there would have been more trials; a command that makes them ends when it has enough."""
    is_enough = record.origin.made_by and not record.counts[TrialState.FAILED]
    return record.ended is not None and not is_enough


def _rate(search: KeptSearch, joined: datetime, now: datetime) -> float | None:
    """Trials an hour since the last but ``RECENT`` ended, or since the first of the workers joined."""
    last = search.last_ended(RECENT + 1)
    since = max(joined, last[RECENT]) if len(last) > RECENT else joined
    count = sum(time > since for time in last)
    return count / _hours(now - since) if count and now > since else None


def _left_by_trials(record: SearchRecord, rate: float | None) -> float | None:
    left = sum(count for state, count in record.counts.items() if not state.finished)
    return None if rate is None else HOUR_S * left / rate


def _left_by_epochs(search: KeptSearch, joined: datetime, now: datetime) -> float | None:
    """Where trials are paused, few end before all do: epochs tell more.

    The epochs that trials have been through since the first of the workers joined give the rate; those of
    trials that began before are left out, so it takes rather less.
    """
    done = search.epochs_since(joined)
    return (now - joined).total_seconds() / done * search.epochs.left(search.record) if done else None


def _hours(time: timedelta) -> float:
    return time.total_seconds() / HOUR_S

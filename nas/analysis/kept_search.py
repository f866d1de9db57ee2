"""One search as lists and comparisons show it, kept up to date by what has changed of its trials."""

import math
from datetime import UTC, datetime
from heapq import nlargest
from typing import NamedTuple

from nas.analysis.epochs import Epochs
from nas.analysis.standing import Standing
from nas.ledger import Ledger, SearchRecord, TrialRecord, TrialState
from nas.ledger.history import changed_trials
from nas.ledger.needs import unknown_objectives
from nas.ledger.records import SearchConfig
from nas.ledger.rows import trial_columns
from nas.ledger.store import left_out_of
from nas.objectives import DEFAULT, Objective, is_known, objective
from search_spaces.errors import DatabaseAwayError, StorageError

UNUSED = {"passed_samples", "error", "digest", "estimated", "accuracies"}
"""Columns of trials, beside the long ones, that nothing here looks at."""
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class Ended(NamedTuple):
    """What is kept of a trial that has ended.

    Attributes:
        number: of the trial.
        at: when it ended.
        epochs: that it was trained.
        values: of the search's ``names``, None for one that it lacks; empty unless it is complete and within
            the limits.
        is_over: whether it is over a limit after all, once it was measured whole.
        is_own: whether this search has run it: it has not taken it over from another one.
    """

    number: int
    at: datetime
    epochs: int
    values: tuple[float | None, ...]
    is_over: bool
    is_own: bool


class Best(NamedTuple):
    """The best trial within the limits, in one objective."""

    of: Objective
    number: int
    value: float


class KeptSearch:
    """A search whose trials are read once, and then as they change; of each a few numbers are kept.

    Attributes:
        record: the search as it was read last.
        revision: up to which the changes of its trials were read.
        names: the objectives whose values are kept: what it trades off, what it limits, and the usual ones.
        standing: its front and its hypervolume; None where an objective of it is not known here.
        epochs: how many its trials have been through, and have left.
        ended: the trials that have ended, by number.
        begun: when its first trial began.
        workers: who has run its trials.
        unread: why its trials could not be read at the last look; None where they were.
    """

    def __init__(self, record: SearchRecord, key: int) -> None:
        self.record, self.key, self.revision = record, key, 0
        self.standing: Standing | None = None
        self.names: tuple[str, ...] = ()
        if not unknown_objectives(record.config):
            self.standing = Standing(record.config)
            self.names = tuple(dict.fromkeys((*record.config.watched, *DEFAULT)))
        self.epochs = Epochs(record.config)
        self.ended: dict[int, Ended] = {}
        self.begun: datetime | None = None
        self.workers: set[str] = set()
        self.unread: StorageError | None = None
        self._epochs_since: dict[int, tuple[datetime, int]] = {}
        self._columns = trial_columns({*left_out_of(record.config), *UNUSED})

    def is_of(self, record: SearchRecord, key: int, revision: int) -> bool:
        """Whether what is kept is about this search: it is no other one of its name, nor an older state."""
        mine = self.key, self.record.created_at, _settled(self.record.config)
        return mine == (key, record.created_at, _settled(record.config)) and revision >= self.revision

    def refresh(self, ledger: Ledger, record: SearchRecord, revision: int) -> None:
        """Take in what has changed; ``revision`` is the search's, read before.

        A damaged trial is noted, so that it takes no other search with it, and looked at again next time.
        """
        self.record, self.unread = record, None
        since = self.revision
        try:
            changed, last = changed_trials(ledger, record.name, self.key, since, self._columns)
        except DatabaseAwayError:
            raise
        except StorageError as error:
            self.unread = error
            return
        self.revision = max(last, revision)
        if self.standing is not None:
            self.standing.take_all(changed)
        for trial in changed:
            self.epochs.take(trial)
            self._take(trial)

    def _take(self, trial: TrialRecord) -> None:
        if trial.worker is not None:
            self.workers.add(trial.worker)
        if trial.started_at is not None and trial.same_as is None:
            self.begun = min(self.begun or trial.started_at, trial.started_at)
            self._epochs_since[trial.number] = trial.started_at, trial.epochs_done or 0
        if not trial.state.finished:
            self.ended.pop(trial.number, None)
            return
        config = self.record.config
        counts = self.standing is not None and trial.state is TrialState.COMPLETE
        counts = counts and not config.broken(trial)
        self.ended[trial.number] = Ended(
            trial.number,
            trial.finished_at or BEFORE_ALL,
            trial.epochs_done or 0,
            tuple(_value(name, trial) for name in self.names) if counts else (),
            config.is_over(trial.measured_latency_ms),
            trial.same_as is None,
        )

    def in_order(self) -> list[Ended]:
        """The trials that have ended, in the order in which they did."""
        return sorted(self.ended.values(), key=lambda trial: (trial.at, trial.number))

    def best(self, name: str) -> Best | None:
        """The best trial within the limits; None where none has a value.

        Of equal ones it is that which is better in the other objectives, in their order.
        """
        if name not in self.names:
            return None
        of, place = objective(name), self.names.index(name)
        kept = (trial for trial in self.ended.values() if trial.values and not trial.is_over)
        known = [(value, trial) for trial in kept if (value := trial.values[place]) is not None]
        if not known:
            return None
        best = min((value for value, _ in known), key=of.loss)
        equal = [trial for value, trial in known if value == best]
        others = [(objective(other), at) for at, other in enumerate(self.names) if is_known(other)]
        first = min(equal, key=lambda t: (*(_loss(o, t.values[at]) for o, at in others), t.number))
        return Best(of, first.number, best)

    def last_ended(self, count: int) -> list[datetime]:
        """When the last of its own trials ended, the latest first."""
        return nlargest(count, (trial.at for trial in self.ended.values() if trial.is_own))

    def epochs_since(self, time: datetime) -> int:
        """How many epochs the trials have been through that began since."""
        return sum(epochs for began, epochs in self._epochs_since.values() if began >= time)


def _loss(of: Objective, value: float | None) -> float:
    return math.inf if value is None else of.loss(value)


def first_that_needs_training(config: SearchConfig) -> str:
    """The objective that a search is about: of those that take training the first, or the first of all."""
    named = (name for name in config.objectives if not objective(name).is_known_before_training)
    return next(named, config.objectives[0])


def _settled(config: SearchConfig) -> dict[str, object]:
    """The settings but for how many trials there are, which may grow."""
    return {name: value for name, value in config.to_dict().items() if name != "trials"}


def _value(name: str, trial: TrialRecord) -> float | None:
    found = objective(name).of(trial)
    return None if found is None else found.value

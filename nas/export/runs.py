"""Trials as runs, as trackers of experiments have them: settings, values by epoch, results, tags, times."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from nas.figures.data import precisions_of, shown_objectives
from nas.hints import command, without_password
from nas.ledger.curves import epochs_of
from nas.ledger.needs import check_objectives
from nas.ledger.records import TRAINING, TrialState
from nas.objectives import objective

if TYPE_CHECKING:
    from nas.ledger import EpochRecord, Ledger, SearchRecord, TrialRecord

OnRun = Callable[[int, int], None]
"""Is told how many runs are done, and of how many."""


class Written(NamedTuple):
    """How many runs were added, changed, and left as they were."""

    added: int
    changed: int
    kept: int


_AT_ONCE = 500
"""Trials whose epochs are read together."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_. -]")
"""What MLflow takes in no name; ``latency@pi`` has one."""
_NAMES = {"latency": "predicted_latency_ms"}
"""Of results, where the objective's name and unit would not say what it is."""


class Value(NamedTuple):
    """A value that was reported after an epoch."""

    name: str
    value: float
    epoch: int
    time: datetime


@dataclass(frozen=True)
class Run:
    """A trial, with names that every tracker takes.

    Attributes:
        number: the trial's.
        state: the trial's.
        params: its choices, and what it was trained with.
        curve: what it reported, epoch by epoch.
        results: what it came to: its objectives, with units in their names.
        tags: what else there is to know, as texts.
        began: when it was begun.
        ended: when it was over, if it is.
    """

    number: int
    state: TrialState
    params: Mapping[str, str | int]
    curve: tuple[Value, ...]
    results: Mapping[str, float]
    tags: Mapping[str, str]
    began: datetime
    ended: datetime | None

    @property
    def name(self) -> str:
        """What a tracker calls it; by name is by number."""
        return f"trial-{self.number:05d}"

    @property
    def digest(self) -> str:
        """Of all that is in it: the same as long as nothing has changed."""
        return sha256(repr(self).encode()).hexdigest()


@dataclass(frozen=True)
class Runs:
    """The runs of a search, as they are now.

    Attributes:
        search: whose they are.
        count: how many there are.
    """

    search: "SearchRecord"
    count: int
    _each: Callable[[], Iterator[Run]]

    def __iter__(self) -> Iterator[Run]:
        return self._each()


def runs_of(ledger: "Ledger", name: str) -> Runs:
    """Every trial of a search that has begun.

    Raises:
        InvalidInput: there is no such search, or a plug-in with an objective of it is not loaded.
    """
    search = ledger.search(name)
    check_objectives(name, search.config)
    trials = [t for t in ledger.trials(name) if t.state is not TrialState.QUEUED]
    front = {trial.number for trial in ledger.front(name)}

    def each() -> Iterator[Run]:
        for at in range(0, len(trials), _AT_ONCE):
            part = trials[at : at + _AT_ONCE]
            epochs = epochs_of(ledger, name, [trial.number for trial in part])
            for trial in part:
                yield _run(search, trial, epochs.get(trial.number, []), trial.number in front, ledger.url)

    return Runs(search, len(trials), each)


def _run(
    search: "SearchRecord", trial: "TrialRecord", epochs: "list[EpochRecord]", on_front: bool, storage: str
) -> Run:
    began = trial.started_at or trial.finished_at or search.created_at
    return Run(
        trial.number,
        trial.state,
        {_plain(name): value for name, value in _params(search, trial).items()},
        tuple(_curve(epochs, began, trial)),
        {_plain(name): value for name, value in _results(search, trial)},
        _tags(search, trial, on_front, storage),
        began,
        trial.finished_at,
    )


def _params(search: "SearchRecord", trial: "TrialRecord") -> dict[str, str | int]:
    """What was chosen, and what every trial of the search has in common, which tells searches apart."""
    config = search.config
    settings = {name: getattr(config, name) for name in ("space", "data", "device", "sampler")}
    params: dict[str, str | int] = {f"search.{name}": value for name, value in settings.items() if value}
    params |= {"search.seed": config.seed, "search.epochs": trial.budget or config.epochs}
    if trial.architecture:
        params["precisions"] = precisions_of(trial)
    return {**params, **(trial.choices or {})}


def _curve(epochs: "list[EpochRecord]", began: datetime, trial: "TrialRecord") -> Iterator[Value]:
    """The ledger keeps how long each epoch took: the end of one is the sum of those up to it."""
    time = began + timedelta(seconds=trial.measuring_s or 0.0)
    for epoch in epochs:
        time += timedelta(seconds=epoch.seconds)
        values = {"accuracy": epoch.accuracy, "train_loss": epoch.train_loss, **epoch.reported}
        for name, value in values.items():
            if value is not None:
                yield Value(f"epoch/{_plain(name)}", value, epoch.epoch, time)


def _results(search: "SearchRecord", trial: "TrialRecord") -> Iterator[tuple[str, float]]:
    for name in shown_objectives(search.config):
        of = objective(name)
        found = of.of(trial)
        if found is not None:
            yield _NAMES.get(name, f"{name}_{of.unit.lower()}" if of.unit else name), found.value
    if trial.measured_latency_ms is not None and not trial.measured_disturbed:
        yield "measured_latency_ms", trial.measured_latency_ms


def _tags(search: "SearchRecord", trial: "TrialRecord", on_front: bool, storage: str) -> dict[str, str]:
    tags = {
        "search": search.name,
        "trial": str(trial.number),
        "state": str(trial.state),
        "on_front": "yes" if on_front else "no",
        "device": search.config.device,
        "digest": trial.digest or "",
        "worker": trial.worker or "",
        "parents": ", ".join(map(str, trial.parents)),
        "same_as": trial.same_as or "",
        "measured_disturbed": trial.measured_disturbed or "",
        "error": trial.error or "",
    }
    if trial.state is TrialState.COMPLETE and search.config.evaluator == TRAINING:
        shown = without_password(storage)
        tags["export"] = command("export", search.name, trial=trial.number, output="winner/", storage=shown)
    return {f"bitnas.{name}": value for name, value in tags.items() if value}


def _plain(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)

"""What the ledger hands out: frozen records of searches, trials, epochs and artifacts, free of SQL."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from nas.ledger.origin import Origin
from nas.ledger.relative_limits import RelativeLimits
from nas.objectives import (
    DEFAULT,
    Figures,
    Objective,
    ObjectiveValue,
    canonical,
    devices_of,
    is_known,
    limits_by_name,
    objective,
    objectives,
    shares_by_name,
)
from search_spaces.errors import InvalidInput, Parameter

WAIT, PREDICT = "wait", "predict"
"""What a search does while its device does not answer: nothing, or predict all it can."""

TRAINING = "training"
"""The evaluator that is built in."""

FRONT, ALL = "front", "all"
"""Of which trials every kernel is measured: of those that may be on the front, or of all."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class TrialState(StrEnum):
    """Where a trial stands; all but the first three are final. A paused one may be trained on."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to the trial's state."""
        return self not in (TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED)


def check_search_name(name: str) -> str:
    """``name`` itself.

    Raises:
        InvalidInput: it is not 1 to 64 letters, digits, dots, dashes or underscores.
    """
    if not _NAME.fullmatch(name):
        rule = "a name is 1 to 64 letters, digits, '.', '-' or '_' and starts with a letter or digit"
        raise InvalidInput("name", f"{name!r} is not a search name", rule)
    return name


def check_limits(limits: Mapping[str, float | None]) -> None:
    """InvalidInput where one of the limits, by the names of parameters, is not a finite number above zero."""
    for name, limit in limits.items():
        if limit is not None and not (math.isfinite(limit) and limit > 0):
            raise InvalidInput(name, f"{limit} is not a limit", "give a finite number above 0, or omit it")


_RANGES = {
    "trials": (1, 1_000_000),
    "epochs": (1, 100_000),
    "seed": (0, 2**32 - 1),
    "batch_size": (2, 65_536),
    "repeats": (1, 100),
    "audit": (0, 1000),
}


def _check_range(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidInput(name, f"{value} is out of range", f"give a whole number in {low}..{high}")


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInput(name, f"{value!r} is not known", f"choose one of {', '.join(known)}")


@dataclass(frozen=True)
class SearchConfig(RelativeLimits):
    """What a search was asked for; it is stored with the search and never changes.

    ``objectives`` are what the search trades off, by name (``nas.objectives``). ``max_latency_ms``,
    ``max_size_kb``, ``max_memory_kb`` (kB of 1000 bytes) and ``max_macs`` limit what is trained, ``limits``
    any other objective by its name; ``None`` is no limit. A limit may be a share of what the median
    architecture of the space has: ``max_latency_share`` of the latency on the device, ``limit_shares`` of any
    other objective, by its name. The medians (``median_latency_ms``, ``medians``) and the limits are then
    filled in once they are known.

    ``evaluator`` is what a trial runs; one of your own may go without ``data`` and without ``device``, which
    are then empty. ``fix`` and ``only`` leave one option or some, by the names of choices
    (``search_spaces.restricted``). ``repeats`` is how often each architecture is trained, with other seeds;
    the first ``audit`` trials are trained to the end, at least twice.
    ``first`` are architectures to begin with, each as its JSON. ``pretrained`` is a file of weights from
    which trainings start wherever names and shapes agree; empty for none. ``validation`` is the share of the
    images that is held back to judge by; None for the data's own.

    Raises:
        InvalidInput: a number is outside its range, or an objective is not known.
    """

    space: str
    data: str
    device: str
    trials: int
    epochs: int
    sampler: str = "auto"
    seed: int = 0
    max_latency_ms: float | None = None
    max_size_kb: float | None = None
    pruner: str = "none"
    when_away: str = WAIT
    image_size: int | None = None
    max_latency_share: float | None = None
    median_latency_ms: float | None = None
    measure: str = FRONT
    batch_size: int | None = None
    learning_rate: float | None = None
    objectives: tuple[str, ...] = DEFAULT
    max_memory_kb: float | None = None
    max_macs: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    evaluator: str = TRAINING
    repeats: int = 1
    audit: int = 0
    first: tuple[str, ...] = ()
    limit_shares: Mapping[str, float] = field(default_factory=dict)
    medians: Mapping[str, float] = field(default_factory=dict)
    fix: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pretrained: str = ""
    validation: float | None = None

    def __post_init__(self) -> None:
        _check_choice("measure", self.measure, (FRONT, ALL))
        _check_choice("when_away", self.when_away, (WAIT, PREDICT))
        for name, (low, high) in _RANGES.items():
            _check_range(name, getattr(self, name), low, high)
        rate = self.learning_rate
        if rate is not None and not 1e-9 <= rate <= 1e3:  # as of a recipe; NaN is in no range
            raise InvalidInput("learning_rate", f"{rate:g} is out of range", "give 1e-09 to 1000, or omit it")
        check_limits({"max_latency_share": self.max_latency_share, **self._named_limits()})
        self._check_objectives()
        self.check_shares()
        self._keep_restrictions()

    def _keep_restrictions(self) -> None:
        """Options are kept as text."""
        object.__setattr__(self, "fix", {name: str(option) for name, option in self.fix.items()})
        only = {name: tuple(map(str, options)) for name, options in self.only.items()}
        object.__setattr__(self, "only", only)

    def _check_objectives(self) -> None:
        """Bring objectives and limits into the form that is kept; InvalidInput where one makes no sense."""
        object.__setattr__(self, "objectives", canonical(self.objectives))
        object.__setattr__(self, "limits", limits_by_name(self.limits))
        object.__setattr__(self, "limit_shares", shares_by_name(self.limit_shares))
        for name in self.limits:
            if setting := objective(name).limit:
                fix = "give ", Parameter(setting)
                raise InvalidInput("limits", f"'{name}' has a setting of its own", fix)

    def _named_limits(self) -> dict[str, float | None]:
        return {o.limit: getattr(self, o.limit) for o in map(objective, objectives) if hasattr(self, o.limit)}

    @cached_property  # it is asked for with every trial
    def limited(self) -> dict[str, float]:
        """Every limit, by its objective's name: the one place that gathers them."""
        named = {o.name: getattr(self, o.limit, None) for o in map(objective, objectives) if o.limit}
        return {**{name: limit for name, limit in named.items() if limit is not None}, **self.limits}

    @property
    def watched(self) -> tuple[str, ...]:
        """The names of the objectives, of what is limited, and of what these are computed from."""
        names = (*self.objectives, *self.limited, *self.shares)
        parts = (part for name in names if is_known(name) for part in objective(name).parts)
        return tuple(dict.fromkeys((*names, *parts)))

    @property
    def further_devices(self) -> tuple[str, ...]:
        """The devices beside ``device`` whose latency counts."""
        return devices_of(self.watched)

    def broken(self, trial: Figures) -> list[tuple[Objective, ObjectiveValue, float]]:
        """The limits that a trial is over by prediction, each with its value."""
        found = [(objective(name), limit) for name, limit in self.limited.items()]
        values = [(o, o.of(trial), limit) for o, limit in found]
        return [(o, v, limit) for o, v, limit in values if v is not None and not o.keeps(v.value, limit)]

    def is_over(self, measured_latency_ms: float | None) -> bool:
        """Whether a network that was measured breaks the limit that it kept by prediction."""
        limit = self.max_latency_ms
        return limit is not None and measured_latency_ms is not None and measured_latency_ms > limit

    def breaks_limit(self, trial: "TrialRecord") -> bool:
        """Whether a trained trial is over a limit after all: measured whole, or by its measured kernels."""
        is_trained = trial.state is TrialState.COMPLETE
        return self.is_over(trial.measured_latency_ms) or (is_trained and bool(self.broken(trial)))

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return {**asdict(self), "objectives": list(self.objectives), "first": list(self.first)}


@dataclass(frozen=True)
class SearchRecord:
    """One search and how many of its trials are in which state (every state has a count).

    ``ended`` is why it has ended before all its trials were run, if it has; ``origin`` what it was made with.
    """

    name: str
    config: SearchConfig
    created_at: datetime
    counts: Mapping[TrialState, int]
    ended: str | None = None
    origin: Origin = field(default_factory=Origin)

    @property
    def trials(self) -> int:
        """How many trials it has: as many as it was asked for, unless it has ended early."""
        return sum(self.counts.values())

    @property
    def finished(self) -> bool:
        """Whether every trial has reached a final state."""
        return not any(count for state, count in self.counts.items() if not state.finished)

    @property
    def drawn_from(self) -> str:
        """What its trials come from: a space, or what a command made them of, such as ``adapt of base``."""
        return self.origin.made_by or self.config.space

    @property
    def drawn_by(self) -> str:
        """The name of its sampler; empty where a command made its trials, one of another."""
        return "" if self.origin.made_by else self.config.sampler

    def told_versions(self, here: Mapping[str, str]) -> list[str]:
        """In a line, or none, which versions ``here`` are not those that it was made with."""
        made = self.origin.versions
        differing = [name for name in here if name in made and made[name] != here[name]]
        told = ", ".join(f"{name} {made[name]}, not {here[name]}" for name in differing)
        return [f"versions: '{self.name}' was made with {told}; results may differ"] if told else []

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values; times are ISO 8601 in UTC."""
        return {
            "name": self.name,
            "created_at": self.created_at.isoformat(),
            "config": self.config.to_dict(),
            "counts": {state.value: count for state, count in self.counts.items()},
            "ended": self.ended,
            "origin": self.origin.to_dict(),
        }


@dataclass(frozen=True)
class TrialRecord:
    """One trial: what was proposed and what came out of it.

    ``accuracy`` is the validation accuracy in 0..1, ``latency_ms`` the prediction made before training,
    ``measured_latency_ms`` the time of the whole compiled network, ``size_kb`` in kB of 1000 bytes.
    ``measured_low_ms`` and ``measured_high_ms`` are the interval of that time by the device's own repeats,
    ``measured_disturbed`` what made it worthless, None where nothing did.
    ``estimated`` are the workloads of the prediction that had never been measured. Nine in ten networks take
    a time between ``latency_low_ms`` and ``latency_high_ms``. ``measuring_s`` is how long the trial was
    measured. ``costs`` are what other objectives said before training, by name. ``budget`` is how many epochs
    it is trained, where the algorithm says so.
    ``epochs_done`` is how many epochs it has been through, ``accuracies`` those of its repeated trainings.
    ``same_as`` is the trial, as SEARCH/NUMBER, of the same architecture whose result it has taken over.
    ``parents`` are the trials of the same search that it was bred from, where the algorithm tells.
    ``passed_over`` is how many proposals were passed over before this one, with some of them in
    ``passed_samples``.
    """

    search: str
    number: int
    state: TrialState
    accuracy: float | None = None
    latency_ms: float | None = None
    measured_latency_ms: float | None = None
    measured_low_ms: float | None = None
    measured_high_ms: float | None = None
    measured_disturbed: str | None = None
    size_kb: float | None = None
    digest: str | None = None
    architecture: str | None = None
    choices: dict[str, str | int] | None = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: str | None = None
    latency_by_workload: list[tuple[str, float]] | None = None
    estimated: tuple[str, ...] = ()
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    measuring_s: float | None = None
    costs: Mapping[str, ObjectiveValue] = field(default_factory=dict)
    budget: int | None = None
    epochs_done: int | None = None
    accuracies: tuple[float, ...] = ()
    same_as: str | None = None
    passed_over: int = 0
    passed_samples: tuple[Mapping[str, Any], ...] = ()
    parents: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values; times are ISO 8601 in UTC, the architecture is its JSON text."""
        record = asdict(self)
        record["state"] = self.state.value
        record["costs"] = {name: cost._asdict() for name, cost in self.costs.items()}
        for name in ("started_at", "finished_at"):
            time = record[name]
            record[name] = None if time is None else time.isoformat()
        return record


def config_from_dict(fields: Mapping[str, Any]) -> SearchConfig:
    """The config that ``SearchConfig.to_dict`` gave, in this version or an earlier one."""
    values = {**fields, "objectives": tuple(fields.get("objectives", DEFAULT))}
    values["first"] = tuple(fields.get("first", ()))
    names = *values["objectives"], *values.get("limits", {}), *values.get("limit_shares", {})
    return SearchConfig(**values) if all(map(is_known, names)) else _ConfigOfMissingPlugin(**values)


@dataclass(frozen=True)
class _ConfigOfMissingPlugin(SearchConfig):
    """A config with objectives of a plug-in that is not here; whoever needs one is told so."""

    def _check_objectives(self) -> None:
        """They were checked when the search was made."""

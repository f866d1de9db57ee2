"""Checks the values of trials that come from a file: what no trial of the search could have had."""

from collections.abc import Iterator

from nas.ledger.lines import TrialLine, damaged
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import ObjectiveValue, is_built_in, is_known, objective

_FIELDS = {"accuracy": "accuracy", "latency": "latency_ms", "size": "size_kb"}
"""Where a trial keeps an objective; the others are among its costs."""
_ROUNDING = 1e-9
"""Of sums of the same parts, added in another order."""


def check_values(config: SearchConfig, trial: TrialLine, line: int) -> None:
    """InvalidInput, which names the line and the field, where a value cannot be."""
    for name, value in _intervals(trial):
        if not _is_within(value):
            told = f"{value.value:g} is not within {value.low:g} to {value.high:g}"
            raise damaged(line, f"{name}: {told}")
    for name, cost in (trial.costs or {}).items():
        if is_built_in(name) and cost["low"] < 0:
            raise damaged(line, f"costs.{name}: {cost['low']:g} is below 0")
    epochs = trial.budget or config.epochs
    done = max([trial.epochs_done or 0, *(epoch.epoch for epoch in trial.epochs)])
    if done > epochs:
        raise damaged(line, f"epochs_done: {done} of {epochs} epochs are too many")
    if missing := next(_missing(config, trial), None):
        raise damaged(line, f"{missing}: a complete trial has a value of it, which the search compares")


def _intervals(trial: TrialLine) -> Iterator[tuple[str, ObjectiveValue]]:
    low, high = trial.latency_low_ms, trial.latency_high_ms
    if trial.latency_ms is not None and low is not None and high is not None:
        yield "latency_ms", ObjectiveValue(trial.latency_ms, low, high)
    for name, cost in (trial.costs or {}).items():
        yield f"costs.{name}", ObjectiveValue(**cost)


def _is_within(value: ObjectiveValue) -> bool:
    slack = _ROUNDING * max(abs(value.low), abs(value.high))
    return value.low - slack <= value.value <= value.high + slack


def _missing(config: SearchConfig, trial: TrialLine) -> Iterator[str]:
    """The fields of objectives that the trial lacks; one of another search may have had other objectives."""
    if trial.state is not TrialState.COMPLETE or trial.same_as is not None:
        return
    record = _record(trial)
    for name in filter(is_known, config.objectives):
        needed = objective(name).parts or (name,)
        for part in needed:
            if objective(part).of(record) is None:
                yield _FIELDS.get(part, f"costs.{part}")


def _record(trial: TrialLine) -> TrialRecord:
    """What objectives look at."""
    return TrialRecord(
        "",
        trial.number,
        trial.state,
        accuracy=trial.accuracy,
        latency_ms=trial.latency_ms,
        latency_low_ms=trial.latency_low_ms,
        latency_high_ms=trial.latency_high_ms,
        size_kb=trial.size_kb,
        architecture=trial.architecture,
        costs={name: ObjectiveValue(**cost) for name, cost in (trial.costs or {}).items()},
    )

"""What an architecture costs in a search: on its devices, by estimate or measured, and by itself."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nas.algorithms.base import Screened
from nas.evaluators.base import Evaluator
from nas.ledger.entries import Cost, check_finite
from nas.ledger.records import ALL, SearchConfig
from nas.measuring.bench import Bench, Predicted
from nas.objectives import LATENCY_AT, ObjectiveValue, objective, objectives
from nas.trials.failures import one_line
from nas.trials.pace import Pace
from search_spaces.architecture import Buildable
from search_spaces.errors import BitnasError, NoDeviceError, StorageError
from search_spaces.search_space import Candidate


@dataclass
class Costing:
    """Costs the architectures of one search.

    Attributes:
        evaluator: tells costs of its own.
        benches: the devices whose latency counts, by name, the search's own first; none where it has none.
    """

    config: SearchConfig
    evaluator: Evaluator
    benches: Mapping[str, Bench] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)

    @property
    def bench(self) -> Bench:
        """The search's device."""
        return self.benches[self.config.device]

    def screened(self, candidate: Candidate) -> Screened:
        """What is known of a candidate by now; nothing is measured, and only what counts is computed."""
        cost = self.estimated(candidate)
        named = ((name, objective(name).of(cost)) for name in self.config.watched)
        values = {name: found.value for name, found in named if found is not None}
        return Screened(candidate.digest, values, over_limits(self.config, cost))

    def estimated(self, candidate: Candidate) -> Cost:
        """What a candidate costs by estimates, as far as it counts in this search."""
        told, names = self._told(candidate), self.config.watched
        if not isinstance(candidate, Buildable):
            return Cost(costs=told)
        from search_spaces.sizing import size

        found = {
            device: bench.estimate(candidate)
            for device, bench in self.benches.items()
            if latency_of(device, self.config) in names
        }
        mine = found.pop(self.config.device, None)
        return Cost(
            latency_ms=None if mine is None else mine.milliseconds,
            latency_low_ms=None if mine is None else mine.low,
            latency_high_ms=None if mine is None else mine.high,
            estimated=[] if mine is None else list(mine.estimated),
            size_kb=size(candidate).kilobytes if "size" in names else None,
            costs={
                **costs_of(candidate, names),
                **{LATENCY_AT + name: _value(predicted) for name, predicted in found.items()},
                **told,
            },
        )

    def before_training(self, candidate: Candidate) -> Cost:
        """By what is known; kernels are measured where that decides about a limit, if affordable."""
        if not isinstance(candidate, Buildable):
            return Cost(costs=self._told(candidate), measuring_s=self.pace.since_last())
        limits = self.config.limited
        found = {
            name: self._predicted(bench, candidate, limits.get(latency_of(name, self.config)))
            for name, bench in self.benches.items()
        }
        return self._cost(candidate, found, self.pace.since_last())

    def _told(self, candidate: Candidate) -> dict[str, ObjectiveValue]:
        """What the evaluator knows beforehand."""
        told = told_by(self.evaluator, candidate)
        return {name: ObjectiveValue.exact(value) for name, value in told.items()}

    def settled(self, architecture: Buildable) -> Cost:
        """By its kernels, all measured.

        Raises:
            NoDeviceError: a device does not answer.
        """
        started = time.monotonic()
        found = {name: bench.predict(architecture) for name, bench in self.benches.items()}
        for name, predicted in found.items():
            if predicted.estimated:
                raise NoDeviceError(f"device: '{name}' does not answer")
        seconds = time.monotonic() - started
        self.pace.add_front(seconds)
        return self._cost(architecture, found, seconds)

    def _predicted(self, bench: Bench, architecture: Buildable, limit: float | None) -> Predicted:
        if self.config.measure == ALL:
            return self._measured(bench, architecture, kernels=0)
        found = bench.estimate(architecture)
        missing = len(found.estimated)
        if missing and _holds(found, limit) and self.pace.affords(missing):
            return self._measured(bench, architecture, missing)
        return found

    def _measured(self, bench: Bench, architecture: Buildable, kernels: int) -> Predicted:
        started = time.monotonic()
        found = bench.predict(architecture)
        self.pace.add_measuring(kernels, time.monotonic() - started)
        return found

    def _cost(self, architecture: Buildable, predicted: Mapping[str, Predicted], measuring_s: float) -> Cost:
        from search_spaces.sizing import size

        further = {name: found for name, found in predicted.items() if name != self.config.device}
        costs = {
            **costs_of(architecture),
            **{LATENCY_AT + name: _value(found) for name, found in further.items()},
            **self._told(architecture),
        }
        mine, kilobytes = predicted.get(self.config.device), size(architecture).kilobytes
        if mine is None:
            return Cost(size_kb=kilobytes, costs=costs, measuring_s=measuring_s)
        return Cost(
            latency_ms=mine.milliseconds,
            size_kb=kilobytes,
            latency_by_workload=mine.by_workload,
            estimated=list(mine.estimated),
            latency_low_ms=mine.low,
            latency_high_ms=mine.high,
            measuring_s=measuring_s,
            costs=costs,
        )


def told_by(evaluator: Evaluator, candidate: Candidate) -> dict[str, float]:
    """What an evaluator knows of a candidate beforehand.

    Raises:
        BitnasError: its ``costs`` failed, or gave what are no finite numbers by name; the message says so.
    """
    try:
        told = evaluator.costs(candidate)
        if not isinstance(told, Mapping):
            raise TypeError(f"{type(told).__name__} is no mapping of names to numbers")
        found = {name: float(value) for name, value in told.items()}
        check_finite(**found)
    except (NoDeviceError, StorageError):  # which say nothing about the candidate
        raise
    except (Exception, SystemExit) as error:
        raise BitnasError(f"costs: {one_line(error)}") from error
    return found


def latency_of(device: str, config: SearchConfig) -> str:
    """The objective that is the latency on a device."""
    return "latency" if device == config.device else LATENCY_AT + device


def costs_of(architecture: Buildable, names: Collection[str] = ()) -> dict[str, ObjectiveValue]:
    """What objectives say of an architecture that can tell from itself alone, by name: all, or ``names``."""
    wanted = [name for name in objectives if not names or name in names]
    found = ((name, objective(name).cost(architecture)) for name in wanted)
    return {name: ObjectiveValue.exact(cost) for name, cost in found if cost is not None}


def over_limits(config: SearchConfig, cost: Cost) -> str | None:
    """Which limits a cost is over, in one line; None when it is within all."""
    told = [f"{o.over(value, limit)}{_share(config, o.name)}" for o, value, limit in config.broken(cost)]
    return "; ".join(told) or None


def _share(config: SearchConfig, name: str) -> str:
    """What a limit is relative to, if it is."""
    share = config.shares.get(name)
    return "" if share is None else f", {share:g}x the space's median"


def _holds(found: Predicted, limit: float | None) -> bool:
    """Whether a limit lies within the interval of a prediction."""
    if limit is None or found.low is None or found.high is None:
        return False
    return found.low <= limit < found.high


def _value(found: Predicted) -> ObjectiveValue:
    middle = found.milliseconds
    low, high = found.low, found.high
    return ObjectiveValue(
        middle, middle if low is None else low, middle if high is None else high, len(found.estimated)
    )

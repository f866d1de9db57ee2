"""What an architecture costs in a search: on its devices, by estimate or measured, and by itself."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.ledger.entries import Cost
from nas.ledger.records import ALL, SearchConfig
from nas.measuring.bench import Bench, Predicted
from nas.objectives import LATENCY_AT, ObjectiveValue, objective, objectives
from nas.trials.pace import Pace
from search_spaces.architecture import Architecture
from search_spaces.errors import NoDeviceError


@dataclass
class Costing:
    """Costs the architectures of one search.

    Attributes:
        bench: the search's device.
        further: further devices whose latency counts, by name.
    """

    config: SearchConfig
    bench: Bench
    further: Mapping[str, Bench] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)

    def before_training(self, architecture: Architecture) -> Cost:
        """By what is known; kernels are measured where that decides about a limit, if affordable."""
        limits = self.config.limited
        found = self._predicted(self.bench, architecture, limits.get("latency"))
        further = {
            name: self._predicted(bench, architecture, limits.get(LATENCY_AT + name))
            for name, bench in self.further.items()
        }
        return self._cost(architecture, found, further, self.pace.since_last())

    def settled(self, architecture: Architecture) -> Cost:
        """By its kernels, all measured.

        Raises:
            NoDeviceError: a device does not answer.
        """
        started = time.monotonic()
        found = {name: bench.predict(architecture) for name, bench in self._benches.items()}
        for name, predicted in found.items():
            if predicted.estimated:
                raise NoDeviceError(f"device: '{name}' does not answer")
        mine, seconds = found.pop(self.config.device), time.monotonic() - started
        self.pace.add_front(seconds)
        return self._cost(architecture, mine, found, seconds)

    @property
    def _benches(self) -> dict[str, Bench]:
        return {self.config.device: self.bench, **self.further}

    def _predicted(self, bench: Bench, architecture: Architecture, limit: float | None) -> Predicted:
        if self.config.measure == ALL:
            return self._measured(bench, architecture, kernels=0)
        found = bench.estimate(architecture)
        missing = len(found.estimated)
        if missing and _holds(found, limit) and self.pace.affords(missing):
            return self._measured(bench, architecture, missing)
        return found

    def _measured(self, bench: Bench, architecture: Architecture, kernels: int) -> Predicted:
        started = time.monotonic()
        found = bench.predict(architecture)
        self.pace.add_measuring(kernels, time.monotonic() - started)
        return found

    def _cost(
        self,
        architecture: Architecture,
        found: Predicted,
        further: Mapping[str, Predicted],
        measuring_s: float,
    ) -> Cost:
        from search_spaces.sizing import size

        return Cost(
            latency_ms=found.milliseconds,
            size_kb=size(architecture).kilobytes,
            latency_by_workload=found.by_workload,
            estimated=list(found.estimated),
            latency_low_ms=found.low,
            latency_high_ms=found.high,
            measuring_s=measuring_s,
            costs={
                **costs_of(architecture),
                **{LATENCY_AT + name: _value(predicted) for name, predicted in further.items()},
            },
        )


def costs_of(architecture: Architecture) -> dict[str, ObjectiveValue]:
    """What every objective says of an architecture that can tell from itself alone, by name."""
    found = ((name, objective(name).cost(architecture)) for name in objectives)
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

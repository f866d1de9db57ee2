"""The Pareto front of a search: the trials that no other trial beats in every way that counts."""

from collections.abc import Iterable

from nas.ledger.records import SearchConfig, TrialRecord, TrialState

Costs = tuple[float, float, float]


def front_of(trials: Iterable[TrialRecord], config: SearchConfig) -> list[TrialRecord]:
    """The front of a search: its trials that none dominates.

    Those whose kernels, once measured, turned out to be over the latency limit are not among them.
    """
    return non_dominated(trial for trial in trials if config.keeps_limits(trial.latency_ms))


def non_dominated(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The complete trials that no complete trial dominates, most accurate first.

    One trial dominates another when it is no worse in accuracy (up), predicted latency (down) and size
    (down), and better in at least one. Two trials that are equal in all three both stay.
    """
    candidates = [(costs, trial) for trial in trials if (costs := _costs(trial)) is not None]
    # Whoever dominates a trial sorts before it, so one pass against the front so far is enough.
    candidates.sort(key=lambda pair: (*pair[0], pair[1].number))
    front: list[tuple[Costs, TrialRecord]] = []
    for costs, trial in candidates:
        if not any(_dominates(other, costs) for other, _ in front):
            front.append((costs, trial))
    return [trial for _, trial in front]


def possible_members(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The complete trials that may be on the front, their latencies being anywhere in their intervals.

    One stays out when another is as accurate and as small, and surely faster, or better in one of these and
    surely no slower.
    """
    known = [(costs, trial) for trial in trials if (costs := _costs(trial)) is not None]
    slowest = [(a, _or(t.latency_high_ms, ms), kb) for (a, ms, kb), t in known]
    return [
        trial
        for (a, ms, kb), trial in known
        if not any(_dominates(other, (a, _or(trial.latency_low_ms, ms), kb)) for other in slowest)
    ]


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _costs(trial: TrialRecord) -> Costs | None:
    complete = trial.state is TrialState.COMPLETE
    if not complete or trial.accuracy is None or trial.latency_ms is None or trial.size_kb is None:
        return None
    return -trial.accuracy, trial.latency_ms, trial.size_kb


def _dominates(one: Costs, other: Costs) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))

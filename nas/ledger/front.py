"""The Pareto front of a search: the trials that no other trial beats in every objective."""

from collections.abc import Iterable, Sequence

from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import DEFAULT, ObjectiveValue, objective

Losses = tuple[float, ...]
"""A trial's objectives, each so that less is better."""


def front_of(trials: Iterable[TrialRecord], config: SearchConfig) -> list[TrialRecord]:
    """The front of a search: its trials that none dominates in the search's objectives.

    Those whose kernels, once measured, turned out to be over a limit are not among them.
    """
    return non_dominated((trial for trial in trials if not config.broken(trial)), config.objectives)


def non_dominated(trials: Iterable[TrialRecord], objectives: Sequence[str] = DEFAULT) -> list[TrialRecord]:
    """The complete trials that no complete trial dominates, the best in the first objective first.

    One trial dominates another when it is no worse in each objective, and better in at least one. Two trials
    that are equal in all both stay.
    """
    candidates = [(losses, trial) for trial in trials if (losses := _losses(trial, objectives)) is not None]
    return [trial for _, trial in _front(candidates)]


def _front(candidates: list[tuple[Losses, TrialRecord]]) -> list[tuple[Losses, TrialRecord]]:
    """Those that no other dominates, the best in the first objective first."""
    # Whoever dominates a trial sorts before it, so one pass against the front so far is enough.
    front: list[tuple[Losses, TrialRecord]] = []
    for losses, trial in sorted(candidates, key=lambda pair: (*pair[0], pair[1].number)):
        if not any(_dominates(other, losses) for other, _ in front):
            front.append((losses, trial))
    return front


def possible_members(trials: Iterable[TrialRecord], config: SearchConfig) -> list[TrialRecord]:
    """The complete trials that may be on the front, each objective being anywhere in its interval.

    One stays out when another surely dominates it, or may break no limit at the best end of its intervals.
    """
    known = [(v, t) for t in trials if (v := _values(t, config.objectives)) is not None]
    named = [objective(name) for name in config.objectives]
    ends = [
        (
            tuple(min(o.loss(v.low), o.loss(v.high)) for o, v in zip(named, values, strict=True)),
            tuple(max(o.loss(v.low), o.loss(v.high)) for o, v in zip(named, values, strict=True)),
            trial,
        )
        for values, trial in known
    ]
    # whoever is dominated by a trial's worst ends is dominated by such ends on their front, too
    sure = [worst for worst, _ in _front([(worst, trial) for _, worst, trial in ends])]
    return [
        trial
        for best, _, trial in ends
        if _may_keep_limits(trial, config) and not any(_dominates(worst, best) for worst in sure)
    ]


def _may_keep_limits(trial: TrialRecord, config: SearchConfig) -> bool:
    """Whether the best end of each limited value's interval is within the limit."""
    return all(min(o.loss(v.low), o.loss(v.high)) <= o.loss(limit) for o, v, limit in config.broken(trial))


def _values(trial: TrialRecord, objectives: Sequence[str]) -> list[ObjectiveValue] | None:
    """The objectives of a complete trial; None where one is missing."""
    if trial.state is not TrialState.COMPLETE:
        return None
    found = [objective(name).of(trial) for name in objectives]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else None


def _losses(trial: TrialRecord, objectives: Sequence[str]) -> Losses | None:
    values = _values(trial, objectives)
    if values is None:
        return None
    return tuple(objective(name).loss(v.value) for name, v in zip(objectives, values, strict=True))


def _dominates(one: Losses, other: Losses) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))

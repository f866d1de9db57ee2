"""What is left to measure of a search's front: kernels of what may be on it, then its members whole."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.ledger.front import front_of, possible_members
from nas.ledger.needs import check_objectives

if TYPE_CHECKING:
    from nas.ledger import Ledger, TrialRecord
    from nas.ledger.history import History

MAX_MEASURING_SHARE = 0.35
"""The share of a search's time that may go into measuring kernels of trials that are not on the front, but
may be."""


@dataclass(frozen=True)
class Todo:
    """Trials to measure: the kernels of one of them, or one of them whole.

    Attributes:
        numbers: the trials that are left.
        done: how many are done.
        is_of_kernels: whether their kernels are to be measured, or they as a whole.
    """

    numbers: tuple[int, ...]
    done: int
    is_of_kernels: bool

    @property
    def stage(self) -> str:
        """What is going on, in words."""
        return "measuring the front's kernels" if self.is_of_kernels else "timing the front"


def next_of_front(
    ledger: "Ledger", search: str, history: "History", without: Collection[int] = ()
) -> Todo | None:
    """What to measure next; None where nothing is left but trials ``without`` which to do.

    ``history`` is of the search: who asks after each measurement reads no more than that has changed.

    The kernels of members are measured first. Then come those of trials that may be members given their
    intervals, while measuring took no more than ``MAX_MEASURING_SHARE`` of the time; each changes what the
    others are taken to be. Then every member is timed whole.
    """
    config = ledger.search(search).config
    if not config.device:
        return None
    check_objectives(search, config)
    history.refresh()
    trials = history.trials
    front = front_of(trials, config)
    if estimated := _unmeasured(front, without, kernels=True):
        return Todo(estimated, len(front) - len(estimated), is_of_kernels=True)
    possible = possible_members(trials, config)
    estimated = _unmeasured(possible, without, kernels=True)
    measured_s = sum(t.measuring_s or 0.0 for t in trials)
    if estimated and measured_s <= MAX_MEASURING_SHARE * (measured_s + ledger.training_seconds(search)):
        return Todo(estimated, len(possible) - len(estimated), is_of_kernels=True)
    if left := _unmeasured(front, without, kernels=False):
        return Todo(left, len(front) - len(left), is_of_kernels=False)
    return None


def _unmeasured(trials: "list[TrialRecord]", without: Collection[int], kernels: bool) -> tuple[int, ...]:
    """The numbers of those that lack a time of some kernel, or of the whole; who failed is left alone."""
    return tuple(
        t.number
        for t in trials
        if t.measured_latency_ms is None
        and t.error is None
        and t.number not in without
        and (not kernels or t.estimated or any(cost.estimated for cost in t.costs.values()))
    )

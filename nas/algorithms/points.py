"""A search's trials as algorithms look at them: losses, broken limits and choices, kept from ask to ask."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from nas import seeds
from nas.algorithms.base import Choices, replay
from nas.objectives import objective
from search_spaces.search_space import Option, SearchSpace

if TYPE_CHECKING:
    from nas.ledger.records import SearchConfig, TrialRecord

Params = dict[str, tuple[Option, tuple[Option, ...]]]
"""What was chosen for each name, and among which options."""


class Drawn(NamedTuple):
    """An architecture that was drawn: its choices, with the options there were, its digest, and the numbers
    of the trials that it was bred from."""

    params: Params
    digest: str
    parents: tuple[int, ...] = ()

    @property
    def choices(self) -> Choices:
        """What was chosen."""
        return {name: chosen for name, (chosen, _) in self.params.items()}


REFUSED = 50
"""So many of the architectures that were over a limit are shown for the next proposal."""

_PENDING = ("queued", "running")


@dataclass(frozen=True, eq=False)
class Point:
    """A trial that takes part in a search.

    Attributes:
        number: the trial's.
        choices: what it chose.
        losses: its objectives, each so that less is better; None while it is queued or running.
        violations: how far it is over each limit, as a share of the limit; 0 or less is within it.
    """

    number: int
    choices: Choices
    losses: tuple[float, ...] | None
    violations: Mapping[str, float]
    space: SearchSpace = field(repr=False)

    @cached_property
    def params(self) -> Params | None:
        """The choices with the options there were; None where the space no longer offers them."""
        return replay(self.space, self.choices)

    @cached_property
    def violation(self) -> float:
        """By how much it is over all limits together; 0 where it is within all."""
        return sum(over for over in self.violations.values() if over > 0)


@dataclass(frozen=True, eq=False)
class Seen:
    """What an algorithm has before it when it is asked.

    Attributes:
        number: the trial that is to be proposed.
        ended: the points that have losses, by number.
        pending: those that are queued or running, by number.
        refused: the latest of what was proposed for this trial before and is over a limit.
        known: the digests that are proposed in vain.
        attempts: how many proposals for this trial were passed over.
        seed: the search's.
    """

    number: int
    ended: Sequence[Point]
    pending: Sequence[Point]
    refused: Sequence[Point]
    known: set[str | None]
    attempts: int
    seed: int

    def seed_of(self, attempt: int) -> int:
        """The seed of an attempt within this ask; another one for each trial, ask and attempt."""
        return seeds.derive(self.seed, seeds.PROPOSE, self.number, self.attempts, attempt)


class Memory:
    """Makes points of trials, each once: a trial that has not changed is the same object in every history."""

    def __init__(self, space: SearchSpace, config: "SearchConfig") -> None:
        self._space, self._config = space, config
        self._named = [objective(name) for name in config.objectives]
        self._trials: Sequence[TrialRecord] = ()
        self._kept: dict[int, tuple[TrialRecord, Point | None]] = {}

    def look(
        self, number: int, history: "Sequence[TrialRecord]", passed_over: "Sequence[TrialRecord]"
    ) -> Seen:
        """What there is to see for the proposal of a trial."""
        self._read(history)
        others = [trial.number for trial in history if trial.number != number]
        points = [point for other in others if (point := self._kept[other][1]) is not None]
        latest = [trial for trial in passed_over if trial.state == "infeasible"][-REFUSED:]
        refused = [point for trial in latest if (point := self._made(trial)) is not None]
        known = {trial.digest for trial in history if trial.number != number}
        return Seen(
            number,
            [point for point in points if point.losses is not None],
            [point for point in points if point.losses is None],
            refused,
            known.union(trial.digest for trial in passed_over),
            len(passed_over),
            self._config.seed,
        )

    def _read(self, history: "Sequence[TrialRecord]") -> None:
        """Make the points of trials that are new or have changed: few are not where they were."""
        moved = [now for now, before in zip_longest(history, self._trials) if now is not before]
        for trial in moved:
            if trial is not None and self._kept.get(trial.number, (None,))[0] is not trial:
                self._kept[trial.number] = trial, self._made(trial)
        self._trials = list(history)

    def _made(self, trial: "TrialRecord") -> Point | None:
        """A trial's point; None where it takes no part: it failed, or tells nothing that another does not."""
        is_alone = trial.choices is not None and trial.same_as is None
        if not is_alone or trial.state == "failed":
            return None
        choices = dict(trial.choices or {})
        if trial.state in _PENDING:
            return Point(trial.number, choices, None, {}, self._space)
        over = violations(self._config, trial)
        if trial.state == "infeasible" and not any(value > 0 for value in over.values()):
            return None  # over a limit that was lifted since
        return Point(trial.number, choices, self._losses(trial), over, self._space)

    def _losses(self, trial: "TrialRecord") -> tuple[float, ...]:
        """A trial's objectives, so that less is better; the worst where one has no value.

        A pruned or paused one takes part with the accuracy it has got to. An infeasible one has none, and its
        broken limit puts it behind every feasible one, whatever stands here.
        """
        found = [(o, o.of(trial)) for o in self._named]
        return tuple(
            o.loss(o.worst if value is None or not math.isfinite(value.value) else value.value)
            for o, value in found
        )


def violations(config: "SearchConfig", trial: "TrialRecord") -> dict[str, float]:
    """How far a trial is over each limit, as a share of the limit; 0 or less is within it, or not known."""
    found: dict[str, float] = {}
    for name, limit in config.limited.items():
        value = objective(name).of(trial)
        loss = objective(name).loss
        found[name] = 0.0 if value is None else (loss(value.value) - loss(limit)) / max(abs(limit), 1e-12)
    return found

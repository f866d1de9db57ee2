"""Finds what a trial is to train: what the algorithm proposes, passing over what is known or over a limit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from nas import seeds
from nas.algorithms.base import Algorithm, Choices, Proposal
from nas.ledger.entries import Cost
from nas.ledger.history import History
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import objective
from nas.trials.costing import Costing, over_limits
from search_spaces.architecture import read_architecture
from search_spaces.errors import ExhaustedError
from search_spaces.search_space import Candidate, Option, SearchSpace, every

ASKS = 10
"""How often the algorithm is asked for one trial, before candidates are drawn."""
MAX_PASSED = 1000
"""How many candidates are passed over for one trial, at most."""
MAX_LISTED = 5000
"""A space of no more architectures is looked through to its end before it counts as exhausted."""
SAMPLES = 3
"""How many of those passed over the ledger keeps, those nearest to the limits."""
DRAWN = 1
"""Sets the seeds of draws apart from those of the algorithm."""


@dataclass(frozen=True)
class Found:
    """What a trial is to train.

    Attributes:
        choices: those that led to it; None where it does not come from the space.
        budget: for how long, in epochs or whatever the evaluator counts.
        over: which limits it is over, in words, where nothing better was found.
        ends: why the search ends with this trial, if it does.
        parents: the trials that it was bred from.
    """

    choices: Choices | None
    candidate: Candidate
    budget: int | None
    cost: Cost
    over: str | None = None
    ends: str | None = None
    parents: tuple[int, ...] = ()


@dataclass
class PassedOver:
    """What was passed over for one trial; ``is_all`` once the whole space was looked through."""

    number: int
    records: list[TrialRecord] = field(default_factory=list)
    is_all: bool = False

    def __len__(self) -> int:
        return len(self.records)

    def __contains__(self, digest: object) -> bool:
        return any(trial.digest == digest for trial in self.records)

    def add(self, choices: Choices, digest: str, cost: Cost | None = None, over: str | None = None) -> None:
        """A candidate that is known, or over a limit."""
        figures: dict[str, Any] = {} if cost is None else _figures(cost)
        state = TrialState.COMPLETE if over is None else TrialState.INFEASIBLE
        self.records.append(
            TrialRecord("", self.number, state, digest=digest, choices=choices, error=over, **figures)
        )

    def nearest(self, config: SearchConfig) -> list[TrialRecord]:
        """Those over a limit, the nearest to it first."""
        over = [trial for trial in self.records if trial.state is TrialState.INFEASIBLE]
        return sorted(over, key=lambda trial: excess(config, trial))

    def samples(self, config: SearchConfig) -> list[dict[str, object]]:
        """A few of them for the ledger."""
        return [
            {"choices": trial.choices, "digest": trial.digest, "why": trial.error}
            for trial in self.nearest(config)[:SAMPLES]
        ]


def _figures(cost: Cost) -> dict[str, Any]:
    names = ("latency_ms", "size_kb", "latency_low_ms", "latency_high_ms", "costs")
    return {**{name: getattr(cost, name) for name in names}, "estimated": tuple(cost.estimated)}


def excess(config: SearchConfig, trial: TrialRecord) -> float:
    """How far a trial is over its limits, each as a share of the limit."""
    return sum(
        max(0.0, o.loss(value.value) - o.loss(limit)) / max(abs(limit), 1e-12)
        for o, value, limit in config.broken(trial)
    )


@dataclass
class Proposer:
    """Finds candidates for the trials of one search."""

    space: SearchSpace
    config: SearchConfig
    algorithm: Algorithm
    costing: Costing
    history: History

    def find(self, passed: PassedOver, check: Callable[[], None]) -> Found:
        """What the trial ``passed.number`` is to train; what is passed over is added to ``passed``.

        Raises:
            ExhaustedError: every architecture is known or over a limit, or nothing else was found.
        """
        for proposal in self._proposals(passed):
            check()
            if found := self._checked(proposal, passed):
                return found
            if len(passed) >= MAX_PASSED:
                break
        return self._nothing(passed)

    def _proposals(self, passed: PassedOver) -> Iterator[Proposal]:
        """What the algorithm proposes, then what is drawn, then whatever is left of a small space."""
        try:
            for _ in range(ASKS):
                yield self.algorithm.ask(passed.number, self.history.trials, passed.records)
        except ExhaustedError:
            pass  # it may know trials that were trained for less, which are worth another
        for attempt in range(ASKS, MAX_PASSED // 2):
            yield self._drawn(passed, attempt)
        listed = list(islice(every(self.space), MAX_LISTED + 1))
        if len(listed) <= MAX_LISTED:
            passed.is_all = True
            order = self._generator(passed.number, MAX_PASSED).permutation(len(listed))
            yield from (Proposal(listed[index]) for index in order)
        else:
            yield from (self._drawn(passed, n) for n in range(MAX_PASSED // 2, MAX_PASSED))

    def _checked(self, proposal: Proposal, passed: PassedOver) -> Found | None:
        """The candidate of a proposal; None where it is passed over."""
        candidate = choose(self.space, proposal.choices)
        digest = candidate.digest
        if digest in passed:
            return None
        if self.is_known(digest, proposal.budget):
            passed.add(proposal.choices, digest)
            return None
        cost = self.costing.estimated(candidate)
        over = over_limits(self.config, cost)
        if over is None:
            cost = self.costing.before_training(candidate)
            over = over_limits(self.config, cost)
        if over is None:
            return Found(proposal.choices, candidate, proposal.budget, cost, parents=proposal.parents)
        passed.add(proposal.choices, digest, cost, over)
        return None

    def is_known(self, digest: str, budget: int | None) -> bool:
        """Whether a trial has that architecture, and as large a budget."""
        other, epochs = self.history.first_with(digest), self.config.epochs
        if other is None or _only_informs(other):
            return False
        return (other.budget or epochs) >= (budget or epochs)

    def _nothing(self, passed: PassedOver) -> Found:
        """The candidate that is nearest to the limits, with why it is over them, if there is no other trial.

        Raises:
            ExhaustedError: there is nothing new, or what is new is over a limit.
        """
        nearest = passed.nearest(self.config)
        if not nearest:
            raise ExhaustedError("every architecture of the space has been tried")
        is_all = passed.is_all and len(passed) < MAX_PASSED
        why = (
            "all other architectures of the space were over a limit"
            if is_all
            else f"{len(passed):,} candidates in a row were over a limit or known"
        )
        others = (trial for trial in self.history.trials if trial.number != passed.number)
        if any(trial.state is not TrialState.FAILED for trial in others):
            raise ExhaustedError(why)
        choices = nearest[0].choices or {}
        candidate = choose(self.space, choices)
        return Found(choices, candidate, None, self.costing.estimated(candidate), nearest[0].error, why)

    def _drawn(self, passed: PassedOver, attempt: int) -> Proposal:
        """By turns a uniform draw, and a neighbour of what is nearest to the limits."""
        generator = self._generator(passed.number, attempt)
        parents = passed.nearest(self.config)[:8] or [t for t in self.history.trials if t.choices]
        if attempt % 2 == 0 or not parents:
            return Proposal(draw(self.space, generator, {}))
        parent = parents[int(generator.integers(len(parents)))]
        kept = dict(parent.choices or {})
        del kept[sorted(kept)[int(generator.integers(len(kept)))]]
        is_trial = parent.number != passed.number  # not one that was passed over
        return Proposal(draw(self.space, generator, kept), parents=(parent.number,) if is_trial else ())

    def _generator(self, number: int, attempt: int) -> np.random.Generator:
        return np.random.default_rng(seeds.derive(self.config.seed, seeds.PROPOSE, number, attempt, DRAWN))


def _only_informs(trial: TrialRecord) -> bool:
    """Whether it is the copy of a trial that was trained otherwise (``nas.ledger.warm``)."""
    return trial.same_as is not None and trial.state is TrialState.PRUNED and trial.budget is not None


def choose(space: SearchSpace, choices: Choices) -> Candidate:
    """What choices lead to."""
    return space.propose(lambda name, _: choices[name])


def candidate_of(space: SearchSpace, choices: Choices | None, architecture: str) -> Candidate:
    """What was stored of a candidate, read back; architectures of your own come from the choices."""
    if choices is None:
        return read_architecture(architecture)
    try:
        return choose(space, choices)
    except KeyError:  # the space has changed since
        return read_architecture(architecture)


def draw(space: SearchSpace, generator: np.random.Generator, kept: Choices) -> Choices:
    """Choices that lead to an architecture: those ``kept``, where they are asked for, and uniform ones."""
    found: Choices = {}

    def pick(name: str, options: tuple[Option, ...]) -> Option:
        drawn = options[int(generator.integers(len(options)))]
        found[name] = kept[name] if kept.get(name) in options else drawn
        return found[name]

    space.propose(pick)
    return found


def objectives_without_value(config: SearchConfig, trial: TrialRecord) -> Sequence[str]:
    """The search's objectives that a trial has no value of."""
    return [name for name in config.objectives if objective(name).of(trial) is None]

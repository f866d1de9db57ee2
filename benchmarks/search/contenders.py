"""Who takes part: bitnas's algorithms in a loop as of its own, and Optuna's samplers in Optuna's."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.search.targets import Network, Target
from nas import seeds
from nas.algorithms.base import Choices, algorithms
from nas.algorithms.choosing import algorithm
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import objective
from nas.trials.proposing import PassedOver, Proposer
from search_spaces.errors import ExhaustedError
from search_spaces.search_space import Option

MOST_ASKS = 10
"""Of Optuna: a network that it has had costs it no trial, until it has asked for so many times as many."""

Contender = Callable[[Target, int, int, int], Iterator[Network]]
"""Gives the networks that a search trains, none of them twice: of a target, with a seed, at most so many
trials, and so many workers."""


def ours(name: str) -> Contender:
    """A search by one of bitnas's algorithms, as its loop calls it."""

    def run(target: Target, seed: int, trials: int, workers: int) -> Iterator[Network]:
        return _Search(target, name, seed, trials, workers).run()

    return run


@dataclass
class Known:
    """The trials of a search as its loop reads them: ``nas.ledger.history.History`` without a ledger."""

    trials: list[TrialRecord] = field(default_factory=list)
    by_digest: dict[str, TrialRecord] = field(default_factory=dict)

    def first_with(self, digest: str) -> TrialRecord | None:
        """The trial of an architecture."""
        return self.by_digest.get(digest)


class _Search:
    """Asks and tells an algorithm; with several workers, each asks before the others' trials have ended."""

    def __init__(self, target: Target, name: str, seed: int, trials: int, workers: int) -> None:
        config = SearchConfig(
            target.space.name,
            target.name,
            "local",
            trials=trials,
            epochs=1,
            sampler=name,
            seed=seed,
            objectives=target.objectives,
        )
        self._target, self._trials, self._workers = target, trials, workers
        self._algorithm = algorithm(target.space, config)
        self._algorithm.screen = target.screen
        self._known: Any = Known()
        costing: Any = target
        self._proposer = Proposer(target.space, config, self._algorithm, costing, self._known)

    def run(self) -> Iterator[Network]:
        """Train one network after the other; the trial that was begun first ends first."""
        for number in range(self._trials):
            try:
                choices = self._proposer.find(PassedOver(number), lambda: None).choices
            except ExhaustedError:
                return
            assert choices is not None
            trial = self._target.record(number, choices, TrialState.RUNNING)
            self._known.trials.append(trial)
            self._known.by_digest[trial.digest] = trial
            if number + 1 >= self._workers:
                self._end(number + 1 - self._workers)
            yield self._target[choices]

    def _end(self, number: int) -> None:
        """The accuracy of a trial is known from now on."""
        choices = self._known.trials[number].choices
        trial = self._target.record(number, choices, TrialState.COMPLETE)
        self._known.trials[number] = self._known.by_digest[str(trial.digest)] = trial
        self._algorithm.tell(trial)


def optuna_study(make: Callable[[int], Any]) -> Contender:
    """A study of Optuna's with one of its samplers, made from a seed; it has one worker."""

    def run(target: Target, seed: int, trials: int, workers: int) -> Iterator[Network]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        named = [objective(name) for name in target.objectives]
        directions = ["maximize" if o.is_maximized else "minimize" for o in named]
        study = optuna.create_study(directions=directions, sampler=make(seeds.derive(seed, seeds.PROPOSE)))
        had: set[str] = set()
        for _ in range(MOST_ASKS * trials):
            asked = study.ask()
            known = target[_suggested(target, asked)]
            study.tell(asked, [known.figures[name] for name in target.objectives])
            if known.digest not in had:
                had.add(known.digest)
                yield known
            if len(had) == trials:
                return

    return run


def _suggested(target: Target, asked: Any) -> Choices:
    """What a trial of Optuna's chooses."""
    choices: Choices = {}

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        choices[name] = asked.suggest_categorical(name, options)
        return choices[name]

    target.space.propose(choose)
    return choices


def _tpe(seed: int) -> Any:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _nsga2(seed: int) -> Any:
    import optuna

    return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)


def _gp(seed: int) -> Any:
    import optuna

    return optuna.samplers.GPSampler(seed=seed)


RIVALS = {"optuna tpe": _tpe, "optuna nsga2": _nsga2, "optuna gp": _gp}
MOST_TRIALS = {"optuna gp": 100}
"""Of contenders that take minutes for more."""


def distinct_names() -> list[str]:
    """The registered algorithms, each once, by the shortest of its names."""
    found: dict[int, str] = {}
    for name in sorted(algorithms, key=len):
        found.setdefault(id(algorithms.get(name)), name)
    return sorted(found.values())


def contenders() -> dict[str, Contender]:
    """Everyone by name: bitnas's algorithms and Optuna's samplers."""
    found = {name: ours(name) for name in distinct_names()}
    return {**found, **{name: optuna_study(make) for name, make in RIVALS.items()}}

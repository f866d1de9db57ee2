"""Who takes part: bitnas's algorithms in its own loop, and Optuna's samplers in Optuna's."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.search.targets import Known, Target
from nas import seeds
from nas.algorithms.base import Algorithm, Choices, ExhaustedError, algorithms
from nas.algorithms.choosing import algorithm
from nas.algorithms.optuna_samplers import samplers
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import objective
from search_spaces.search_space import Option

MOST_PASSED_OVER = 100
"""Proposals for one trial that are known already; after so many the search ends."""
MOST_ASKS = 10
"""Of Optuna: a network that it has had costs it no trial, until it has asked for so many times as many."""

Contender = Callable[[Target, int, int, int], Iterator[Known]]
"""Gives the networks that a search trains, none of them twice: of a target, with a seed, at most so many
trials, and so many workers."""


def ours(name: str) -> Contender:
    """A search by one of bitnas's algorithms, as its loop calls it."""

    def run(target: Target, seed: int, trials: int, workers: int) -> Iterator[Known]:
        return _Search(target, name, seed, trials, workers).run()

    return run


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
        self._algorithm: Algorithm = algorithm(target.space, config)
        self._algorithm.screen = target.screen
        self._history: list[TrialRecord] = []
        self._numbers: dict[str, int] = {}

    def run(self) -> Iterator[Known]:
        """Train one network after the other; the trial that was begun first ends first."""
        for number in range(self._trials):
            try:
                choices = self._new(number)
            except ExhaustedError:
                return
            if choices is None:
                return
            known = self._target[choices]
            self._numbers[known.digest] = number
            self._history.append(self._target.record(number, choices, TrialState.RUNNING))
            if number + 1 >= self._workers:
                self._end(number + 1 - self._workers)
            yield known

    def _new(self, number: int) -> Choices | None:
        """Choices of a network that no trial has had; None where the algorithm finds none."""
        passed: list[TrialRecord] = []
        while len(passed) < MOST_PASSED_OVER:
            choices = self._algorithm.ask(number, self._history, passed).choices
            if self._target[choices].digest not in self._numbers:
                return choices
            passed.append(self._target.record(number, choices, TrialState.COMPLETE))
        return None

    def _end(self, number: int) -> None:
        """The accuracy of a trial is known from now on."""
        choices = self._history[number].choices
        assert choices is not None
        self._history[number] = self._target.record(number, choices, TrialState.COMPLETE)
        self._algorithm.tell(self._history[number])


def optuna_study(make: Callable[[int], Any]) -> Contender:
    """A study of Optuna's with one of its samplers, made from a seed; it has one worker."""

    def run(target: Target, seed: int, trials: int, workers: int) -> Iterator[Known]:
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


def contenders() -> dict[str, Contender]:
    """Everyone by name: those of the registries, each once whatever its further names, and Optuna's."""
    registered: dict[int, str] = {}
    for registry in (algorithms, samplers):
        for name in sorted(registry, key=len):
            registered.setdefault(id(registry.get(name)), name)
    found = {name: ours(name) for name in sorted(registered.values())}
    return {**found, **{name: optuna_study(make) for name, make in RIVALS.items()}}

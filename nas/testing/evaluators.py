"""What every evaluator keeps; see ``nas.evaluators.base.Evaluator`` for the contract."""

import json
import math
from collections.abc import Callable, Mapping

from nas.evaluators.base import Evaluator, PrunedError, Task, evaluators
from nas.ledger.mistakes import Predictions
from nas.ledger.records import SearchConfig
from search_spaces.search_space import Candidate, SearchSpace, space

BUDGET = 2


class Recorder:
    """A report that keeps what it is told, and stops after a step, if told to."""

    def __init__(self, seed: int = 0, stop_after: int | None = None) -> None:
        self.seed, self._stop_after = seed, stop_after
        self.checkpoint: bytes | None = None
        self.weights: bytes | None = None
        self.predictions: Predictions | None = None
        self.told: list[tuple[int, dict[str, float]]] = []

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """See ``Report``."""
        self.told.append((step, dict(values)))
        if step == self._stop_after:
            raise PrunedError("the suite stops it")

    def keep(self, checkpoint: Callable[[], bytes]) -> None:
        """See ``Report``."""

    def check(self) -> None:
        """See ``Report``."""


class EvaluatorConformance:
    """A suite for one evaluator, on a space that it is for::

    from nas.testing.evaluators import EvaluatorConformance

    class TestMine(EvaluatorConformance):
        evaluator, space = "mine", "my-space"
    """

    evaluator: str
    space: str

    def test_candidates_have_an_identity(self) -> None:
        """The same choices lead to the same JSON and digest; others, mostly, to others."""
        found = [self._candidate(seed) for seed in (0, 0, 1, 2, 3)]
        assert found[0].to_json() == found[1].to_json()
        assert found[0].digest == found[1].digest
        assert all(json.loads(one.to_json()) is not None and len(one.digest) <= 64 for one in found)
        assert len({one.digest for one in found}) == len({one.to_json() for one in found})

    def test_it_gives_what_it_promises(self) -> None:
        """A finite number for each of its objectives, beforehand or in the end."""
        evaluator, candidate, report = self._made(), self._candidate(0), Recorder()
        before = {**evaluator.costs(candidate)}
        given = {**before, **evaluator.evaluate(candidate, BUDGET, report)}
        for step, values in report.told:
            given |= values if step == 0 else {}
        assert set(evaluator.objectives) <= set(given)
        assert all(math.isfinite(value) for value in given.values())

    def test_steps_are_counted_from_one(self) -> None:
        """In order, and no more than the budget; step 0 tells what is known before."""
        report = Recorder()
        self._made().evaluate(self._candidate(0), BUDGET, report)
        steps = [step for step, _ in report.told]
        assert steps == sorted(set(steps))
        assert all(0 <= step <= BUDGET for step in steps)

    def test_the_same_seed_gives_the_same(self) -> None:
        """So that a search can be repeated."""
        first, again = (self._made().evaluate(self._candidate(1), BUDGET, Recorder(3)) for _ in range(2))
        assert dict(first) == dict(again)

    def test_it_can_be_stopped(self) -> None:
        """Where it reports steps: what ``report`` raises goes through."""
        report = Recorder(stop_after=1)
        try:
            self._made().evaluate(self._candidate(0), BUDGET, report)
        except PrunedError:
            return
        assert all(step != 1 for step, _ in report.told), "what stops it was swallowed"

    @property
    def config(self) -> SearchConfig:
        """The settings of the search."""
        return SearchConfig(self.space, "", "", trials=2, epochs=BUDGET, evaluator=self.evaluator)

    def made_space(self) -> SearchSpace:
        """The space."""
        return space(self.space)

    def _made(self) -> Evaluator:
        return evaluators.get(self.evaluator)(self.task())

    def task(self) -> Task:
        """What it is made for; one that needs data gives them here."""
        return Task(self.config, None)

    def _candidate(self, seed: int) -> Candidate:
        return self.made_space().sample(seed)

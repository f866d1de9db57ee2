"""What every algorithm keeps; see ``nas.algorithms.base.Algorithm`` for the contract."""

from abc import ABC, abstractmethod
from dataclasses import replace

from nas.algorithms.base import Algorithm, Proposal
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from search_spaces import Buildable, space
from search_spaces.search_space import SearchSpace, buildable

TRIALS = 10


class AlgorithmConformance(ABC):
    """A suite for one algorithm::

    from nas.testing.algorithms import AlgorithmConformance

    class TestMine(AlgorithmConformance):
        def algorithm(self, space, config):
            return Mine(space, config)
    """

    @abstractmethod
    def algorithm(self, space: SearchSpace, config: SearchConfig) -> Algorithm:
        """A new instance, as a worker makes one."""

    @property
    def config(self) -> SearchConfig:
        """The settings of the search."""
        return SearchConfig("tiny", "digits", "local", trials=TRIALS, epochs=4)

    def test_what_it_proposes_can_be_built(self) -> None:
        """And trained: for at least one epoch, and no more than the search has."""
        for trial in self._history(TRIALS):
            assert trial.architecture is not None
            assert trial.budget is None or 1 <= trial.budget <= self.config.epochs

    def test_a_worker_that_starts_over_proposes_the_same(self) -> None:
        """Whatever an instance remembers."""
        history = self._history(TRIALS)
        for number in (0, 1, TRIALS - 1):
            proposal = self._new().ask(number, history[:number])
            assert proposal.choices == history[number].choices

    def test_workers_at_once_propose_differently(self) -> None:
        """Each for a trial of its own, none of which has ended."""
        done = self._history(4)
        running = list[TrialRecord]()
        for number in range(4, 7):
            proposal = self._new().ask(number, [*done, *running])
            running.append(replace(_trial(number, proposal), state=TrialState.RUNNING, accuracy=None))
        assert len({trial.digest for trial in running}) == len(running)

    def test_parents_are_trials_of_the_history(self) -> None:
        """Such as it was shown: each once, and neither the trial itself nor one that is not there."""
        shown = self._history(TRIALS)[::2]
        for number in range(TRIALS, TRIALS + 4):
            parents = self._new().ask(number, shown).parents
            assert set(parents) <= {trial.number for trial in shown}
            assert len(set(parents)) == len(parents)

    def test_it_copes_with_whatever_becomes_of_trials(self) -> None:
        """Those that failed, were pruned, are over a limit, are queued, or come from an older space."""
        done = self._history(6)
        unknown = {"accuracy": None, "latency_ms": None, "size_kb": None}
        mixed = [
            replace(done[0], state=TrialState.FAILED, **unknown),  # type: ignore[arg-type]  # of several types
            replace(done[1], state=TrialState.INFEASIBLE, accuracy=None),
            replace(done[2], state=TrialState.PRUNED),
            replace(done[3], state=TrialState.QUEUED, **unknown),  # type: ignore[arg-type]  # of several types
            replace(done[4], choices={"an.older.space": "had this"}),
            TrialRecord("conformance", 5, TrialState.FAILED, error="before it was proposed"),
        ]
        algorithm = self._new(max_latency_ms=2.0)
        for trial in mixed:
            if trial.state.finished:
                algorithm.tell(trial)
        assert _architecture(algorithm.ask(6, mixed)).origin == "tiny"

    def test_one_objective_is_enough(self) -> None:
        """And any other is as good as accuracy."""
        for objectives in (("accuracy",), ("latency", "size")):
            algorithm = self._new(objectives=objectives)
            assert _architecture(algorithm.ask(3, self._history(3))).origin == "tiny"

    def _new(self, **settings: object) -> Algorithm:
        return self.algorithm(space("tiny"), replace(self.config, **settings))  # type: ignore[arg-type]  # of several types

    def _history(self, trials: int) -> list[TrialRecord]:
        """Trials that one instance proposed, each told of, with made-up results."""
        algorithm, done = self._new(), list[TrialRecord]()
        for number in range(trials):
            done.append(_trial(number, algorithm.ask(number, done)))
            algorithm.tell(done[-1])
        return done


def _architecture(proposal: Proposal) -> Buildable:
    return buildable(space("tiny").propose(lambda name, _: proposal.choices[name]))


def _trial(number: int, proposal: Proposal) -> TrialRecord:
    """A trial whose cost counts float layers, and whose accuracy counts ternary ones."""
    architecture, chosen = _architecture(proposal), list(proposal.choices.values())
    return TrialRecord(
        "conformance",
        number,
        TrialState.COMPLETE,
        accuracy=chosen.count("ternary") / (1 + len(chosen)),
        latency_ms=1.0 + chosen.count("float"),
        size_kb=10.0 + chosen.count("float"),
        architecture=architecture.to_json(),
        digest=architecture.digest,
        choices=proposal.choices,
        budget=proposal.budget,
    )

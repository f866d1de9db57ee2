"""What every objective keeps; see ``nas.objectives.base.Objective`` for the contract."""

import math
from abc import ABC, abstractmethod
from dataclasses import replace

from nas.formatting import MISSING
from nas.ledger.records import TrialRecord, TrialState
from nas.objectives import LATENCY_AT, Objective, ObjectiveValue
from search_spaces import read_architecture, space
from search_spaces.search_space import buildable

COSTED_TRIAL = TrialRecord(
    "conformance",
    0,
    TrialState.RUNNING,
    latency_ms=2.0,
    latency_low_ms=1.5,
    latency_high_ms=2.5,
    size_kb=10.0,
    estimated=("a kernel",),
)
"""A trial that was costed and not trained."""


class ObjectiveConformance(ABC):
    """A suite for one objective::

    from nas.testing.objectives import ObjectiveConformance

    class TestBlocks(ObjectiveConformance):
        def objective(self):
            return Blocks()
    """

    space = "tiny"
    """The space that architectures are drawn from."""

    @abstractmethod
    def objective(self) -> Objective:
        """The objective."""

    def test_it_can_be_named_and_shown(self) -> None:
        """By users who type its name, and in tables."""
        found = self.objective()
        assert found.name.partition("@")[0].replace("_", "").replace("-", "").isalnum()
        assert found.title
        assert found.show(None) == found.told(None) == MISSING
        assert found.show(0.5) != MISSING
        assert found.told(0.5).endswith(found.unit)
        assert found.unit in found.heading

    def test_nothing_is_known_of_a_trial_that_has_not_begun(self) -> None:
        """No value is made up."""
        assert self.objective().of(TrialRecord("conformance", 0, TrialState.QUEUED)) is None

    def test_it_is_known_when_it_says_so(self) -> None:
        """Before the training, or after it, within its interval."""
        found, trial = self.objective(), self._costed()
        value = found.of(trial)
        assert (value is not None) == found.is_known_before_training
        for known in (value, found.of(_trained(trial))):
            if known is not None:
                assert known.low <= known.value <= known.high
                assert all(map(math.isfinite, known[:3]))

    def test_less_loss_is_better(self) -> None:
        """And a limit is kept by what is as good as it."""
        found = self.objective()
        better, worse = (2.0, 1.0) if found.is_maximized else (1.0, 2.0)
        assert found.loss(better) < found.loss(worse)
        assert found.keeps(better, limit=worse)
        assert found.keeps(worse, limit=worse)
        assert found.keeps(None, limit=better)
        assert not found.keeps(worse, limit=better)
        assert found.title in found.over(ObjectiveValue(worse, worse, worse + 1, estimated=1), better)

    def test_a_cost_is_of_the_architecture_alone(self) -> None:
        """Finite, not negative, and the same each time, also of an architecture that was stored."""
        found = self.objective()
        for seed in range(3):
            architecture = buildable(space(self.space).sample(seed))
            cost = found.cost(architecture)
            assert cost == found.cost(read_architecture(architecture.to_json()))
            assert cost is None or (math.isfinite(cost) and cost >= 0)

    def _costed(self) -> TrialRecord:
        """A trial that is not trained, and has a cost where the objective gives one."""
        found = self.objective()
        cost = found.cost(buildable(space(self.space).sample(0)))
        value = ObjectiveValue(1.0, 0.5, 1.5) if found.name.startswith(LATENCY_AT) else None
        known = ObjectiveValue.exact(cost) if cost is not None else value
        return COSTED_TRIAL if known is None else _with_costs(COSTED_TRIAL, {found.name: known})


def _with_costs(trial: TrialRecord, costs: dict[str, ObjectiveValue]) -> TrialRecord:
    return replace(trial, costs=costs)


def _trained(trial: TrialRecord) -> TrialRecord:
    return replace(trial, state=TrialState.COMPLETE, accuracy=0.75)

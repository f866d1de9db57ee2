"""The audit: rank correlations against a reference, what is advised, and a search that has one."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

import nas
from nas.ledger import Ledger, SearchConfig, TrialState
from nas.searching.audit import Audit, audit_of, audited_from, tau
from nas.searching.creating import create
from nas.trials.job import Job
from nas.trials.worker import work
from search_spaces.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("toys_are_known")

values = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12)


@given(values)
def test_tau_is_kendalls(pairs: list[tuple[int, int]]) -> None:
    one, other = zip(*pairs, strict=True)
    if len(set(one)) > 1 and len(set(other)) > 1:
        assert tau(one, other) == pytest.approx(kendalltau(one, other).statistic)
    else:
        assert tau(one, other) == 0.0


def _audit(early: Mapping[int, float], seeds: float) -> Audit:
    return Audit(12, 27, early, seeds, 0.01, 0.05)


@pytest.mark.parametrize(
    ("early", "seeds", "advice"),
    [
        ({1: 0.1, 3: 0.1, 9: 0.2}, 0.3, "hardly agree"),
        ({1: 0.1, 3: 0.2, 9: 0.4}, 0.8, "pruner none"),
        ({1: 0.2, 3: 0.7, 9: 0.8}, 0.8, "3 epochs ranks nearly as well as in the end: the pruner halving"),
        ({1: 0.2, 3: 0.3, 9: 0.8}, 0.8, "9 epochs ranks nearly as well as in the end, earlier it does not"),
        ({1: 0.7, 3: 0.7, 9: 0.8}, 0.8, "1 epoch"),
    ],
)
def test_what_is_advised(early: Mapping[int, float], seeds: float, advice: str) -> None:
    assert advice in _audit(early, seeds).advice()


def test_what_is_told_of_curves() -> None:
    found = [((0.5 + n / 10, 0.52 + n / 10), {1: 0.1 * n, 3: -0.1 * n}) for n in range(4)]
    audit = audited_from(found, epochs=9)
    assert audit is not None
    assert audit.early == {1: 1.0, 3: -1.0}
    assert audit.seeds == 1.0
    assert audit.between_seeds == pytest.approx(0.02 / 2**0.5)
    assert audit.error == pytest.approx((2 * 13 / (9 * 4 * 3)) ** 0.5)
    assert "Audit of 4 networks, trained 9 epochs twice" in audit.sentences()[0]
    assert audited_from(found[:3], epochs=9) is None


@pytest.mark.parametrize("pruner", ["none", "halving"])
def test_a_search_trains_its_audit_to_the_end_twice(tmp_path: Path, pruner: str) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    config = SearchConfig(
        "toy", "", "", trials=10, epochs=9, sampler="random", evaluator="wobbly", audit=6, pruner=pruner
    )
    create(storage, "mine", config)
    work(Job(storage, "mine", poll_s=0.01), threading.Event())
    with Ledger.open(storage) as ledger:
        trials, audit = ledger.trials("mine"), audit_of(ledger, "mine")
    assert {trial.state for trial in trials[:6]} == {TrialState.COMPLETE}
    assert [len(trial.accuracies) for trial in trials] == [2] * 6 + [0] * 4
    assert audit is not None and audit.networks == 6
    assert audit.early == {1: pytest.approx(-1.0), 3: pytest.approx(-1.0)}
    assert nas.load(storage, "mine").audit() == audit


def test_an_audit_has_enough_networks(tmp_path: Path) -> None:
    for audit in (3, 11):
        config = SearchConfig("toy", "", "", trials=10, epochs=9, evaluator="wobbly", audit=audit)
        with pytest.raises(InvalidInput, match=f"audit: {audit} is out of range; give 4 to"):
            create(f"sqlite:///{tmp_path}/nas.db", "mine", config)

"""Searches that stop early, by evaluators of the user's own: those that keep a checkpoint, and others."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import spaces as toys

import nas
from nas.algorithms.halving import Hyperband
from nas.ledger import Ledger, SearchConfig, TrialRecord, TrialState
from nas.searching.creating import create
from nas.trials.job import Job
from nas.trials.worker import work

pytestmark = pytest.mark.usefixtures("toys_are_known")

STEPS: list[tuple[str, int]] = []
"""Every step that was taken, with its architecture."""


def reached(network: toys.Toy, step: int) -> dict[str, float]:
    """Small networks learn sooner, large ones more."""
    return {"accuracy": toys.accuracy(network) * (1 - 0.5 ** (step * 4 / sum(network.layers)))}


def train(network: toys.Toy, budget: int, report: nas.Report, done: int, keeps: bool) -> Mapping[str, float]:
    for step in range(done + 1, budget + 1):
        STEPS.append((network.digest, step))
        if keeps:
            report.keep(json.dumps(step).encode)
        report(step, reached(network, step))
    return {**reached(network, budget), **toys.cost(network)}


@pytest.fixture(scope="module", autouse=True)
def evaluators_are_known(toys_are_known: None) -> None:

    @nas.evaluator("resuming", objectives=["work"], costs=toys.cost)
    def resuming(network: toys.Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        return train(network, budget, report, json.loads(report.checkpoint or "0"), keeps=True)

    @nas.evaluator("forgetful", objectives=["work"], costs=toys.cost)
    def forgetful(network: toys.Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        assert report.checkpoint is None
        return train(network, budget, report, 0, keeps=False)

    @nas.evaluator("draining", objectives=["work", nas.Objective("drain")], costs=toys.cost)
    def draining(network: toys.Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        """Tells one objective in the end only."""
        return {**train(network, budget, report, 0, keeps=False), "drain": 1.0 / sum(network.layers)}

    @nas.evaluator("silent", objectives=["work"], costs=toys.cost)
    def silent(network: toys.Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        """Tells nothing that is asked for on the way."""
        for step in range(1, budget + 1):
            report(step, {"margin": 0.5})
        return {**reached(network, budget), **toys.cost(network)}


def searched(
    folder: Path, evaluator: str, pruner: str = "halving", repeats: int = 1, more: tuple[str, ...] = ()
) -> Ledger:
    """Thirty trials of nine steps, by one worker."""
    STEPS.clear()
    storage = f"sqlite:///{folder}/{evaluator}-{pruner}-{repeats}.db"
    config = SearchConfig(
        *("toy", "", "local", 30, 9),
        sampler="random",
        evaluator=evaluator,
        pruner=pruner,
        objectives=("accuracy", "work", *more),
        repeats=repeats,
    )
    create(storage, "demo", config)
    work(Job(storage, "demo", poll_s=0.01), threading.Event())
    return Ledger.open(storage)


def outcomes(trials: list[TrialRecord]) -> list[tuple[object, ...]]:
    return [(t.number, t.state, t.digest, t.accuracy, t.epochs_done) for t in trials]


def test_a_checkpoint_saves_steps_and_changes_nothing_else(tmp_path: Path) -> None:
    with searched(tmp_path, "resuming") as ledger:
        trials, saved = ledger.trials("demo"), list(STEPS)
        curves = [[epoch.epoch for epoch in ledger.epochs("demo", n)] for n in range(30)]
    with searched(tmp_path, "forgetful") as ledger:
        assert outcomes(ledger.trials("demo")) == outcomes(trials)
        assert [[epoch.epoch for epoch in ledger.epochs("demo", n)] for n in range(30)] == curves
    assert curves == [list(range(1, 1 + (trial.epochs_done or 0))) for trial in trials]
    assert len(saved) == len(set(saved)) == sum(map(len, curves)), "no step is taken twice"
    assert len(STEPS) > len(saved)
    assert len(saved) < 30 * 9 / 2
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in trials:
        assert (trial.epochs_done == 9) == (trial.state is TrialState.COMPLETE)
        network = toys.Toy(tuple(json.loads(trial.architecture or "")))
        assert trial.accuracy == reached(network, trial.epochs_done or 0)["accuracy"]
        assert trial.costs["work"].value == sum(network.layers)


def test_hyperband_trains_some_without_looking_at_them(tmp_path: Path) -> None:
    with searched(tmp_path, "resuming", "hyperband") as ledger:
        trials = ledger.trials("demo")
    whole = [n for n in range(30) if not Hyperband(9).rungs(n)]
    assert whole and {trials[number].state for number in whole} == {TrialState.COMPLETE}
    assert len(STEPS) == sum(trial.epochs_done or 0 for trial in trials)
    assert TrialState.PRUNED in {trial.state for trial in trials}


@pytest.mark.parametrize("pruner", ["halving", "median"])
def test_the_first_of_repeated_trainings_decides(tmp_path: Path, pruner: str) -> None:
    with searched(tmp_path, "resuming", pruner, repeats=2) as ledger:
        trials = ledger.trials("demo")
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    assert 0 < len(complete) < 30
    assert {len(trial.accuracies) for trial in complete} == {2}
    assert len(STEPS) == sum(trial.epochs_done or 0 for trial in trials) + 9 * len(complete)


def test_what_only_the_end_tells_does_not_count_before(tmp_path: Path) -> None:
    with searched(tmp_path, "forgetful") as ledger:
        without = ledger.trials("demo")
    with searched(tmp_path, "draining", more=("drain",)) as ledger:
        trials = ledger.trials("demo")
    assert outcomes(trials) == outcomes(without)
    assert all(("drain" in trial.costs) == (trial.state is TrialState.COMPLETE) for trial in trials)


def test_who_tells_nothing_is_not_judged(tmp_path: Path) -> None:
    with searched(tmp_path, "silent") as ledger:
        assert {trial.state for trial in ledger.trials("demo")} == {TrialState.COMPLETE}

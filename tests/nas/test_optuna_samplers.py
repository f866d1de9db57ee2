"""Optuna's samplers as algorithms: what they are shown, and how often it is made."""

from dataclasses import replace
from typing import Any

import optuna
import pytest

from nas.algorithms.base import algorithms
from nas.algorithms.optuna_samplers import OptunaAlgorithm, from_optuna
from nas.algorithms.optuna_study import Studies
from nas.algorithms.points import Params, Point, violations
from nas.algorithms.ranking import Window
from nas.ledger import TrialRecord, TrialState
from tests.nas.toy_space import CONFIG, Toy, ended, run


class Spy(optuna.samplers.RandomSampler):
    """Tells what there is in the study."""

    seen: list[optuna.trial.FrozenTrial]

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        Spy.seen = study.get_trials()[:-1]


SPY = from_optuna(lambda seed, config: Spy(seed=seed))


def test_optuna_sees_losses_limits_and_states() -> None:
    done = run("random", 5)
    trials = [
        replace(done[0], latency_ms=3.0),
        replace(done[1], state=TrialState.INFEASIBLE, accuracy=None, latency_ms=6.0),
        replace(done[2], state=TrialState.FAILED),
        replace(done[3], state=TrialState.RUNNING, accuracy=None),
        replace(done[4], state=TrialState.PAUSED, accuracy=0.5, latency_ms=1.0),
    ]
    refused = replace(ended(5, done[2].choices or {}), state=TrialState.INFEASIBLE, latency_ms=8.0)
    SPY(Toy(), replace(CONFIG, max_latency_ms=4.0)).ask(5, trials, [refused])
    states = ["COMPLETE", "COMPLETE", "COMPLETE", "RUNNING", "COMPLETE"]
    assert [trial.state.name for trial in Spy.seen] == states
    limits = [trial.constraints.get("latency") for trial in Spy.seen]
    assert limits == [-0.25, 0.5, -0.75, None, 1.0]
    assert Spy.seen[0].values == [-(done[0].accuracy or 0), 3.0]
    assert Spy.seen[2].values == [-0.5, 1.0]
    assert Spy.seen[3].params == done[3].choices


def test_a_trial_becomes_one_of_optunas_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, make = list[int](), Studies._made

    def counted(self: Studies, point: Point, params: Params) -> Any:
        made.append(point.number)
        return make(self, point, params)

    monkeypatch.setattr(Studies, "_made", counted)
    done = run("random", 20)
    running = replace(done[12], state=TrialState.RUNNING, accuracy=None)
    by = SPY(Toy(), CONFIG)
    by.ask(13, [*done[:12], running])
    for number in range(13, 20):
        by.ask(number, done[:number])
    assert sorted(made) == sorted([*range(19), 12])  # it was running, and has ended


def test_a_long_history_is_seen_through_a_window() -> None:
    done = run("random", 60)
    best = replace(done[7], accuracy=1.0, latency_ms=0.1)
    history = [*done[:7], best, *done[8:]]
    make = from_optuna(lambda seed, config: Spy(seed=seed), Window(best=3, latest=4, others=5))
    shown = list[list[object]]()
    for _ in range(2):
        make(Toy(), CONFIG).ask(60, history)
        shown.append([trial.params for trial in Spy.seen])
    assert len(shown[0]) == 12 and shown[0] == shown[1]
    assert all(trial.choices in shown[0] for trial in (best, *history[-4:]))


def test_genetic_samplers_cross_over_choices_that_few_parents_have() -> None:
    by = OptunaAlgorithm(Toy(), CONFIG, lambda seed, config: Spy(seed=seed), Window(60, 0, 0), is_flat=True)
    done = run("random", 10)
    by.ask(10, done)
    names = {name for trial in done for name in trial.choices or {}}
    assert all(trial.params.keys() == names for trial in Spy.seen)
    assert all(
        (trial.choices or {}).items() <= seen.params.items()
        for trial, seen in zip(done, Spy.seen, strict=True)
    )


def test_violations_are_shares_of_the_limits() -> None:
    config = replace(CONFIG, max_latency_ms=2.0, max_size_kb=10.0)
    trial = TrialRecord("demo", 0, TrialState.INFEASIBLE, latency_ms=3.0, size_kb=5.0)
    assert violations(config, trial) == {"latency": 0.5, "size": -0.5}
    assert violations(CONFIG, trial) == {}


@pytest.mark.parametrize("name", ["nsga2", "nsga3"])
def test_genetic_samplers_are_told_what_they_would_find_by_comparing_trials(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("random", 20)
    make = algorithms.get(name)
    with monkeypatch.context() as patched:
        patched.delattr(optuna.search_space.IntersectionSearchSpace, "calculate")
        told = [make(Toy(), CONFIG).ask(number, done) for number in range(20, 24)]
    monkeypatch.setattr("nas.algorithms.optuna_study.Told", lambda sampler, options: sampler)
    assert told == [make(Toy(), CONFIG).ask(number, done) for number in range(20, 24)]

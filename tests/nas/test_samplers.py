"""Samplers: proposals repeat, differ between workers, and get better than chance on a known problem."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest

from nas.algorithms.base import Algorithm, Choices, replay
from nas.algorithms.choosing import algorithm
from nas.algorithms.optuna_samplers import samplers, violations
from nas.algorithms.pruners import pruners, rivals
from nas.ledger import SearchConfig, TrialRecord, TrialState, non_dominated
from search_spaces import Architecture, space
from search_spaces.errors import InvalidInput

CONFIG = SearchConfig(space="tiny", data="digits", device="local", trials=32, epochs=1)
TINY = space("tiny")


def _trial(number: int, choices: dict[str, str | int], architecture: Architecture) -> TrialRecord:
    """A trial whose cost counts float layers, and whose accuracy counts ternary ones."""
    chosen = list(choices.values())
    return TrialRecord(
        search="demo",
        number=number,
        state=TrialState.COMPLETE,
        accuracy=chosen.count("ternary") / (1 + len(chosen)),
        latency_ms=1.0 + chosen.count("float"),
        size_kb=10.0 + chosen.count("float"),
        digest=architecture.digest,
        choices=choices,
    )


def _ask(by: Algorithm, number: int, history: Sequence[TrialRecord]) -> tuple[Choices, Architecture]:
    """What an algorithm proposes, and the architecture it leads to."""
    choices = by.ask(number, history).choices
    return choices, TINY.propose(lambda name, _: choices[name])


def _run(sampler: str, seed: int = 0, trials: int = 32) -> list[TrialRecord]:
    done: list[TrialRecord] = []
    config = replace(CONFIG, sampler=sampler, seed=seed, trials=trials)
    for number in range(trials):
        # A new proposer each time, as after a restart: nothing may hang on its memory.
        done.append(_trial(number, *_ask(algorithm(TINY, config), number, done)))
    return done


def _digests(trials: Sequence[TrialRecord]) -> list[str | None]:
    return [trial.digest for trial in trials]


@pytest.mark.parametrize("sampler", list(samplers))
def test_the_seed_decides_every_proposal(sampler: str, capfd: pytest.CaptureFixture[str]) -> None:
    first = _run(sampler, seed=3, trials=16)
    assert _digests(first) == _digests(_run(sampler, seed=3, trials=16))
    assert _digests(first) != _digests(_run(sampler, seed=4, trials=16))
    assert len(set(_digests(first))) == 16
    assert capfd.readouterr() == ("", "")


def test_a_proposer_with_a_memory_proposes_the_same() -> None:
    done = _run("tpe", trials=14)
    proposer = algorithm(TINY, CONFIG)
    for number in (12, 13):
        assert _ask(proposer, number, done[:number])[1].digest == done[number].digest


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_history_makes_proposals_better_than_chance(sampler: str) -> None:
    def late_accuracy(name: str) -> float:
        late = [trial.accuracy or 0.0 for seed in range(2) for trial in _run(name, seed, trials=40)[24:]]
        return sum(late) / len(late)

    assert late_accuracy(sampler) > 1.25 * late_accuracy("random")


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_infeasible_trials_steer_away_from_the_limit(sampler: str) -> None:
    def late_latency(limit: float | None) -> float:
        config = replace(CONFIG, sampler=sampler, trials=40, max_latency_ms=limit)
        done: list[TrialRecord] = []
        for number in range(40):
            trial = _trial(number, *_ask(algorithm(TINY, config), number, done))
            # Accuracy pulls towards float layers, and only the limit holds against it.
            trial = replace(trial, accuracy=((trial.latency_ms or 0) - 1) / 20)
            over = limit is not None and (trial.latency_ms or 0) > limit
            infeasible = {"state": TrialState.INFEASIBLE, "accuracy": None} if over else {}
            done.append(replace(trial, **infeasible))
        return sum(trial.latency_ms or 0 for trial in done[20:]) / 20

    assert late_latency(limit=2.5) < late_latency(limit=None)


def test_optuna_sees_costs_limits_and_states(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spy(optuna.samplers.RandomSampler):
        def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            seen.extend(study.get_trials()[:-1])

    seen: list[optuna.trial.FrozenTrial] = []
    monkeypatch.setitem(samplers._things, "spy", lambda seed, config: Spy(seed=seed))
    done = _run("random", trials=4)
    trials = [
        replace(done[0], latency_ms=3.0, size_kb=20.0),
        replace(done[1], state=TrialState.INFEASIBLE, accuracy=None, latency_ms=6.0, size_kb=20.0),
        replace(done[2], state=TrialState.FAILED),
        replace(done[3], state=TrialState.RUNNING, accuracy=None),
    ]
    _ask(algorithm(TINY, replace(CONFIG, sampler="spy", max_latency_ms=4.0)), 4, trials)
    assert [trial.state.name for trial in seen] == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert [trial.constraints for trial in seen] == [{"latency": -0.25}, {"latency": 0.5}, {}]
    assert seen[0].values == [done[0].accuracy, 3.0, 20.0]
    assert seen[2].params == done[3].choices


def test_workers_at_the_same_time_propose_differently() -> None:
    done = _run("tpe", trials=16)
    proposer = algorithm(TINY, CONFIG)
    running: list[TrialRecord] = []
    for number in range(16, 20):
        choices, architecture = _ask(proposer, number, [*done, *running])
        running.append(
            TrialRecord("demo", number, TrialState.RUNNING, choices=choices, digest=architecture.digest)
        )
    assert len(set(_digests(running))) == 4


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_what_happens_to_trials_does_not_stop_a_proposal(sampler: str) -> None:
    done = _run(sampler, trials=12)
    mixed = [
        replace(done[0], state=TrialState.FAILED, accuracy=None, latency_ms=None, size_kb=None),
        replace(done[1], state=TrialState.INFEASIBLE, accuracy=None),
        replace(done[2], state=TrialState.PRUNED),
        replace(done[3], state=TrialState.QUEUED, accuracy=None, latency_ms=None, size_kb=None),
        replace(done[4], choices={"an.older.space": "had this"}),
        TrialRecord("demo", 5, TrialState.FAILED, error="before it was proposed"),
        *done[6:],
    ]
    config = replace(CONFIG, sampler=sampler, max_latency_ms=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, architecture = _ask(algorithm(TINY, config), 12, mixed)
    assert architecture.space == "tiny"


def test_stored_choices_replay_to_the_same_architecture() -> None:
    choices, architecture = _ask(algorithm(TINY, CONFIG), 0, [])
    assert TINY.propose(lambda name, options: choices[name]).digest == architecture.digest
    replayed = replay(TINY, choices)
    assert replayed is not None
    assert {name: chosen for name, (chosen, _) in replayed.items()} == choices
    assert replay(TINY, {**choices, "stem.width": 17}) is None


def test_violations_are_shares_of_the_limits() -> None:
    config = replace(CONFIG, max_latency_ms=2.0, max_size_kb=10.0)
    trial = TrialRecord("demo", 0, TrialState.INFEASIBLE, latency_ms=3.0, size_kb=5.0)
    assert violations(config, trial) == {"latency": 0.5, "size": -0.5}
    assert violations(CONFIG, trial) == {}


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(InvalidInput, match="sampler: unknown name 'grid'; choose one of nsga-ii, nsga2"):
        algorithm(TINY, replace(CONFIG, sampler="grid"))


def test_the_median_pruner_waits_for_rivals() -> None:
    median = pruners.get("median")
    assert not median.should_prune(0.1, [0.5, 0.6, 0.7])
    assert median.should_prune(0.54, [0.4, 0.5, 0.6, 0.7])
    assert not median.should_prune(0.56, [0.4, 0.5, 0.6, 0.7])
    assert not pruners.get("none").should_prune(0.0, [1.0] * 10)


def test_pruning_never_takes_what_would_be_on_the_front_for_its_cost() -> None:
    def complete(number: int, accuracy: float, latency_ms: float, size_kb: float) -> TrialRecord:
        return TrialRecord(
            "demo", number, TrialState.COMPLETE, accuracy=accuracy, latency_ms=latency_ms, size_kb=size_kb
        )

    done = [complete(number, 0.9, 2.0, 10.0) for number in range(6)] + [complete(6, 0.9, 0.5, 90.0)]
    cheap = complete(7, 0.2, 1.0, 20.0)
    assert cheap in non_dominated([*done, cheap])
    assert rivals(cheap, CONFIG, done) == set()
    assert rivals(replace(cheap, latency_ms=2.0), CONFIG, done) == {0, 1, 2, 3, 4, 5}

"""The algorithm called auto: as any algorithm, better than chance, steady, and the same when started over."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from nas.algorithms.archive import Archive
from nas.algorithms.auto import MOST_TO_START, Auto
from nas.algorithms.base import Algorithm, Choices, Screened
from nas.algorithms.choosing import algorithm
from nas.algorithms.genome import Genome
from nas.algorithms.hypervolume import hypervolume
from nas.algorithms.stopped import corrected
from nas.algorithms.surrogate import Kernel, Process, _Likelihood, learn, standard
from nas.ledger import SearchConfig, TrialRecord, TrialState
from nas.objectives import ObjectiveValue
from nas.testing.algorithms import AlgorithmConformance
from search_spaces import space as find_space
from search_spaces.errors import ExhaustedError
from search_spaces.search_space import Choose, SearchSpace

KINDS = ("none", "small", "large")
GAIN, COST = np.array([0.0, 0.6, 0.9]), np.array([0.0, 1.0, 2.2])
WEIGHTS = np.random.default_rng(7).uniform(0.3, 1.7, (2, 6))
PAIRS = np.random.default_rng(8).normal(0.0, 0.15, (5, 3, 3))


@dataclass(frozen=True)
class Network:
    """One of the user's own: its layers' kinds, and how wide it is where it has a last layer."""

    kinds: tuple[int, ...]
    width: int

    @property
    def digest(self) -> str:
        return f"{self.kinds} {self.width}"

    def to_json(self) -> str:
        return self.digest


class Layers(SearchSpace):
    """Some layers of three kinds; the last one, if it is there, has a width: 3^6 + 2 * 2 * 3^5 networks."""

    name, description, input_shape, classes = "layers", "made up", (1, 8, 8), 10

    def __init__(self, layers: int = 6) -> None:
        self.layers = layers

    def propose(self, choose: Choose) -> Network:
        kinds = tuple(KINDS.index(str(choose(f"layer{i}", KINDS))) for i in range(self.layers))
        return Network(kinds, int(choose("width", (16, 32, 64))) if kinds[-1] else 0)

    def size(self) -> int:
        return 7 * int(3 ** (self.layers - 1))


def _figures(space: Layers, choices: Choices) -> tuple[Network, float, float]:
    """The network, and what it has of accuracy and operations."""
    network = space.propose(lambda name, _: choices[name])
    kinds = list(network.kinds)
    worth = WEIGHTS[0, : len(kinds)] @ GAIN[kinds] + network.width / 100
    worth += sum(PAIRS[i, a, b] for i, (a, b) in enumerate(pairwise(kinds)))
    macs = 1.0 + float(WEIGHTS[1, : len(kinds)] @ COST[kinds]) + network.width / 40
    return network, float(0.95 - 0.5 * np.exp(-max(worth, 0.0))), macs


def _screen(space: Layers, limit: float = np.inf) -> Any:
    def screen(choices: Choices) -> Screened:
        network, _, macs = _figures(space, choices)
        return Screened(network.digest, {"macs": macs}, "too many" if macs > limit else None)

    return screen


def _trial(
    space: Layers, number: int, choices: Choices, state: TrialState = TrialState.COMPLETE
) -> TrialRecord:
    network, accuracy, macs = _figures(space, choices)
    return TrialRecord(
        "made up",
        number,
        state,
        accuracy=accuracy if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        digest=network.digest,
        choices=choices,
        costs={"macs": ObjectiveValue.exact(macs)},
    )


def _config(**settings: Any) -> SearchConfig:
    given = {"sampler": "auto", "objectives": ("accuracy", "macs"), "trials": 60, **settings}
    return SearchConfig("layers", "none", "local", epochs=1, **given)


def _search(
    config: SearchConfig, trials: int, *, workers: int = 1, limit: float = np.inf, layers: int = 6
) -> list[TrialRecord]:
    """A search; with several workers each asks before the trials of the others have ended."""
    space, history = Layers(layers), list[TrialRecord]()
    asked = algorithm(space, config)
    asked.screen = _screen(space, limit)
    for number in range(trials):
        choices = asked.ask(number, history).choices
        history.append(_trial(space, number, choices, TrialState.RUNNING))
        if (ended := number + 1 - workers) >= 0:
            history[ended] = _trial(space, ended, history[ended].choices or {})
            asked.tell(history[ended])
    return history


def _hypervolume(trials: Sequence[TrialRecord]) -> float:
    done = [trial for trial in trials if trial.accuracy is not None]
    return hypervolume([[-(t.accuracy or 0.0), t.costs["macs"].value / 15] for t in done], [-0.4, 1.0])


class TestAuto(AlgorithmConformance):
    def algorithm(self, space: SearchSpace, config: SearchConfig) -> Algorithm:
        return Auto(space, config)


def test_it_finds_in_a_third_of_the_trials_what_chance_does_not() -> None:
    by_model = _search(_config(), 40)
    by_chance = _search(_config(sampler="random"), 120)
    assert _hypervolume(by_model) > _hypervolume(by_chance)
    assert len({trial.digest for trial in by_model}) == 40


def test_several_workers_cost_little() -> None:
    alone, together = (_search(_config(seed=1), 44, workers=workers) for workers in (1, 4))
    assert len({trial.digest for trial in together}) == 44
    assert _hypervolume(together) > 0.98 * _hypervolume(alone)


def test_a_worker_that_starts_late_proposes_the_same() -> None:
    history = _search(_config(), 34)
    for number in (MOST_TO_START, 25, 33):
        late = Auto(space := Layers(), _config())
        late.screen = _screen(space)
        assert late.ask(number, history[:number]).choices == history[number].choices


def test_what_is_over_a_limit_is_not_proposed_where_anything_else_is_known() -> None:
    history = _search(_config(max_macs=6.0), 40, limit=6.0)
    assert all(trial.costs["macs"].value <= 6.0 for trial in history)


def test_what_was_passed_over_is_not_proposed_again() -> None:
    """Not even when hardly anything else is left."""
    config = _config(trials=21)
    space, history = Layers(2), _search(config, 12, layers=2)
    asked = Auto(space, config)
    asked.screen = _screen(space)
    passed = list[TrialRecord]()
    for _ in range(9):
        passed.append(_trial(space, 12, asked.ask(12, history, passed).choices, TrialState.INFEASIBLE))
    assert len({trial.digest for trial in [*history, *passed]}) == space.size()


def test_a_space_is_searched_to_its_end() -> None:
    history = _search(_config(trials=7), 7, layers=1)
    assert len({trial.digest for trial in history}) == 7
    asked = algorithm(Layers(1), _config())
    with pytest.raises(ExhaustedError):
        asked.ask(7, history)


def test_one_objective_or_costs_alone_are_enough() -> None:
    best = max(trial.accuracy or 0.0 for trial in _search(_config(objectives=("accuracy",)), 40))
    assert best > max(trial.accuracy or 0.0 for trial in _search(_config(sampler="random"), 120)) - 0.002
    cheapest = min(trial.costs["macs"].value for trial in _search(_config(objectives=("macs",)), 30))
    assert cheapest == 1.0


@pytest.mark.parametrize("unit", [1.0, 1e300])
def test_a_unit_changes_nothing(unit: float) -> None:
    """Not even one whose squares are beyond what a float holds."""
    values = np.array([1.0, 2.0, 4.0, 1.5])
    assert standard(unit * values) == pytest.approx((unit * values.mean(), unit * values.std()))


def test_trials_stopped_early_do_not_mislead() -> None:
    """Their figures are far below those of whole trainings, and must not be taken for them."""
    space, history = Layers(), _search(_config(), 30)
    drawn = np.random.default_rng(0)
    for number in range(30, 40):
        choices: Choices = {f"layer{i}": KINDS[int(drawn.integers(3))] for i in range(5)}
        trial = _trial(space, number, {**choices, "layer5": "none"}, TrialState.PRUNED)
        history.append(replace(trial, accuracy=(trial.accuracy or 0.0) / 3, epochs_done=1))
    asked = Auto(space, _config())
    asked.screen = _screen(space)
    for number in range(40, 60):
        history.append(_trial(space, number, asked.ask(number, history).choices))
    ended = [trial for trial in history if trial.state is TrialState.COMPLETE]
    assert _hypervolume(ended) > 0.98 * _hypervolume(_search(_config(), 50))


def test_of_stopped_trials_the_order_counts_and_not_how_far_they_had_come() -> None:
    predicted = np.array([0.3, 0.3, 0.3, 0.5])
    found = corrected(np.array([5.0, 5.2, 9.0, 9.2]), predicted, np.array([1, 1, 3, 3]), scale=0.0)
    assert found == pytest.approx([0.2, 0.4, 0.3, 0.5], abs=1e-9)


def test_a_training_that_goes_on_has_no_accuracy_yet() -> None:
    space, config = Layers(), _config()
    genome = Genome(space, 0)
    choices = _search(config, 1)[0].choices or {}
    done = _trial(space, 0, choices)
    states = TrialState.COMPLETE, TrialState.RUNNING, TrialState.PAUSED, TrialState.FAILED
    known = Archive(genome, config).read([replace(done, number=n, state=s) for n, s in enumerate(states)], 9)
    assert np.isfinite(known.losses).tolist() == [[True, True], [False, True], [True, True], [False, True]]
    assert known.is_running.tolist() == [False, True, False, False]
    assert known.is_stopped.tolist() == [False, False, True, False]
    assert known.front().tolist() == [0]


@pytest.mark.parametrize("objectives", [("accuracy",), ("accuracy", "macs")])
def test_there_may_be_trials_and_no_front_yet(objectives: tuple[str, ...]) -> None:
    """Paused ones, by which the start is over, and one that runs, of which no accuracy can be predicted."""
    space, config = Layers(), _config(objectives=objectives)
    history = [
        _trial(
            space, trial.number, trial.choices or {}, TrialState.PAUSED if trial.number < 17 else trial.state
        )
        for trial in _search(config, 18, workers=2)
    ]
    history[:17] = [replace(trial, accuracy=0.5, epochs_done=1) for trial in history[:17]]
    for stopped in (history, [replace(trial, accuracy=None) for trial in history]):
        asked = Auto(space, config)
        asked.screen = _screen(space)
        assert asked.ask(18, stopped).choices


def test_a_trial_that_changes_is_read_again() -> None:
    """The front is that of the records as they are, also where fewer are given than before."""
    space, config = Layers(), _config()
    history = _search(config, 24)
    archive = Archive(Genome(space, 0), config)
    archive.read(history, 24)
    worse = replace(history[3], accuracy=0.99)
    changed = [*history[:3], worse, *history[4:]]
    for given in (changed, history[:12]):
        fresh = Archive(Genome(space, 0), config).read(given, 24)
        assert archive.read(given, 24).front().tolist() == fresh.front().tolist()


@pytest.mark.parametrize("name", ["tiny", "cifar"])
def test_a_genome_knows_when_a_choice_is_asked_for(name: str) -> None:
    genome, random = Genome(known := find_space(name), 1), np.random.default_rng(2)
    genes = genome.random_genes(60, random)
    told = [genome.codes_of(genome.choices_of(row, random)) for row in genes]
    codes = genome.expressed(genes)
    right = [other is not None and (one == other).all() for one, other in zip(codes, told, strict=True)]
    assert sum(right) >= 45
    assert known.name == name


def test_mutants_differ_in_what_is_asked_for() -> None:
    genome, random = Genome(find_space("tiny"), 1), np.random.default_rng(2)
    genes = genome.random_genes(100, random)
    codes = genome.expressed(genes)
    is_changed = genome.mutants(genes, codes, random) != genes
    assert set(is_changed.sum(axis=1)) == {1, 2, 3}
    assert not (is_changed & (codes == 0)).any()


def test_the_likelihood_has_the_gradient_that_it_tells() -> None:
    from scipy.optimize import approx_fprime

    codes = np.random.default_rng(0).integers(0, 3, (20, 5))
    distances = (codes[:, None] != codes).transpose(2, 0, 1).astype(float)
    likelihood = _Likelihood(distances, np.random.default_rng(1).standard_normal(20))
    at = likelihood.middle + 0.3
    assert likelihood(at)[1] == pytest.approx(approx_fprime(at, lambda x: likelihood(x)[0]), abs=1e-4)


def test_a_process_knows_what_it_was_told_and_what_choices_add() -> None:
    """It extrapolates sums of what each choice brings, and is less sure of what it was not told."""
    space = Layers()
    genome, random = Genome(space, 0), np.random.default_rng(0)
    codes = genome.expressed(genome.random_genes(60, random))
    values = np.array(
        [_figures(space, genome.choices_of(row, random))[2] for row in genome.genes_of(codes, random)]
    )
    kernel = Kernel(genome)
    middle, scale = standard(values[:40])
    settings = learn(kernel, codes[:40], (values[:40] - middle) / scale)
    process = Process(kernel, settings, codes[:40], values[:40], np.ones(40))
    mean, deviation = process.predict(genome.one_hot(codes))
    assert mean[:40] == pytest.approx(values[:40], abs=0.1 * scale)
    assert np.corrcoef(mean[40:], values[40:])[0, 1] > 0.95
    assert deviation[:40].mean() < deviation[40:].mean()
    draws = np.stack([process.draw(codes, random) for _ in range(200)])
    assert draws.mean(axis=0) == pytest.approx(mean, abs=0.4 * scale)


def test_no_product_takes_more_than_one_thread() -> None:
    """The BLAS of scipy is another than numpy's, and is there only once scipy.linalg is imported."""
    told = """
from nas.algorithms.auto import Auto
from threadpoolctl import threadpool_info
from tests.nas.toy_space import CONFIG, Toy
with Auto(Toy(), CONFIG)._threads.limit(limits=1):
    import scipy.linalg, scipy.optimize
    print([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"])
"""
    found = subprocess.run(
        [sys.executable, "-c", told],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
    )
    assert set(json.loads(found.stdout)) == {1}

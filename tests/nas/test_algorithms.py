"""Algorithms by name: what all of them keep, over choices that depend on each other."""

from dataclasses import replace
from statistics import fmean

import pytest

from nas.algorithms.base import Algorithm, algorithms, replay
from nas.algorithms.choosing import algorithm
from nas.ledger import SearchConfig, TrialRecord, TrialState
from nas.testing.algorithms import AlgorithmConformance
from search_spaces.errors import ExhaustedError, InvalidInput
from search_spaces.search_space import SearchSpace
from tests.nas.toy_space import CONFIG, Toy, digests, ended, run

NAMES = ("auto", "evolution", "gp", "grid", "local", "nsga2", "nsga3", "qmc", "random", "tpe")
LEARNING = ("evolution", "local", "nsga2", "nsga3", "tpe")


class _Conformance(AlgorithmConformance):
    name: str

    def algorithm(self, space: SearchSpace, config: SearchConfig) -> Algorithm:
        return algorithms.get(self.name)(space, config)


for _name in NAMES:
    globals()[f"TestConformance_{_name}"] = type(f"TestConformance_{_name}", (_Conformance,), {"name": _name})
del _Conformance


def _made(name: str, space: SearchSpace | None = None, **settings: object) -> Algorithm:
    config = replace(CONFIG, sampler=name, **settings)  # type: ignore[arg-type]  # of several types
    return algorithm(space or Toy(), config)


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_that_is_killed_and_replaced_goes_on_the_same(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    trials, space = 40, Toy()
    done = run(name, trials, space=space)
    for number in (1, trials // 2, trials - 1):
        assert _made(name, space).ask(number, done[:number]).choices == done[number].choices
    assert digests(done[:10]) != digests(run(name, 10, space=space, seed=1))
    assert len(set(digests(done))) == trials
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_who_breeds_tells_from_which_trials(name: str) -> None:
    """Children are nearer to those than trials are to each other."""
    done = run(name, 40)
    bred = [(trial, done[parent]) for trial in done for parent in trial.parents]
    assert bool(bred) is (name in {"auto", "gp", "local", "evolution"})
    if bred:
        others = [(one, other) for one in done for other in done[: one.number]]
        to_parents, to_others = (fmean(_apart(*pair) for pair in pairs) for pairs in (bred, others))
        assert to_parents < 0.75 * to_others
        assert name == "auto" or name == "gp" or all(len(trial.parents) < 2 for trial in done)


def _apart(one: TrialRecord, other: TrialRecord) -> int:
    """In how many choices two trials differ."""
    return len((one.choices or {}).items() ^ (other.choices or {}).items())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_of_the_space_is_neither_parent_nor_scale(name: str) -> None:
    space = Toy()
    done = run(name, 25, space=space)
    published = replace(done[0], number=25, choices=None, digest="d", accuracy=0.0, latency_ms=1e6)
    usual = _made(name, space).ask(26, done).choices
    assert _made(name, space).ask(26, [*done, published]).choices == usual
    running = replace(published, state=TrialState.RUNNING, accuracy=None)
    assert _made(name, space).ask(26, [*done, running]).choices == usual


@pytest.mark.parametrize("name", NAMES)
def test_what_was_passed_over_is_not_proposed_again(name: str) -> None:
    space = Toy(2)  # of 64 architectures
    done = run(name, 30, space=space)
    by, passed, config = _made(name, space, max_latency_ms=0.5), list[TrialRecord](), CONFIG
    for _ in range(8):
        refused = ended(30, by.ask(30, done, passed).choices, space)
        passed.append(replace(refused, state=TrialState.INFEASIBLE, accuracy=None, search=config.space))
    assert len({*digests(done), *digests(passed)}) == 38
    assert _made(name, space, max_latency_ms=0.5).ask(30, done, passed[:4]).choices == passed[4].choices


@pytest.mark.parametrize("name", NAMES)
def test_a_search_of_a_space_that_is_exhausted_ends(name: str) -> None:
    """Each of its eight architectures has been proposed once."""
    space = Toy(layers=1)
    done = run(name, 8, space=space)
    assert len(set(digests(done))) == space.size()
    with pytest.raises(ExhaustedError, match="every architecture of the space 'toy'"):
        _made(name, space).ask(8, done)
    with pytest.raises(ExhaustedError):
        _made(name, space).ask(6, done[:6], [replace(trial, number=6) for trial in done[6:]])


@pytest.mark.parametrize("name", LEARNING)
def test_history_makes_proposals_better_than_chance(name: str) -> None:
    def late(of: str) -> float:
        found = [trial for seed in range(2) for trial in run(of, 60, seed=seed)[40:]]
        return sum((trial.accuracy or 0.0) - 0.05 * (trial.latency_ms or 0.0) for trial in found)

    assert late(name) > late("random") + 2.0


@pytest.mark.parametrize("name", LEARNING)
def test_limits_keep_proposals_back(name: str) -> None:
    """Accuracy pulls towards float layers, which are slow, and only the limit holds against it."""

    def late(limit: float | None) -> float:
        def judged(trial: TrialRecord) -> TrialRecord:
            latency = trial.latency_ms or 0.0
            if limit is not None and latency > limit:
                return replace(trial, state=TrialState.INFEASIBLE, accuracy=None)
            return replace(trial, accuracy=latency / 30)

        late = run(name, 50, change=judged, max_latency_ms=limit, objectives=("accuracy",))[30:]
        return sum(trial.latency_ms or 0.0 for trial in late) / len(late)

    assert late(6.0) < late(None) - 2.0


@pytest.mark.parametrize("name", NAMES)
def test_paused_and_repeated_trials_do_not_stop_a_proposal(name: str) -> None:
    done = run("random", 15)
    done[3] = replace(done[3], state=TrialState.PAUSED, epochs_done=1)
    done[4] = replace(done[4], same_as=2)
    done[5] = replace(done[5], choices=None)
    done[6] = replace(done[6], accuracy=float("nan"))
    assert replay(Toy(), _made(name).ask(15, done).choices)


def test_local_search_mutates_each_member_of_the_front() -> None:
    """Three that have nothing in common, and one that they dominate."""
    kinds = ("skip", "wide", "deep")
    front = [
        replace(ended(number, _plain(Toy(), kind)), accuracy=number / 4, latency_ms=1.0 + number)
        for number, kind in enumerate(kinds)
    ]
    history, nearest = [*front, replace(ended(3, _plain(Toy(), "wide")), accuracy=0.0)], list[str]()
    for number in range(4, 10):
        child = ended(number, _made("local").ask(number, history).choices)
        nearest.append(kinds[min(range(3), key=lambda place: _distance(front[place], child))])
        history.append(replace(child, accuracy=0.0, latency_ms=99.0))
    assert set(nearest) == set(kinds)


def _distance(one: TrialRecord, other: TrialRecord) -> int:
    a, b = set((one.choices or {}).items()), set((other.choices or {}).items())
    return len(a ^ b) // 2


def test_evolution_lets_the_old_die() -> None:
    """The best trial is no parent once ten others have ended: all proposals then descend from those."""
    young = [ended(number, _plain(Toy(), "skip")) for number in range(1, 11)]
    best = replace(ended(0, _plain(Toy(), "wide")), accuracy=1.0, latency_ms=0.1)
    same = [replace(trial, digest=str(trial.number)) for trial in young]
    history = [best, *same]

    def widest(shown: list[TrialRecord]) -> int:
        by = _made("evolution")
        children = [by.ask(number, shown).choices for number in range(11, 19)]
        return max(list(child.values()).count("wide") for child in children)

    assert widest(history[:10]) >= 4
    assert widest(history) <= 1


def _plain(space: SearchSpace, kind: str) -> dict[str, str | int]:
    found: dict[str, str | int] = {}

    def choose(name: str, options: tuple[str | int, ...]) -> str | int:
        found[name] = kind if kind in options else options[0]
        return found[name]

    space.propose(choose)
    return found


@pytest.mark.parametrize("layers", [1, 2])
def test_the_grid_covers_a_space_once(layers: int) -> None:
    space = Toy(layers)
    done = run("grid", space.size(), space=space)
    assert len(set(digests(done))) == space.size()


def test_the_grid_begins_evenly_in_a_space_without_end() -> None:
    """Thirds of the kinds in the first layer, and about as much in the last."""
    done = run("grid", 60, space=Toy(layers=200))
    first, last = ([dict(trial.choices or {})[f"{layer}.kind"] for trial in done] for layer in (0, 199))
    assert [first.count(kind) for kind in ("skip", "wide", "deep")] == [20, 20, 20]
    assert all(last.count(kind) > 8 for kind in ("skip", "wide", "deep"))


def test_the_sobol_sequence_is_more_even_than_chance() -> None:
    def unevenness(name: str) -> float:
        kinds = [trial.choices or {} for seed in range(4) for trial in run(name, 32, seed=seed)]
        counts = [
            [
                sum(chosen["0.kind"] == kind for chosen in kinds[start : start + 32])
                for kind in ("skip", "wide")
            ]
            for start in range(0, len(kinds), 32)
        ]
        return sum(abs(count - 32 / 3) for row in counts for count in row)

    assert unevenness("qmc") < unevenness("random") / 2


def test_an_unknown_sampler_is_named_with_all_that_there_are() -> None:
    with pytest.raises(InvalidInput, match="sampler: unknown name 'annealing'; choose one of ") as caught:
        _made("annealing")
    assert all(name in str(caught.value) for name in (*NAMES, "auto", "nsga-ii"))


def test_stored_choices_replay_to_the_same_architecture() -> None:
    (trial,) = run("random", 1)
    replayed = replay(Toy(), trial.choices or {})
    assert replayed is not None
    assert {name: chosen for name, (chosen, _) in replayed.items()} == trial.choices
    assert replay(Toy(), {**(trial.choices or {}), "0.kind": "an.older.space"}) is None

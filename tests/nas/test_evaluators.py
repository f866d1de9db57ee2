"""Searches by an evaluator of the user's own: what is proposed, passed over, repeated and refused."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import spaces as toys

import nas
from nas import seeds
from nas.evaluators import Task
from nas.ledger import Ledger, SearchConfig, TrialRecord, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.history import History
from nas.ledger.inspecting import check
from nas.ledger.lineage import parents_of
from nas.ledger.predictions import predictions_of
from nas.searching.creating import create
from nas.testing.evaluators import EvaluatorConformance
from nas.trials.job import Job
from nas.trials.worker import work
from search_spaces.checking import check_space
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Choose, every
from search_spaces.search_space import spaces as registered

pytestmark = pytest.mark.usefixtures("toys_are_known")

CONFIG: dict[str, Any] = {
    "space": "toy",
    "data": "",
    "device": "local",
    "trials": 12,
    "epochs": 2,
    "sampler": "random",
    "evaluator": "toy",
}


def searched(folder: Path, name: str = "mine", **settings: Any) -> Ledger:
    """A search by one worker in this process; its ledger."""
    storage = f"sqlite:///{folder}/nas.db"
    begin = {key: settings.pop(key, ()) for key in ("first", "warm_start")}
    create(storage, name, SearchConfig(**{**CONFIG, **settings}), **begin)
    work(Job(storage, name, poll_s=0.01), threading.Event())
    return Ledger.open(storage)


def states(trials: list[TrialRecord]) -> set[TrialState]:
    return {trial.state for trial in trials}


def test_a_search_runs_on_your_space_and_evaluator(tmp_path: Path) -> None:
    with searched(tmp_path) as ledger:
        record, trials = ledger.search("mine"), ledger.trials("mine")
        assert record.config.objectives == ("accuracy", "work")  # the evaluator's, as nothing else is told
        assert (record.config.device, record.config.data) == ("", "")
        assert states(trials) == {TrialState.COMPLETE}
        assert len({trial.digest for trial in trials}) == len(trials) == 12
        for trial in trials:
            network = toys.Toy(tuple(size for name, size in (trial.choices or {}).items() if name != "depth"))
            assert trial.digest == network.digest
            assert trial.accuracy == toys.accuracy(network)
            assert trial.costs["work"].value == sum(network.layers)
            assert trial.latency_ms is None and trial.size_kb is None
            assert trial.epochs_done == 2
        curve = ledger.epochs("mine", 0)
        assert [(e.epoch, e.train_loss, e.reported) for e in curve] == [
            (1, None, {"margin": 0.5}),
            (2, None, {"margin": 0.5}),
        ]
        best = {(t.accuracy, t.costs["work"].value) for t in trials}
        front = {(t.accuracy, t.costs["work"].value) for t in ledger.front("mine")}
        assert front == {
            one
            for one in best
            if not any(o != one and o[0] >= one[0] and o[1] <= one[1] for o in best)  # type: ignore[operator]  # all have one
        }


def test_a_space_that_is_exhausted_ends_the_search(tmp_path: Path) -> None:
    with searched(tmp_path, space="two", trials=8) as ledger:
        record, trials = ledger.search("mine"), ledger.trials("mine")
    assert record.ended == "every architecture of the space has been tried"
    assert record.finished and record.trials == 4
    assert len({trial.digest for trial in trials}) == 4
    assert states(trials) == {TrialState.COMPLETE}


def test_what_is_over_a_limit_is_passed_over(tmp_path: Path) -> None:
    with searched(tmp_path, limits={"work": 5}, trials=10) as ledger:
        trials = ledger.trials("mine")
    assert states(trials) == {TrialState.COMPLETE}
    assert all(trial.costs["work"].value <= 5 for trial in trials)
    assert sum(trial.passed_over for trial in trials) > 0
    samples = [sample for trial in trials for sample in trial.passed_samples]
    assert "over the limit of 5" in samples[0]["why"]
    assert all(len(trial.passed_samples) <= 3 for trial in trials)


def test_limits_that_few_keep_are_kept_until_none_is_left(tmp_path: Path) -> None:
    """Of 90 networks seven keep the limit: all are found, and then the search ends."""
    with searched(tmp_path, limits={"work": 4}, trials=30) as ledger:
        record, trials = ledger.search("mine"), ledger.trials("mine")
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    within = [c for c in every(registered.get("toy")) if sum(v for k, v in c.items() if k != "depth") <= 4]
    assert len(complete) == len(within) == 7
    assert record.finished and record.ended is not None
    assert "limit" in record.ended


def test_a_limit_that_nothing_keeps_names_the_nearest(tmp_path: Path) -> None:
    with searched(tmp_path, limits={"work": 1}, trials=5) as ledger:
        record, trials = ledger.search("mine"), ledger.trials("mine")
    assert record.finished
    assert [trial.state for trial in trials] == [TrialState.INFEASIBLE]
    assert trials[0].costs["work"].value == 2, "the nearest"
    assert trials[0].passed_over == 90


def test_what_is_told_at_step_0_is_held_against_limits(tmp_path: Path) -> None:
    with searched(tmp_path, evaluator="late", limits={"work": 5}, trials=10) as ledger:
        trials = ledger.trials("mine")
    assert states(trials) == {TrialState.COMPLETE, TrialState.INFEASIBLE}
    for trial in trials:
        assert (trial.state is TrialState.INFEASIBLE) == (trial.costs["work"].value > 5)
        assert not trial.error or "over the limit of 5" in trial.error


def test_what_has_no_costs_fails_where_nothing_looks_before_it_proposes(tmp_path: Path) -> None:
    for sampler, found in (
        ("auto", {TrialState.COMPLETE}),
        ("random", {TrialState.COMPLETE, TrialState.FAILED}),
    ):
        with searched(tmp_path, sampler, evaluator="picky", trials=20, sampler=sampler) as ledger:
            trials = ledger.trials(sampler)
        assert states(trials) == found
        assert all(
            t.error == "costs: ValueError: an odd network has no costs"
            for t in trials
            if t.state is TrialState.FAILED
        )


def test_repeats_give_the_mean(tmp_path: Path) -> None:
    with searched(tmp_path, evaluator="seeded", repeats=3, trials=2) as ledger:
        trial, predictions = ledger.trials("mine")[1], predictions_of(ledger, "mine", 1)
    drawn = [seeds.training_seed(0, 1, repeat) % 1000 / 1000 for repeat in range(3)]
    assert trial.accuracies == tuple(drawn)
    assert trial.accuracy == pytest.approx(sum(drawn) / 3)
    assert predictions is not None and predictions.right / 1000 == drawn[0], "those of the first training"


def test_what_an_evaluator_gives_is_checked(tmp_path: Path) -> None:
    with searched(tmp_path, evaluator="broken", trials=12) as ledger:
        errors = {trial.error for trial in ledger.trials("mine")}
    assert errors == {
        "ValueError: accuracy is nan, which the ledger does not record",
        "evaluator: 'broken' gave no work; have it return that",
    }


def test_results_that_contradict_what_was_told_before_fail_the_trial(tmp_path: Path) -> None:
    with searched(tmp_path, evaluator="fickle", trials=90, epochs=1) as ledger:
        trials = ledger.trials("mine")
    assert len(trials) == 90
    for trial in trials:
        first, work = (trial.choices or {})["layer0"], trial.costs["work"].value
        later = {1: work + 1, 2: work * 2}.get(int(first))
        told = f"evaluator: 'fickle' told work {work!r} before the training, and {later!r} later; have it"
        assert trial.state is (TrialState.COMPLETE if later is None else TrialState.FAILED)
        assert (trial.error or "").startswith(told if later is not None else "")


def test_a_report_that_is_refused_may_be_mended(tmp_path: Path) -> None:
    with searched(tmp_path, evaluator="stubborn", trials=1) as ledger:
        assert [epoch.accuracy for epoch in ledger.epochs("mine", 0)] == [0.25]


def test_no_step_is_reported_beyond_the_budget(tmp_path: Path) -> None:
    with searched(tmp_path, evaluator="tireless", trials=1, epochs=3) as ledger:
        (trial,) = ledger.trials("mine")
        assert [epoch.epoch for epoch in ledger.epochs("mine", 0)] == [1, 2, 3]
    assert (trial.state, trial.epochs_done) == (TrialState.FAILED, 3)
    assert trial.error == "ValueError: step 4 was reported, and the budget ends with 3"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"evaluator": "training", "data": "digits"}, "space: 'toy' has architectures that bitnas cannot"),
        ({"objectives": ("latency",)}, "objectives: 'latency': neither evaluator 'toy' nor the space 'toy'"),
        ({"evaluator": "tody"}, "evaluator: unknown name 'tody'; did you mean 'toy'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as error:
        create(f"sqlite:///{tmp_path}/nas.db", "mine", SearchConfig(**{**CONFIG, **settings}))
    assert str(error.value).startswith(told)
    assert not list(tmp_path.iterdir())


def test_evaluators_may_share_an_objective() -> None:
    def declare(name: str, **description: Any) -> None:
        nas.evaluator(name, objectives=[nas.Objective("work", **description)])(lambda *_: {})

    declare("same", before_training=True)
    with pytest.raises(InvalidInput) as error:
        declare("other", unit="G", direction="maximize")
    assert str(error.value) == (
        "objectives: 'work' is there already, with unit '', not 'G', direction 'minimize', not 'maximize', "
        'before_training True, not False; name the one that is there, objectives=["work"], '
        "or choose another name"
    )
    with pytest.raises(InvalidInput, match=r"^objectives: 'latency' is there already, with a meaning of its"):
        nas.evaluator("third", objectives=[nas.Objective("latency", unit="ms", before_training=True)])


def test_every_architecture_is_listed_once() -> None:
    found = list(every(registered.get("toy")))
    assert len(found) == len({str(choices) for choices in found}) == 3**2 + 3**4
    assert registered.get("toy").size() == 90


def test_two_workers_cannot_take_the_same_architecture(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True) as ledger:
        ledger.create_search("mine", SearchConfig(**CONFIG))
        one, other = (Claims(ledger, "mine", Worker.this_process()) for _ in range(2))
        first, second = one.claim(), other.claim()
        assert first is not None and second is not None
        same = {"choices": {"a": 1}, "architecture": "[1]", "digest": "d"}
        assert one.propose(first, **same)
        assert not other.propose(second, **same)
        assert ledger.trial("mine", second.trial.number).digest is None
        assert other.propose(second, **same, budget=7), "with another budget it is another trial"


def test_a_history_reads_what_has_changed(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    with Ledger.open(storage, create=True) as ledger, Ledger.open(storage) as reading:
        ledger.create_search("mine", SearchConfig(**CONFIG))
        claims, history = Claims(ledger, "mine", Worker.this_process()), History(reading, "mine")
        assert history.refresh() == []
        claim = claims.claim()
        assert claim is not None
        claims.propose(claim, choices={"a": 1}, architecture="[1]", digest="d")
        assert [trial.number for trial in history.refresh()] == [0]
        assert "d" in history and history.refresh() == []
        claims.renew(claim)
        assert history.refresh() == [], "a lease is no news"
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)
        assert [trial.accuracy for trial in history.refresh()] == [0.5]
        assert [trial.state for trial in history.trials] == [TrialState.COMPLETE]


def test_a_search_begins_with_what_it_is_told(tmp_path: Path) -> None:
    chosen = {"depth": "shallow", "layer0": 3, "layer1": 1}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"choices": chosen}))
    with searched(tmp_path, trials=2, first=[str(file)]) as ledger:
        first, second = ledger.trials("mine")
    assert first.choices == chosen and first.digest == toys.Toy((3, 1)).digest
    assert second.digest != first.digest


def test_a_search_that_is_warm_takes_trials_over(tmp_path: Path) -> None:
    with searched(tmp_path, trials=3) as ledger:
        before = ledger.trials("mine")
    with searched(tmp_path, "next", trials=4, warm_start=["mine"], first=["mine/2"]) as ledger:
        record, trials = ledger.search("next"), ledger.trials("next")
        curves = [ledger.epochs("next", number) for number in range(3)]
        assert curves == [ledger.epochs("mine", number) for number in range(3)]
    assert record.trials == 7 and [t.number for t in trials] == list(range(7))
    assert [t.same_as for t in trials[:3]] == ["mine/0", "mine/1", "mine/2"]
    assert [t.accuracy for t in trials[:3]] == [t.accuracy for t in before]
    assert len({t.digest for t in trials}) == 7, "nothing is trained again, not even what comes first"


def test_predictions_go_with_a_trial_that_is_taken_over_and_parents_do_not(tmp_path: Path) -> None:
    with searched(tmp_path, trials=4, sampler="local", evaluator="seeded") as ledger:
        before, bred = [predictions_of(ledger, "mine", n) for n in range(4)], parents_of(ledger, "mine")
        assert ledger.trial("mine", 3).parents == bred[3]
    assert None not in before and bred
    with searched(
        tmp_path, "next", trials=2, sampler="local", evaluator="seeded", warm_start=["mine"]
    ) as ledger:
        assert [predictions_of(ledger, "next", n) for n in range(4)] == before
        assert set(parents_of(ledger, "next")) <= {4, 5}
        assert check(ledger.url) == []
    with searched(tmp_path, "other", trials=1, evaluator="unfounded") as ledger:
        error = ledger.trial("other", 0).error
    assert error == "TypeError: predictions are of type Predictions, not dict"


@pytest.mark.parametrize("other", [{"epochs": 1}, {"epochs": 3}, {"repeats": 2}])
def test_results_of_another_training_only_inform(tmp_path: Path, other: dict[str, int]) -> None:
    """All architectures of the space, which are trained again."""
    with searched(tmp_path, trials=90, **other):
        pass
    with searched(tmp_path, "longer", trials=5, warm_start=["mine"]) as ledger:
        trials, front = ledger.trials("longer"), ledger.front("longer")
    assert {t.state for t in trials[:90]} == {TrialState.PRUNED}
    assert states(trials[90:]) == {TrialState.COMPLETE}
    assert {t.number for t in front} <= {90, 91, 92, 93, 94}


def test_trainings_by_another_schedule_only_inform(tmp_path: Path) -> None:
    """Where trials are paused, bitnas's trainings come down at each rung."""
    storage, network = f"sqlite:///{tmp_path}/nas.db", registered.get("tiny").sample(0)
    given = SearchConfig("tiny", "digits", "local", trials=1, epochs=2)
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("mine", replace(given, pruner="halving"))
        claims = Claims(ledger, "mine", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        claims.propose(claim, choices={}, architecture=network.to_json(), digest=network.digest)
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)
        for pruner, state in (("none", TrialState.PRUNED), ("hyperband", TrialState.COMPLETE)):
            create(storage, pruner, replace(given, pruner=pruner), warm_start=["mine"])
            assert ledger.trial(pruner, 0).state is state


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"first": ["nowhere.json"]}, "first: there is no file 'nowhere.json'"),
        ({"first": ["mine/7"]}, "first: 'mine' has no trial 7"),
        ({"first": ["mine/0", "mine/1"], "trials": 1}, "first: 2 architectures are more than the 1 trials"),
        (
            {"warm_start": ["other"]},
            "warm_start: there is no search 'other'; the ledger holds: mine",
        ),
        ({"warm_start": ["next"]}, "warm_start: there is no search 'next'; the ledger holds: mine"),
        ({"warm_start": ["mine"], "space": "two"}, "warm_start: 'mine' has space 'toy', this search 'two'"),
    ],
)
def test_what_a_search_cannot_begin_with(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with searched(tmp_path, trials=2) as ledger, pytest.raises(InvalidInput) as error:
        searched(tmp_path, "next", **settings)
    assert str(error.value).startswith(told)
    with Ledger.open(ledger.url) as again:
        assert [search.name for search in again.searches()] == ["mine"]


class TestToy(EvaluatorConformance):
    evaluator, space = "toy", "toy"


class TestLate(EvaluatorConformance):
    evaluator, space = "late", "two"


class TestTraining(EvaluatorConformance):
    evaluator, space = "training", "tiny"

    def task(self) -> Task:
        from benches import FEW

        from nas.data import load

        return Task(self.config, load(FEW))


class Odd(toys.ToySpace):
    """One that breaks its contract in some way."""

    def __init__(self, how: str) -> None:
        self.how = how

    def propose(self, choose: Choose) -> Any:
        if self.how == "no choice":
            return toys.Toy((1,))
        if self.how == "other options at times":
            kind = choose("kind", ("a", "b"))
            choose("width", (1, 2) if kind == "a" else (3, 4))
        if self.how == "no option":
            choose("width", ())
        if self.how == "raises ZeroDivisionError":
            return 1 / 0
        found = SimpleNamespace(digest="d", to_json=lambda: "[1]")
        choose("kind", ("a", "b"))
        if self.how == "the digest of an architecture is":
            found.digest = "d" * 65
        if self.how == "to_json gives":
            found.to_json = dict
        return found


@pytest.mark.parametrize(
    "how",
    [
        *("no choice", "other options at times", "no option", "raises ZeroDivisionError"),
        *("the digest of an architecture is", "to_json gives"),
    ],
)
def test_a_space_that_breaks_its_contract_is_refused(how: str) -> None:
    with pytest.raises(InvalidInput, match=f"space: 'toy': .*{how}"):
        check_space(Odd(how))


def test_a_class_is_no_space() -> None:
    """What an entry point may name by mistake."""
    with pytest.raises(InvalidInput, match=r"it is a class.*instance of it, ToySpace"):
        check_space(toys.ToySpace)  # type: ignore[arg-type]  # which is refused


def test_spaces_that_keep_their_contract_pass() -> None:
    for name in ("toy", "two", "tiny", "cifar", "mobile"):
        check_space(registered.get(name))


def test_a_search_without_data_is_shown_with_its_evaluator(tmp_path: Path) -> None:
    searched(tmp_path, trials=2, device="").close()
    assert "Search mine (toy on toy): 2 complete" in str(nas.load(f"sqlite:///{tmp_path}/nas.db", "mine"))

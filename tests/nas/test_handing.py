"""What the driver of a cluster does with what it is told, without a cluster: the other end is the test."""

import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.data import load
from nas.executors.ray.driver import shipment_of
from nas.executors.ray.handing import Handing
from nas.executors.ray.messages import Message
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.losses import MAX_UNKNOWN, Cause
from nas.measuring.machine_lock import MachineLock
from nas.trials.job import Job, Told
from nas.trials.setup import make_runner
from search_spaces.errors import BitnasError


def config(**fields: Any) -> SearchConfig:
    """Of a search on toys, which must be known by now."""
    usual = {
        "evaluator": "toy",
        "sampler": "grid",
        "objectives": ("accuracy", "work"),
        "limits": {"work": 5.0},
    }
    return SearchConfig(*("toy", "", "", 4, 3), **usual, **fields)


class Bench:
    """A driver, and what it has told."""

    def __init__(self, ledger: Ledger, lock: MachineLock, config: SearchConfig, workers: int = 2) -> None:
        ledger.create_search("demo", config)
        self.ledger, self.told = ledger, list[Told]()
        self.claims = Claims(ledger, "demo", Worker.this_process())
        job = Job(ledger.url, "demo", poll_s=0.0)
        runner = make_runner(job, ledger, self.claims, lock)
        self.handing = Handing(runner, job, workers, lambda: None, self.told.append)

    def begin(self, key: str, pid: int = 1) -> None:
        """Take a trial, on a node."""
        assert self.handing.next(key) is not None
        assert self.handing.hear(key, Message("begun", {"host": "far", "pid": pid, "node": "n1"}))

    def step(self, key: str, number: int, **values: float) -> bool:
        return self.handing.hear(key, Message("step", {"number": number, "values": values, "seconds": 0.5}))

    def end(self, key: str, **values: float) -> bool:
        return self.handing.hear(key, Message("ended", {"values": values, "predictions": None}, b"weights"))

    def states(self) -> list[TrialState]:
        return [trial.state for trial in self.ledger.trials("demo")]


@pytest.fixture
def lock(tmp_path: Path) -> MachineLock:
    return MachineLock(tmp_path / "lock", lambda: None)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True) as ledger:
        yield ledger


pytestmark = pytest.mark.usefixtures("toys_are_known")


def test_trials_are_handed_out_and_recorded(opened: Ledger, lock: MachineLock) -> None:
    bench = Bench(opened, lock, config())
    bench.begin("a")
    bench.begin("b")
    assert bench.handing.next("c") is None, "two at once"
    assert bench.handing.node_of("b") == "n1"
    assert bench.step("a", 1, accuracy=0.5)
    assert not bench.end("a", accuracy=0.75)
    assert not bench.end("a", accuracy=1.0), "it is over"
    trial = opened.trial("demo", 0)
    assert (trial.state, trial.accuracy, trial.epochs_done) == (TrialState.COMPLETE, 0.75, 1)
    assert opened.weights("demo", 0) == b"weights"
    assert trial.costs["work"].value <= 5.0, "what is over the limit is not handed out"
    bench.handing.put_back()
    assert bench.states() == [TrialState.COMPLETE, *[TrialState.QUEUED] * 3]
    assert not bench.step("b", 1, accuracy=0.5), "it was put back"


def test_what_goes_wrong_with_a_trial_fails_it_alone(opened: Ledger, lock: MachineLock) -> None:
    bench = Bench(opened, lock, config(), workers=4)
    for key in "abcd":
        bench.begin(key)
    assert not bench.handing.hear("a", Message("failed", {"error": "ValueError: no"}))
    assert not bench.step("b", 1, accuracy=0.5, work=77.0)
    claim = bench.handing._handed["c"].claim
    bench.claims.release(claim)  # another has it
    assert not bench.step("c", 1, accuracy=0.5)
    with pytest.raises(BitnasError, match="far: it has bitnas 7"):
        bench.handing.hear("d", Message("unfit", {"error": "node far: it has bitnas 7"}))
    bench.handing.put_back()
    assert bench.states() == [TrialState.FAILED] * 2 + [TrialState.QUEUED] * 2
    errors = [trial.error or "" for trial in opened.trials("demo")]
    assert errors[0] == "ValueError: no"
    assert "77.0 later" in errors[1]


def test_repeats_are_evaluated_one_after_the_other(opened: Ledger, lock: MachineLock) -> None:
    bench = Bench(opened, lock, config(repeats=2))
    assignment = bench.handing.next("a")
    assert assignment is not None
    assert len(set(assignment.seeds)) == 2
    assert bench.step("a", 1, accuracy=0.5)
    assert bench.end("a", accuracy=0.5)
    assert bench.step("a", 1, accuracy=0.1)
    assert not bench.end("a", accuracy=0.7)
    trial = opened.trial("demo", 0)
    assert (trial.accuracy, trial.accuracies) == (pytest.approx(0.6), (0.5, 0.7))
    assert [epoch.accuracy for epoch in opened.epochs("demo", 0)] == [0.5], "of the first"
    bench.handing.put_back()


def test_a_lost_trial_is_tried_again_and_at_last_given_up(opened: Ledger, lock: MachineLock) -> None:
    bench = Bench(opened, lock, replace(config(), trials=1), workers=1)
    for _ in range(2):
        bench.begin("a")
        bench.step("a", 1, accuracy=0.5)
        bench.handing.lose("a", Cause.OUTSIDE, "its node was lost")
    for pid in range(MAX_UNKNOWN):
        assert bench.states() == [TrialState.QUEUED]
        assert not opened.epochs("demo", 0)
        bench.begin("a", pid)
        bench.handing.lose("a", Cause.UNKNOWN, "killed, or crashed")
    assert bench.states() == [TrialState.FAILED]
    notices = [told.notice or "" for told in bench.told]
    assert notices[0] == "trial 0: its worker died (its node was lost); it is tried again by another"
    assert notices[-1].endswith("it is given up")
    assert bench.handing.is_over


def test_workers_that_cannot_even_begin_end_the_search(opened: Ledger, lock: MachineLock) -> None:
    before = set(threading.enumerate())
    bench = Bench(opened, lock, replace(config(), trials=1), workers=1)

    def lose() -> None:
        assert bench.handing.next("a") is not None
        bench.handing.lose("a", Cause.UNKNOWN, "killed, or crashed")

    for _ in range(MAX_UNKNOWN + 1):
        lose()
    with pytest.raises(BitnasError, match="its workers die without a result"):
        lose()
    assert bench.states() == [TrialState.QUEUED], "that is none of its fault"
    assert set(threading.enumerate()) <= before, "no heartbeat is left"


def test_a_node_gets_no_way_to_the_ledger(
    opened: Ledger, lock: MachineLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it gets tells how to evaluate, and which images, as arrays."""
    monkeypatch.delenv("NAS_PLUGINS", raising=False)
    bench = Bench(opened, lock, SearchConfig("tiny", "digits", "", 1, 1, objectives=("accuracy",)))
    shipment = shipment_of(bench.handing._runner)
    sent = pickle.dumps(shipment)
    assert opened.url.removeprefix("sqlite:///").encode() not in sent
    there = pickle.loads(sent)
    assert there.data is not None
    assert (there.data.train.images == load("digits").train.images).all()

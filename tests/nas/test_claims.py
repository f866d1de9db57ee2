"""Claiming: who owns a trial, for how long, and what becomes of it when its owner dies or dawdles."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nas.ledger import EpochRecord, Ledger, SearchConfig, StaleClaimError, TrialState, Worker
from nas.ledger.claims import Claim, Claims
from nas.ledger.curves import Curves
from nas.ledger.entries import Cost
from nas.ledger.losses import MAX_UNKNOWN
from tests.measured import timed

SPAWN = multiprocessing.get_context("spawn")
CHOICES: dict[str, str | int] = {"stage1.block": "fire", "stage1.width": 16}
ARCHITECTURE, DIGEST = '{"space":"tiny"}', "ab" * 32
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
COST = Cost(latency_ms=1.5, size_kb=12.0, latency_by_workload=[("conv", 1.0), ("dense", 0.5)])


@pytest.fixture
def demo(ledger: Ledger, config: SearchConfig) -> Iterator[Ledger]:
    """A ledger with one search, ``demo``, of four trials."""
    ledger.create_search("demo", config)
    yield ledger


def _claims(ledger: Ledger, now_s: float = 0.0, **worker: object) -> Claims:
    """With a clock that stands, so many seconds into the test; a lease lasts a minute."""
    now = BEGIN + timedelta(seconds=now_s)
    return Claims(ledger, "demo", replace(Worker.this_process(), **worker), 60.0, lambda: now)


def _taken(claim: Claim | None) -> Claim:
    assert claim is not None
    return claim


def test_a_trial_goes_through_its_states(demo: Ledger) -> None:
    claims = _claims(demo)
    claim = _taken(claims.claim())
    running = demo.trial("demo", 0)
    assert running.state is TrialState.RUNNING
    assert running.worker == f"{Worker.this_process().host}:{os.getpid()}"
    assert running.started_at is not None
    claims.propose(claim, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST)
    claims.record_cost(claim, COST)
    claims.record_epoch(claim, EpochRecord(1, 2.0, 0.4, 0.1))
    claims.record_epoch(claim, EpochRecord(2, 1.0, 0.5, 0.1))
    assert demo.weights("demo", 0) is None
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.5, weights=b"\x00\xff tensors")
    assert demo.weights("demo", 0) == b"\x00\xff tensors"
    assert demo.weights("demo", 1) is None
    done = demo.trial("demo", 0)
    assert (done.state, done.accuracy, done.latency_ms, done.size_kb) == ("complete", 0.5, 1.5, 12.0)
    assert done.choices == CHOICES
    assert done.latency_by_workload == COST.latency_by_workload
    assert done.finished_at is not None
    assert [epoch.accuracy for epoch in demo.epochs("demo", 0)] == [0.4, 0.5]
    curves = Curves(demo, "demo", [2])
    curves.refresh()
    assert curves.at(2) == {0: {"accuracy": 0.5}}
    assert done.to_dict()["state"] == "complete"


def test_each_trial_is_claimed_once_and_in_order(demo: Ledger) -> None:
    one, two = _claims(demo), _claims(demo)
    numbers = [_taken(claims.claim()).trial.number for claims in (one, two, one, two)]
    assert numbers == [0, 1, 2, 3]
    assert one.claim() is None


def test_a_finished_trial_takes_no_more_writes(demo: Ledger) -> None:
    claims = _claims(demo)
    claim = _taken(claims.claim())
    claims.finish(claim, TrialState.FAILED, error="it broke")
    for write in (
        lambda: claims.finish(claim, TrialState.COMPLETE, accuracy=1.0),
        lambda: claims.propose(claim, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST),
        lambda: claims.record_cost(claim, COST),
        lambda: claims.renew(claim),
    ):
        with pytest.raises(StaleClaimError, match="trial 0 of 'demo' was taken over"):
            write()
    assert demo.trial("demo", 0).error == "it broke"


def test_an_expired_lease_passes_the_trial_on_and_fences_the_former_owner_off(demo: Ledger) -> None:
    slow, early, other = _claims(demo), _claims(demo, 59.9), _claims(demo, 60.1)
    first = _taken(slow.claim())
    slow.propose(first, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST)
    slow.record_epoch(first, EpochRecord(1, 2.0, 0.4, 0.1))
    assert _taken(early.claim()).trial.number == 1
    second = _taken(other.claim())
    assert second.trial.number == 0
    assert second.fence == first.fence + 1
    assert second.trial.architecture == ARCHITECTURE
    assert demo.epochs("demo", 0) == []
    for write in (
        lambda: slow.renew(first),
        lambda: slow.propose(first, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST),
        lambda: slow.record_epoch(first, EpochRecord(2, 2.0, 0.4, 0.1)),
        lambda: slow.finish(first, TrialState.COMPLETE, accuracy=0.1),
    ):
        with pytest.raises(StaleClaimError):
            write()
    slow.release(first)
    assert demo.trial("demo", 0).state is TrialState.RUNNING
    assert demo.epochs("demo", 0) == []
    other.finish(second, TrialState.COMPLETE, accuracy=0.9)
    assert demo.trial("demo", 0).accuracy == 0.9


def test_a_renewed_lease_keeps_the_trial(demo: Ledger) -> None:
    claim = _taken(_claims(demo).claim())
    for now_s in (50.0, 100.0):
        _claims(demo, now_s).renew(claim)
    assert _taken(_claims(demo, 159.9).claim()).trial.number == 1
    assert _taken(_claims(demo, 160.1).claim()).trial.number == 0


def test_a_released_trial_is_queued_with_its_proposal(demo: Ledger) -> None:
    claims = _claims(demo)
    claim = _taken(claims.claim())
    claims.propose(claim, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST)
    claims.record_epoch(claim, EpochRecord(1, 2.0, 0.4, 0.1))
    claims.release(claim)
    trial = demo.trial("demo", 0)
    assert (trial.state, trial.worker, trial.digest) == (TrialState.QUEUED, None, DIGEST)
    assert demo.epochs("demo", 0) == []
    assert _taken(claims.claim()).trial.architecture == ARCHITECTURE


def _ended_process() -> Worker:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = int(Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    return replace(Worker.this_process(), pid=process.pid, started=started)


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to tell whether a process lives"
)
def test_a_dead_owner_on_this_host_is_noticed_before_its_lease_ends(demo: Ledger) -> None:
    dead = _ended_process()
    assert dead.is_known_dead()
    assert not Worker.this_process().is_known_dead()
    assert replace(dead, host="renamed").is_known_dead()
    assert replace(Worker.this_process(), started=1).is_known_dead()  # The pid was given to another.
    assert not replace(dead, machine="another-boot/1").is_known_dead()  # Perhaps of a machine of that name.
    assert Worker.from_text(dead.to_text()) == dead

    _claims(demo, pid=dead.pid, started=dead.started).claim()
    assert _taken(_claims(demo).claim()).trial.number == 0


def test_trials_of_the_dead_can_be_given_back_without_blame(demo: Ledger) -> None:
    for _ in range(MAX_UNKNOWN + 1):
        _claims(demo, started=1).claim()
        _claims(demo).release_dead()
        assert demo.trial("demo", 0).state is TrialState.QUEUED
    alive = _taken(_claims(demo).claim())
    _claims(demo).release_dead()
    assert demo.trial("demo", alive.trial.number).state is TrialState.RUNNING


def test_measuring_is_claimed_once_too(demo: Ledger) -> None:
    claims, other = _claims(demo), _claims(demo)
    assert claims.claim_measuring([0, 1]) is None  # Nothing is complete yet.
    for number in (0, 1):
        claim = _taken(claims.claim())
        claims.propose(claim, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST)
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.5 + number / 10)
    first = _taken(claims.claim_measuring([0]))
    assert first.trial.number == 0
    assert other.claim_measuring([0]) is None
    claims.release(first)
    assert demo.trial("demo", 0).state is TrialState.COMPLETE
    again = _taken(other.claim_measuring([0]))
    with pytest.raises(StaleClaimError):
        claims.record_measured(first, measured=timed(9.0))
    other.record_measured(again, measured=timed(2.5))
    assert demo.trial("demo", 0).measured_latency_ms == 2.5
    assert other.claim_measuring([0]) is None


def test_a_measured_trial_still_names_who_evaluated_it(demo: Ledger) -> None:
    evaluator, measurer = _claims(demo, host="evaluator"), _claims(demo, host="measurer")

    def named() -> str:
        return (demo.trial("demo", 0).worker or "nobody").partition(":")[0]

    claim = _taken(evaluator.claim())
    evaluator.propose(claim, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST)
    evaluator.finish(claim, TrialState.COMPLETE, accuracy=0.5)
    for _ in range(2):  # its kernels, perhaps more than once
        claim = _taken(measurer.claim_measuring([0]))
        assert named() == "measurer", "who holds the lease"
        measurer.release(claim)
        assert named() == "evaluator"
    measurer.record_measured(_taken(measurer.claim_measuring([0])), error="no")
    assert named() == "evaluator"


def test_a_lost_measurer_is_not_taken_for_who_evaluated_the_trial(demo: Ledger) -> None:
    claims = _claims(demo)
    claim = _taken(claims.claim())
    claims.propose(claim, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST)
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)
    _taken(_claims(demo, started=1).claim_measuring([0]))  # dead by now
    claims.release(_taken(claims.claim_measuring([0])))
    assert demo.trial("demo", 0).worker is None


def test_others_at_work_are_told_until_they_are_done_or_dead(demo: Ledger) -> None:
    mine, other = _claims(demo), _claims(demo, host="elsewhere")
    claim = _taken(other.claim())
    _taken(mine.claim())
    told = mine.at_work()
    assert [name.partition(":")[0] for name in told] == ["elsewhere"]
    assert _claims(demo, now_s=61.0).at_work() == [], "their leases are over"
    other.release(claim)
    assert mine.at_work() == []


@pytest.mark.parametrize("accuracy", [float("nan"), float("inf"), None])
def test_a_complete_trial_has_a_finite_accuracy(demo: Ledger, accuracy: float | None) -> None:
    claims = _claims(demo)
    claim = _taken(claims.claim())
    with pytest.raises(ValueError, match="accuracy"):
        claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy)
    assert demo.trial("demo", 0).state is TrialState.RUNNING


def _run_all(storage: str, log: Path) -> None:
    """Claim and finish trials until none is left, noting each claim; runs in its own process."""
    with Ledger.open(storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        with log.open("a") as lines:
            while claim := claims.claim():
                lines.write(f"{claim.trial.number} {claim.fence}\n")
                claims.propose(claim, choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST)
                claims.record_epoch(claim, EpochRecord(1, 1.0, 0.5, 0.1))
                claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)


def test_four_processes_share_the_trials_without_loss_or_doubling(storage: str, tmp_path: Path) -> None:
    config = SearchConfig(space="tiny", data="digits", device="local", trials=80, epochs=1)
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
        logs = [tmp_path / f"{index}.log" for index in range(4)]
        processes = [SPAWN.Process(target=_run_all, args=(storage, log)) for log in logs]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        claimed = sorted(
            tuple(map(int, line.split())) for log in logs for line in log.read_text().splitlines()
        )
        assert claimed == [(number, 1) for number in range(80)]
        assert ledger.search("demo").counts[TrialState.COMPLETE] == 80
        assert all(len(ledger.epochs("demo", number)) == 1 for number in (0, 40, 79))


def _open_and_create(storage: str) -> None:
    Ledger.open(storage, create=True).close()


def test_eight_processes_can_create_the_ledger_at_once(storage: str) -> None:
    processes = [SPAWN.Process(target=_open_and_create, args=(storage,)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    with Ledger.open(storage) as ledger:
        assert ledger.searches() == []


def _claim_and_hang(storage: str, ready: Path) -> None:
    with Ledger.open(storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        claims.propose(_taken(claims.claim()), choices=CHOICES, architecture=ARCHITECTURE, digest=DIGEST)
        ready.touch()
        time.sleep(60)


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to tell whether a process lives"
)
def test_a_killed_process_loses_its_trial_at_once_and_nothing_else(demo: Ledger, tmp_path: Path) -> None:
    process = SPAWN.Process(target=_claim_and_hang, args=(demo.url, tmp_path / "ready"))
    process.start()
    while not (tmp_path / "ready").exists():
        assert process.is_alive()
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    claim = _taken(_claims(demo).claim())
    assert (claim.trial.number, claim.trial.digest) == (0, DIGEST)

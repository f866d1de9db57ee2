"""Paused trials: what the ledger keeps of them, who goes on, and how their search ends, killed or not."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search.simulated import Simulation
from nas.algorithms.halving import Halving
from nas.ledger import EpochRecord, Ledger, SearchConfig, StaleClaimError, TrialRecord, TrialState, Worker
from nas.ledger.checkpoints import end_paused, tensors_of
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import Cost
from nas.ledger.history import History
from nas.ledger.losses import MAX_OWN, Cause, Doubt
from nas.trials.stopping import Decision, Stopping, next_claim

CONFIG = SearchConfig(
    "tiny", "digits", "local", 9, 9, pruner="halving", objectives=("accuracy", "size"), seed=1
)


@pytest.fixture
def demo(ledger: Ledger) -> Iterator[Ledger]:
    """A ledger with one search, ``demo``, of nine trials of nine epochs."""
    ledger.create_search("demo", CONFIG)
    yield ledger


def _claims(ledger: Ledger, **worker: object) -> Claims:
    return Claims(ledger, "demo", replace(Worker.this_process(), **worker))


def _stopping(ledger: Ledger) -> Stopping:
    return Stopping(ledger, History(ledger, "demo"), "demo", CONFIG)


def _taken(claim: Claim | None) -> Claim:
    assert claim is not None
    return claim


def _train(claims: Claims, claim: Claim, first: int, last: int, accuracy: float = 0.5) -> None:
    for epoch in range(first, last + 1):
        claims.record_epoch(claim, EpochRecord(epoch, 1.0, accuracy, 0.1))


def _epochs(ledger: Ledger, number: int) -> list[int]:
    return [epoch.epoch for epoch in ledger.epochs("demo", number)]


def _paused(ledger: Ledger, checkpoint: bytes = b"so far") -> Claims:
    """Trial 0 is paused after its third epoch."""
    claims = _claims(ledger)
    claim = _taken(claims.claim())
    _train(claims, claim, 1, 3)
    claims.pause(claim, epoch=3, accuracy=0.5, checkpoint=checkpoint)
    with pytest.raises(StaleClaimError):
        claims.record_epoch(claim, EpochRecord(4, 1.0, 0.5, 0.1))
    return claims


def test_a_paused_trial_keeps_its_epochs_and_goes_on_from_its_checkpoint(demo: Ledger) -> None:
    claims = _paused(demo)
    trial = demo.trial("demo", 0)
    assert (trial.state, trial.accuracy, trial.epochs_done) == (TrialState.PAUSED, 0.5, 3)
    assert (trial.worker, trial.finished_at) == (None, None)
    assert tensors_of(demo, "demo", 0) == b"so far"
    assert claims.claim_paused([1]) is None, "it is only queued"
    claim = _taken(claims.claim_paused([1, 0]))
    assert (claim.trial.number, claim.trial.epochs_done) == (0, 3)
    assert _claims(demo).claim_paused([0]) is None
    _train(claims, claim, 4, 9)
    claims.pause(claim, epoch=9, accuracy=0.6, checkpoint=b"more")
    assert tensors_of(demo, "demo", 0) == b"more"
    claim = _taken(claims.claim_paused([0]))
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.6, weights=b"")
    assert _epochs(demo, 0) == list(range(1, 10))
    assert tensors_of(demo, "demo", 0) is None, "what ended needs no checkpoint"


@pytest.mark.parametrize("is_killed", [True, False])
def test_one_that_was_left_goes_back_to_its_checkpoint(demo: Ledger, is_killed: bool) -> None:
    _paused(demo)
    first = _claims(demo, started=1) if is_killed else _claims(demo)
    claim = _taken(first.claim_paused([0]))
    _train(first, claim, 4, 7)
    if is_killed:
        again = _taken(_claims(demo).claim_abandoned())
    else:
        first.release(claim)
        assert demo.trial("demo", 0).state is TrialState.PAUSED
        assert demo.trial("demo", 0).epochs_done == 3
        again = _taken(_claims(demo).claim_paused([0]))
    assert (again.trial.number, again.trial.epochs_done) == (0, 3)
    assert _epochs(demo, 0) == [1, 2, 3]
    assert tensors_of(demo, "demo", 0) == b"so far"


def test_one_that_kills_its_workers_is_given_up_with_its_checkpoint(demo: Ledger) -> None:
    _paused(demo)
    _taken(_claims(demo, started=1).claim_paused([0]))
    for _ in range(MAX_OWN - 1):
        assert _claims(demo).lose(os.getpid(), Cause.OWN, "exit code 1") == (0, Doubt.NONE)
        _taken(_claims(demo, started=1).claim_paused([0]))
    assert _claims(demo).lose(os.getpid(), Cause.OWN, "exit code 1") == (0, Doubt.GIVEN_UP)
    assert _claims(demo).claim_abandoned() is None
    assert demo.trial("demo", 0).state is TrialState.FAILED
    assert tensors_of(demo, "demo", 0) is None


def test_without_a_checkpoint_it_starts_over_and_its_epochs_count_meanwhile(demo: Ledger) -> None:
    claims = _paused(demo, b"")
    claim = _taken(claims.claim_paused([0]))
    assert tensors_of(demo, "demo", 0) is None
    _train(claims, claim, 1, 2, accuracy=0.7)
    assert demo.trial("demo", 0).epochs_done == 3
    assert [epoch.accuracy for epoch in demo.epochs("demo", 0)] == [0.7, 0.7, 0.5]
    claims.release(claim)
    assert demo.trial("demo", 0).state is TrialState.PAUSED
    assert _epochs(demo, 0) == [1, 2, 3]


def test_paused_trials_end_once_nothing_has_changed_and_nobody_works(demo: Ledger) -> None:
    claims = _paused(demo)
    history = History(demo, "demo")
    history.refresh()
    assert not end_paused(demo, "demo", history.revision), "others are queued"
    for _ in range(8):
        claims.finish(_taken(claims.claim()), TrialState.FAILED, error="no")
    assert not end_paused(demo, "demo", history.revision), "it is not what was seen"
    history.refresh()
    claim = _taken(claims.claim_paused([0]))
    assert not end_paused(demo, "demo", history.revision), "one has gone on"
    claims.release(claim)
    history.refresh()
    assert not demo.search("demo").finished
    assert end_paused(demo, "demo", history.revision)
    assert demo.search("demo").finished
    ended = demo.trial("demo", 0)
    assert (ended.state, ended.accuracy, ended.epochs_done) == (TrialState.PRUNED, 0.5, 3)
    assert ended.finished_at is not None
    assert tensors_of(demo, "demo", 0) is None
    assert [trial.number for trial in history.refresh()] == [0], "readers notice"


class KilledError(Exception):
    """The worker has died."""


class Play:
    """Workers that train by a table of curves, one at a time, and die after so many epochs in all."""

    def __init__(self, ledger: Ledger, epochs: int | None = None) -> None:
        self.ledger, self.left = ledger, epochs
        self.begun: list[tuple[int, int]] = []  # the trial, and the epoch that it went on from
        draw = np.random.default_rng(15)
        self.sizes = draw.uniform(10, 100, 9)
        self.ends = draw.uniform(0.3, 0.9, 9)

    def accuracy(self, number: int, epoch: int) -> float:
        """The curves rise, and cross."""
        return float(self.ends[number] * (1 - 0.5 ** (epoch * (1 + number % 3) / 3)))

    def run(self) -> None:
        """Until the search is finished."""
        is_mortal = {} if self.left is None else {"started": 1}
        claims, stopping = _claims(self.ledger, **is_mortal), _stopping(self.ledger)
        while not self.ledger.search("demo").finished:
            claim = next_claim(claims, stopping)
            if claim is None:
                time.sleep(0.01)
            else:
                self._train(claims, stopping, claim)

    def _train(self, claims: Claims, stopping: Stopping, claim: Claim) -> None:
        number, before = claim.trial.number, claim.trial.epochs_done or 0
        self.begun.append((number, before))
        if not before:
            claims.propose(claim, choices={}, architecture="{}", digest=f"{number}")
            claims.record_cost(claim, Cost(1.0, float(self.sizes[number]), []))
        for epoch in range(before + 1, CONFIG.epochs + 1):
            self._live()
            accuracy = self.accuracy(number, epoch)
            claims.record_epoch(claim, EpochRecord(epoch, 1.0, accuracy, 0.1))
            is_last = epoch == CONFIG.epochs
            if not is_last and stopping.decide(number, epoch, gone_on_from=before) is Decision.PAUSE:
                claims.pause(claim, epoch=epoch, accuracy=accuracy, checkpoint=b"here")
                return
        claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy)

    def _live(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KilledError

    def outcome(self) -> list[tuple[object, ...]]:
        """What has become of each trial."""
        trials = self.ledger.trials("demo")
        return [
            (t.number, t.state, t.accuracy, t.epochs_done, *_epochs(self.ledger, t.number)) for t in trials
        ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A search by one worker in one go."""
    storage = f"sqlite:///{tmp_path_factory.mktemp('play')}/nas.db"
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", CONFIG)
        play = Play(ledger)
        play.run()
        yield play


def _dominated(trial: TrialRecord, others: list[TrialRecord]) -> bool:
    return any(
        (o.accuracy or 0) >= (trial.accuracy or 0) and (o.size_kb or 0) < (trial.size_kb or 0) for o in others
    )


def test_a_search_pauses_promotes_and_ends(uninterrupted: Play) -> None:
    trials = uninterrupted.ledger.trials("demo")
    states = {trial.state for trial in trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED}
    assert {trial.epochs_done for trial in trials} == {1, 3, 9}
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    assert all(trial.epochs_done == 9 for trial in complete)
    begun = uninterrupted.begun
    assert [number for number, before in begun if not before] == list(range(9))
    resumed = [(number, before) for number, before in begun if before]
    assert len(resumed) == len(set(resumed)), "nobody goes on from the same place twice"
    assert {before for _, before in resumed} == {1, 3}
    assert {tensors_of(uninterrupted.ledger, "demo", trial.number) for trial in trials} == {None}


def test_in_the_end_the_first_front_of_each_rung_has_gone_on(uninterrupted: Play) -> None:
    trials = uninterrupted.ledger.trials("demo")
    for rung in (1, 3):
        there = [t for t in trials if (t.epochs_done or 0) >= rung]
        then = [replace(t, accuracy=uninterrupted.accuracy(t.number, rung)) for t in there]
        front = {t.number for t in then if not _dominated(t, then)}
        assert front <= {t.number for t in trials if (t.epochs_done or 0) > rung}


def test_the_benchmark_simulates_what_a_worker_does(uninterrupted: Play) -> None:
    play, epochs = uninterrupted, range(1, CONFIG.epochs + 1)
    curves = [[(-play.accuracy(n, e), float(play.sizes[n])) for e in epochs] for n in range(9)]
    trained = list(Simulation(curves, Halving(CONFIG.epochs)).run())
    assert [each.number for each in trained] == [number for number, _ in play.begun]
    ends = {each.number: each.epochs for each in trained}
    assert [ends[trial.number] for trial in play.ledger.trials("demo")] == [
        trial.epochs_done for trial in play.ledger.trials("demo")
    ]
    assert trained[-1].spent == sum(ends.values())


@pytest.mark.parametrize("epochs", [1, 4, 7, 15, 25, 40])
def test_killed_at_any_epoch_it_ends_the_same(uninterrupted: Play, tmp_path: Path, epochs: int) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True) as ledger:
        ledger.create_search("demo", CONFIG)
        with pytest.raises(KilledError):
            Play(ledger, epochs).run()
        again = Play(ledger)
        again.run()
        assert again.outcome() == uninterrupted.outcome()


def test_several_workers_end_it_together(tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True) as ledger, ThreadPoolExecutor() as pool:
        ledger.create_search("demo", CONFIG)
        plays = [Play(ledger) for _ in range(3)]
        for ended in [pool.submit(play.run) for play in plays]:
            ended.result(60)
        trials = ledger.trials("demo")
        assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
        assert {tensors_of(ledger, "demo", trial.number) for trial in trials} == {None}
        for trial in trials:
            assert _epochs(ledger, trial.number) == list(range(1, 1 + (trial.epochs_done or 0)))
            assert (trial.epochs_done == 9) == (trial.state is TrialState.COMPLETE)
    begun = [each for play in plays for each in play.begun]
    assert len(begun) == len(set(begun)), "nobody trains what another does"


def _first_epochs(claims: Claims, count: int) -> None:
    """So many trials, each larger than the one before, are paused after their first epoch."""
    for _ in range(count):
        claims.pause(_begun(claims), epoch=1, accuracy=0.5)


def _begun(claims: Claims) -> Claim:
    claim = _taken(claims.claim())
    number = claim.trial.number
    claims.propose(claim, choices={}, architecture="{}", digest=f"{number}")
    claims.record_cost(claim, Cost(1.0, 10.0 + number, []))
    claims.record_epoch(claim, EpochRecord(1, 1.0, 0.5, 0.1))
    return claim


def test_what_an_owner_has_left_comes_first(demo: Ledger) -> None:
    claims, stopping = _claims(demo), _stopping(demo)
    _first_epochs(claims, 5)
    _begun(_claims(demo, started=1))
    assert stopping.promotable() == [0, 1]
    assert [_taken(next_claim(claims, stopping)).trial.number for _ in range(3)] == [5, 0, 6]


def test_a_worker_waits_while_others_may_still_reach_a_rung(demo: Ledger) -> None:
    claims, stopping = _claims(demo), _stopping(demo)
    _first_epochs(claims, 8)
    assert [_taken(next_claim(claims, stopping)).trial.number for _ in range(3)] == [0, 1, 8], "two of eight"
    assert next_claim(claims, stopping) is None, "trial 8 may be better yet"
    assert demo.search("demo").counts[TrialState.PAUSED] == 6

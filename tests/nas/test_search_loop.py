"""The search loop: what becomes of trials, and of a search whose processes are killed at any moment."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from benches import FEW, MARKS, ArithmeticBench, AwayBench, OnceDeadlyBench, SlowBench, SometimesBrokenBench
from sqlalchemy import select

from nas import seeds
from nas.data import load
from nas.ledger import Ledger, SearchConfig, TrialRecord, TrialState, Worker, non_dominated
from nas.ledger.claims import Claims
from nas.ledger.tables import Trial
from nas.searching import running
from nas.training.loop import save_weights, training_of
from nas.training.presets import recipe_for
from nas.trials.job import Job, Told
from nas.trials.worker import StoppedError, work
from runtime.parent import parent_of
from search_spaces import Architecture, space
from search_spaces.errors import BitnasError, InvalidInput

CONFIG = SearchConfig(space="tiny", data=FEW, device="local", trials=6, epochs=2, seed=1)
HERE = Path(__file__).parent


def _job(folder: Path, config: SearchConfig = CONFIG, **fields: object) -> Job:
    storage = f"sqlite:///{folder}/nas.db"
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
    return Job(storage, "demo", **{"bench": ArithmeticBench, "poll_s": 0.1, **fields})


def _trials(job: Job) -> list[TrialRecord]:
    with Ledger.open(job.storage) as ledger:
        return ledger.trials("demo")


def _outcomes(trials: list[TrialRecord]) -> list[tuple[object, ...]]:
    return [(trial.number, trial.state, trial.digest, trial.accuracy, trial.latency_ms) for trial in trials]


def _work(job: Job) -> list[TrialRecord]:
    work(job, threading.Event())
    return _trials(job)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[TrialRecord]:
    """The trials of ``CONFIG`` run by one worker in one go."""
    return _work(_job(tmp_path_factory.mktemp("uninterrupted")))


def test_trials_wait_for_a_device_that_is_away(
    tmp_path: Path, uninterrupted: list[TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    job = _job(tmp_path, replace(CONFIG, measure="all"), bench=AwayBench, device_pause_s=0.0)
    monkeypatch.setattr("nas.trials.worker._wait_for_device", lambda *_: seen.append(_trials(job)[0].error))
    found = _work(job)
    assert _outcomes(found) == _outcomes(uninterrupted)
    assert seen[0] == "no_device: device: 'pi' does not answer"
    with Ledger.open(job.storage) as ledger:
        assert all(trial.measured_latency_ms for trial in ledger.front("demo"))
    assert all(trial.error is None for trial in found)


def test_every_trial_is_trained_and_recorded(uninterrupted: list[TrialRecord]) -> None:
    assert [trial.number for trial in uninterrupted] == list(range(6))
    for trial in uninterrupted:
        assert trial.state is TrialState.COMPLETE
        assert trial.accuracy is not None
        assert trial.size_kb is not None
        assert trial.latency_by_workload is not None
        assert trial.latency_ms == pytest.approx(sum(ms for _, ms in trial.latency_by_workload))
        assert trial.error is None
    assert len({trial.digest for trial in uninterrupted}) == 6


def test_a_worker_tells_what_its_time_went_into(tmp_path: Path) -> None:
    told = list[Told]()
    job = _job(tmp_path, replace(CONFIG, trials=2))
    work(job, threading.Event(), told.append)
    with Ledger.open(job.storage) as ledger:
        assert sum(each.training_s for each in told) == pytest.approx(ledger.training_seconds("demo"))
        measured = sum(t.measuring_s or 0.0 for t in ledger.trials("demo"))
        assert sum(each.measuring_s for each in told) == pytest.approx(measured)


def test_the_front_and_nothing_else_is_measured_whole(uninterrupted: list[TrialRecord]) -> None:
    measured = {trial.number for trial in uninterrupted if trial.measured_latency_ms is not None}
    assert measured == {trial.number for trial in non_dominated(uninterrupted)}
    for trial in uninterrupted:
        assert trial.measured_latency_ms in (None, 2 * (trial.latency_ms or 0))


def test_one_worker_repeats_itself(uninterrupted: list[TrialRecord], tmp_path: Path) -> None:
    assert _outcomes(_work(_job(tmp_path))) == _outcomes(uninterrupted)


def test_what_is_over_a_limit_is_passed_over(uninterrupted: list[TrialRecord], tmp_path: Path) -> None:
    latencies = sorted(trial.latency_ms or 0 for trial in uninterrupted)
    limit = latencies[3] - 1e-6
    trials = _work(_job(tmp_path, replace(CONFIG, sampler="random", max_latency_ms=limit)))
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * len(uninterrupted)
    assert all((trial.latency_ms or 0) <= limit for trial in trials)
    assert sum(trial.passed_over for trial in trials) > 0
    samples = [sample for trial in trials for sample in trial.passed_samples]
    assert all(sample["why"].startswith("predicted latency of") for sample in samples)


def test_a_limit_on_size_that_nothing_keeps(
    uninterrupted: list[TrialRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.trials.proposing.MAX_PASSED", 24)
    smallest = min(trial.size_kb or 0 for trial in uninterrupted)
    job = _job(tmp_path, replace(CONFIG, trials=2, max_size_kb=smallest / 10))
    (trial,) = _work(job)
    assert trial.state is TrialState.INFEASIBLE
    assert (trial.error or "").startswith("size of")
    with Ledger.open(job.storage) as ledger:
        assert ledger.search("demo").ended == "24 candidates in a row were over a limit or known"


def test_a_trial_that_raises_fails_alone(tmp_path: Path) -> None:
    trials = _work(
        _job(tmp_path, replace(CONFIG, trials=12, epochs=1, sampler="random"), bench=SometimesBrokenBench)
    )
    errors = {trial.error for trial in trials if trial.state is TrialState.FAILED}
    assert errors == {
        "RuntimeError: the compiler does not like this one",
        "ValueError: latency_ms is nan, which the ledger does not record",
    }
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    assert complete
    for trial in non_dominated(trials):
        assert trial.error == "its whole network could not be measured: OSError: no such counter"


def test_hopeless_trials_are_pruned(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, trials=20, epochs=2, pruner="median", sampler="random"))
    trials = _work(job)
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert pruned
    assert {trial.state for trial in trials} == {TrialState.PRUNED, TrialState.COMPLETE}
    with Ledger.open(job.storage) as ledger:
        for trial in pruned:
            assert [epoch.accuracy for epoch in ledger.epochs("demo", trial.number)] == [trial.accuracy]


def test_halving_trains_on_from_where_it_paused(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, trials=5, epochs=3, pruner="halving", sampler="random"))
    trials = _work(job)
    ends = {TrialState.PRUNED: 1, TrialState.COMPLETE: 3}
    assert [trial.epochs_done for trial in trials] == [ends[trial.state] for trial in trials]
    data = load(FEW)
    recipe = replace(recipe_for(data), schedule="rungs")
    with Ledger.open(job.storage) as ledger:
        # Of the first two each was paused, as one of three goes on.
        trial = next(trial for trial in trials[:2] if trial.state is TrialState.COMPLETE)
        seed = seeds.training_seed(CONFIG.seed, trial.number)
        architecture = Architecture.from_json(str(trial.architecture))
        straight = training_of(architecture, data, epochs=3, seed=seed, recipe=recipe)
        assert [epoch.accuracy for epoch in straight.run()] == [
            epoch.accuracy for epoch in ledger.epochs("demo", trial.number)
        ]
        assert ledger.weights("demo", trial.number) == save_weights(straight.module)


def test_a_worker_that_is_told_to_stop_gives_its_trial_back(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, epochs=1000, trials=1))
    stop = threading.Event()

    def stop_soon() -> None:
        with Ledger.open(job.storage) as ledger:
            _wait_until(lambda: len(ledger.epochs("demo", 0)) > 0)
        stop.set()

    other = threading.Thread(target=stop_soon)
    other.start()
    with pytest.raises(StoppedError):
        work(job, stop)
    other.join()
    (trial,) = _trials(job)
    assert trial.state is TrialState.QUEUED
    assert trial.architecture is not None


def test_a_step_that_outlasts_the_lease_does_not_cost_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let = threading.Event()
    monkeypatch.setattr(SlowBench, "let", let)
    job = _job(tmp_path, replace(CONFIG, trials=1, epochs=1), bench=SlowBench, lease_s=2)
    worker = threading.Thread(target=_work, args=(job,))
    with Ledger.open(job.storage) as ledger:

        def expiry() -> datetime:
            with ledger.reading() as session:
                return session.execute(select(Trial.expires_at)).scalar_one()

        worker.start()
        _wait_until(lambda: ledger.trial("demo", 0).state is TrialState.RUNNING)
        begun = expiry()
        _wait_until(lambda: expiry() > begun)
        # As another machine would, after the first lease: it cannot know whether this process lives.
        elsewhere = replace(Worker.this_process(), host="elsewhere")
        assert (
            Claims(ledger, "demo", elsewhere, clock=lambda: begun + timedelta(microseconds=1)).claim() is None
        )
        let.set()
        worker.join()
        assert ledger.trial("demo", 0).state is TrialState.COMPLETE


def test_an_architecture_that_was_proposed_before_is_kept(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, trials=2, epochs=1))
    architecture = space("tiny").sample(99)
    with Ledger.open(job.storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        text, digest = architecture.to_json(), architecture.digest
        claims.propose(claim, choices={"stem.width": 16}, architecture=text, digest=digest)
        claims.release(claim)
    assert _work(job)[0].digest == architecture.digest


def test_a_killed_worker_is_replaced_and_its_trial_redone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARKS, str(tmp_path))
    job = _job(tmp_path, replace(CONFIG, epochs=1), bench=OnceDeadlyBench)
    seen: list[int] = []
    record = running.run(job, 2, lambda now: seen.append(now.counts[TrialState.COMPLETE]))
    assert record.counts[TrialState.COMPLETE] == 6
    assert seen == sorted(seen)
    assert seen[-1] == 6
    assert (tmp_path / "calls7").exists()  # At least seven predictions for six trials.
    trials = _trials(job)
    assert len({trial.digest for trial in trials}) == 6
    assert all(trial.measured_latency_ms for trial in non_dominated(trials))


def _worker_process(job: Job) -> subprocess.Popen[bytes]:
    code = (
        f"import sys; sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]\n"
        "from benches import ArithmeticBench\n"
        "from nas.searching import running\nfrom nas.trials.job import Job\n"
        f"running.run(Job({job.storage!r}, 'demo', bench=ArithmeticBench, poll_s=0.1), 1)"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)


@pytest.mark.slow
def test_a_search_killed_at_any_moment_goes_on_to_the_same_end(
    uninterrupted: list[TrialRecord], tmp_path: Path
) -> None:
    job = _job(tmp_path)
    with Ledger.open(job.storage) as ledger:
        process = _worker_process(job)
        _wait_until(lambda: len(ledger.epochs("demo", 2)) > 0)
        process.kill()
        process.communicate()
        # Its workers end by themselves. On a busy machine they have no time to put their trial back.
        workers = [int(trial.worker.split(":")[1]) for trial in ledger.trials("demo") if trial.worker]
        _wait_until(lambda: all(parent_of(worker) is None for worker in workers))
        counts = ledger.search("demo").counts
        assert counts[TrialState.COMPLETE] in (2, 3)
        assert counts[TrialState.QUEUED] + counts[TrialState.RUNNING] in (4, 3)
    running.run(job, 1)
    assert _outcomes(_trials(job)) == _outcomes(uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    job = _job(tmp_path, replace(CONFIG, epochs=1000, trials=2))
    with Ledger.open(job.storage) as ledger:
        process = _worker_process(job)
        _wait_until(lambda: len(ledger.epochs("demo", 0)) > 0)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert said.decode().strip().endswith("KeyboardInterrupt")
        assert process.returncode != 0
        assert ledger.search("demo").counts[TrialState.QUEUED] == 2
        assert ledger.trial("demo", 0).architecture is not None


def test_workers_that_cannot_work_end_the_search_with_their_reason(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, device="absent"), bench=_no_bench)
    with pytest.raises(BitnasError, match=r"^device: it is not there$"):
        running.run(job, 1)
    assert {trial.state for trial in _trials(job)} == {TrialState.QUEUED}


def _no_bench(config: SearchConfig, ledger: Ledger, lock: object) -> ArithmeticBench:
    raise BitnasError("device: it is not there")


def test_a_finished_search_can_be_resumed_for_nothing(
    uninterrupted: list[TrialRecord], tmp_path: Path
) -> None:
    job = _job(tmp_path, replace(CONFIG, trials=1, epochs=1))
    first = _work(job)
    assert running.run(replace(job, bench=_no_bench)).counts[TrialState.COMPLETE] == 1
    assert _trials(job) == first


@pytest.mark.parametrize("workers", [0, -1, 1000])
def test_the_number_of_workers_is_checked(tmp_path: Path, workers: int) -> None:
    with pytest.raises(InvalidInput, match=r"^workers: "):
        running.run(Job(f"sqlite:///{tmp_path}/absent.db", "demo"), workers)

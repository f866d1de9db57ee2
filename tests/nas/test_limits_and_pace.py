"""Limits as they are typed, what a search may measure on the way, and what is left of a front."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import click
import pytest
from benches import ArithmeticBench
from sqlalchemy import update

import nas.ledger.history
import nas.ledger.store
from latency.model.profiling import sampled
from nas.cli.options import CountLimit, KilobyteLimit, LatencyLimit, Limit
from nas.cli.search import search
from nas.cli.settings import config_of
from nas.evaluators.base import Report
from nas.evaluators.function import FunctionEvaluator
from nas.ledger import Ledger, SearchConfig, TrialRecord, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.ledger.front import non_dominated, possible_members
from nas.ledger.history import History
from nas.ledger.losses import Doubt
from nas.ledger.rows import trial_record
from nas.ledger.tables import Trial
from nas.measuring.bench import Predicted
from nas.measuring.front_todo import next_of_front
from nas.measuring.machine_lock import MachineLock
from nas.trials.costing import over_limits
from nas.trials.evaluating import Evaluation, Step, evaluate
from nas.trials.medians import median_cost
from nas.trials.pace import KERNEL_S, Pace
from search_spaces import Architecture, size, space
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Candidate
from tests.measured import timed
from tests.nas.test_search_loop import CONFIG, _job, _work


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0.5x", Limit(None, 0.5)),
        ("2X", Limit(None, 2.0)),
        ("0.4", Limit(0.4, None)),
        ("0.4ms", Limit(0.4, None)),
        ("400us", Limit(0.4, None)),
        ("400 µs", Limit(0.4, None)),
        ("1e-3s", Limit(1.0, None)),
    ],
)
def test_limits_are_times_or_shares(text: str, limit: Limit) -> None:
    found = LatencyLimit.convert(text, None, None)
    assert found == pytest.approx(limit) if limit.share is None else found == limit


def test_other_limits_are_amounts_or_shares() -> None:
    assert KilobyteLimit.convert("0.5MB", None, None) == Limit(500.0, None)
    assert CountLimit.convert("1e6", None, None) == Limit(1e6, None)
    assert KilobyteLimit.convert("0.5x", None, None) == CountLimit.convert("0.5X", None, None)
    with pytest.raises(click.BadParameter, match=r"give kB, such as .*, or a share of the space's median"):
        KilobyteLimit.convert("0x", None, None)


@pytest.mark.parametrize(
    "text", ["", "x", "0x", "-1ms", "50%", "5 parsecs", "nan", "infx", "1.2.3ms", "0.5xx"]
)
def test_what_is_no_limit_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"0\.4ms or 400us, .* such as 0\.5x"):
        LatencyLimit.convert(text, None, None)


def test_on_the_way_a_quarter_of_training_is_measured_and_a_second_a_trial() -> None:
    pace = Pace()
    assert not pace.affords(1), "nothing was trained"
    pace.trained_s, pace.trials = 100.0, 2
    assert pace.affords(int(2 / KERNEL_S))
    assert not pace.affords(int(2 / KERNEL_S) + 1), "a second for each of two trials"
    pace.add_measuring(10, 1.0)
    assert pace.affords(10), "a tenth of a second each"
    assert not pace.affords(11)
    pace.trials, pace.trained_s = 100, 6.0
    assert not pace.affords(6), "a quarter of 6 s"
    assert pace.affords(5)


def trial(number: int, accuracy: float, low: float, ms: float, high: float) -> TrialRecord:
    return TrialRecord(
        "s",
        number,
        TrialState.COMPLETE,
        accuracy=accuracy,
        latency_ms=ms,
        size_kb=1.0,
        latency_low_ms=low,
        latency_high_ms=high,
    )


def test_waiting_for_others_that_measure_is_no_part_of_a_step(tmp_path: Path) -> None:
    def measure() -> None:
        with MachineLock(tmp_path, lambda: None).exclusive():
            time.sleep(0.3)

    def train(_network: Candidate, _budget: int, report: Report) -> dict[str, float]:
        for step, other in enumerate([threading.Thread(target=measure) for _ in range(2)], start=1):
            other.start()
            while other.is_alive():
                report.check()
            report(step, {"accuracy": 0.5})
        return {"accuracy": 0.5}

    steps, waited = list[float](), list[float]()

    def noted(wait: Callable[[], None]) -> None:
        began = time.perf_counter()
        wait()
        waited.append(time.perf_counter() - began)

    def on_step(step: Step) -> None:
        steps.append(step.seconds)
        noted(lambda: time.sleep(0.1))  # as on Ray, where the driver decides

    evaluation = Evaluation(sampled(space("tiny"), 1)[0], budget=2, seed=0)
    began = time.perf_counter()
    with MachineLock(tmp_path, lambda: None).shared() as give_way:
        evaluate(FunctionEvaluator(train, None, ()), evaluation, on_step, lambda: noted(give_way))
    assert len(steps) == 2 and sum(steps) + sum(waited) <= time.perf_counter() - began


def test_who_may_be_on_the_front_given_the_intervals() -> None:
    best = trial(0, 0.9, 0.9, 1.0, 1.1)
    worse_but_perhaps_faster = trial(1, 0.8, 0.8, 1.2, 1.8)
    surely_slower = trial(2, 0.8, 1.15, 1.5, 2.0)
    as_accurate_and_perhaps_faster = trial(3, 0.9, 1.05, 1.3, 1.5)
    trials = [best, worse_but_perhaps_faster, surely_slower, as_accurate_and_perhaps_faster]
    assert [t.number for t in non_dominated(trials)] == [0]
    assert [t.number for t in possible_members(trials, CONFIG)] == [0, 1, 3]


def test_who_surely_breaks_a_limit_is_not_measured_for_the_front() -> None:
    limited = replace(CONFIG, max_latency_ms=1.0)
    kept, perhaps, surely_over = (
        trial(0, 0.8, 0.8, 0.9, 1.0),
        trial(1, 0.9, 0.95, 1.2, 1.4),
        trial(2, 0.95, 1.1, 1.3, 1.5),
    )
    assert [t.number for t in possible_members([kept, perhaps, surely_over], limited)] == [0, 1]
    assert [t.number for t in possible_members([kept, perhaps, surely_over], CONFIG)] == [0, 1, 2]


class EstimatingBench(ArithmeticBench):
    """Estimates a tenth too much for the first block, with an interval, until it measures."""

    def estimate(self, architecture: Architecture) -> Predicted:
        """As above."""
        found = self.predict(architecture)
        guessed = 1.1 * found.milliseconds
        return found._replace(
            milliseconds=guessed, estimated=("block0",), low=0.8 * guessed, high=1.25 * guessed
        )

    def predict(self, architecture: Architecture) -> Predicted:
        """With the interval of what is measured."""
        found = super().predict(architecture)
        return found._replace(low=0.95 * found.milliseconds, high=1.05 * found.milliseconds)


def test_the_front_is_measured_and_others_stay_estimated(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, sampler="random"), bench=EstimatingBench)
    trials = _work(job)
    with Ledger.open(job.storage) as ledger:
        front = ledger.front("demo")
        history = History(ledger, "demo")
        assert next_of_front(ledger, "demo", history) is None, "nothing is left"
        assert all(not t.estimated and t.measured_latency_ms for t in front)
        assert all(t.latency_low_ms == pytest.approx(0.95 * (t.latency_ms or 0)) for t in front)
        possible = {t.number for t in possible_members(ledger.trials("demo"), CONFIG)}
        assert {t.number for t in front} <= possible
        others = [t for t in trials if t.number not in possible]
        assert others, "some are surely not on the front"
        assert all(t.estimated for t in others)
        assert all((t.measuring_s or 0) >= 0 for t in trials)


def test_what_is_left_of_a_front_is_read_by_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each member of a front would cost a reading of all trials."""
    read: list[int] = []

    def counting(search: str, row: Trial) -> TrialRecord:
        read.append(row.number)
        return trial_record(search, row)

    for module in (nas.ledger.history, nas.ledger.store):
        monkeypatch.setattr(module, "trial_record", counting)
    config = replace(CONFIG, trials=5, objectives=("accuracy", "latency"))
    with Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True) as ledger:
        ledger.create_search("demo", config)
        claims = Claims(ledger, "demo", Worker.this_process())
        for number in range(config.trials):
            claim = claims.claim()
            assert claim is not None
            stored = {"architecture": "{}", "digest": str(number)}
            claims.propose(claim, choices={}, **stored, cost=Cost(latency_ms=1.0 + number))
            claims.finish(claim, TrialState.COMPLETE, accuracy=0.1 + number / 10)
        history, left = History(ledger, "demo"), []
        read.clear()
        while todo := next_of_front(ledger, "demo", history):
            left.append(len(todo.numbers))
            claim = claims.claim_measuring(todo.numbers)
            assert claim is not None
            claims.record_measured(claim, measured=timed(1.0))
    assert left == [5, 4, 3, 2, 1]
    assert len(read) == 5 + 5, "all once, and each again as it was measured"


def test_with_everything_measured_nothing_is_estimated(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, sampler="random", measure="all"), bench=EstimatingBench)
    assert not any(t.estimated for t in _work(job))


def test_a_relative_limit_is_told_in_milliseconds_and_kept(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, sampler="random", max_latency_share=1.1), bench=EstimatingBench)
    trials = _work(job)
    with Ledger.open(job.storage) as ledger:
        config = ledger.search("demo").config
        assert (config.median_latency_ms, config.max_latency_ms) == (0.3, pytest.approx(0.33))
        assert ledger.record_median("demo", "latency", 7.0) == config, "who comes later takes what is there"
    passed = [str(sample["why"]) for t in trials for sample in t.passed_samples if sample["why"]]
    assert passed
    assert all("over the limit of 0.330 ms, 1.1x the space's median" in why for why in passed)
    assert all((t.latency_ms or 0) <= 0.33 for t in trials)


NO_COSTS = FunctionEvaluator(lambda *_: {}, None, ("accuracy",))
RELATIVE = {"size": 1.0, "macs": 1.2, "latency@pi": 1.1}


def test_relative_limits_are_resolved_once_and_kept(tmp_path: Path) -> None:
    config = replace(CONFIG, sampler="random", trials=2, epochs=1, limit_shares=RELATIVE)
    assert config.awaited == ("size", "macs", "latency@pi")
    assert config.further_devices == ("pi",), "though its limit is not known yet"
    job = _job(tmp_path, config, bench=EstimatingBench)
    trials = _work(job)
    with Ledger.open(job.storage) as ledger:
        found = ledger.search("demo").config
        assert ledger.record_median("demo", "size", 1e9) == found, "who comes later takes what is there"
    sizes = [size(architecture).kilobytes for architecture in sampled(space("tiny"))]
    assert found.medians == {
        "size": pytest.approx(median(sizes)),
        "macs": median_cost("macs", space("tiny"), NO_COSTS),
        "latency@pi": 0.3,
    }
    assert (found.awaited, found.without_medians()) == ((), config)
    assert found.max_size_kb == pytest.approx(found.medians["size"])
    assert found.max_macs == pytest.approx(1.2 * found.medians["macs"])
    assert found.limits == {"latency@pi": pytest.approx(0.33)}
    assert all(t.state is TrialState.COMPLETE and not found.broken(t) for t in trials)
    too_large = Cost(size_kb=1.1 * (found.max_size_kb or 0.0), costs={})
    assert str(over_limits(found, too_large)).endswith("kB, 1x the space's median")


def test_a_median_needs_what_an_architecture_tells() -> None:
    with pytest.raises(InvalidInput, match="limit_shares: latency@pi has no median"):
        median_cost("latency@pi", space("tiny"), NO_COSTS)
    told = FunctionEvaluator(lambda *_: {}, lambda found: {"flops": len(found.blocks)}, ("accuracy",))
    assert median_cost("flops", space("tiny"), told) in (2, 2.5, 3, 3.5, 4)


def test_limits_of_the_command_line_are_settings() -> None:
    def goals(*options: str) -> SearchConfig:
        context = search.make_context("search", ["--name", "a", *options])
        return config_of(context, context.params)

    found = goals(
        "--max-latency", "0.5x", "--max-size-kb", "0.25x", "--limit", "macs=2x", "--max-memory-kb", "3"
    )
    assert (found.max_latency_share, found.max_memory_kb) == (0.5, 3.0)
    assert found.limit_shares == {"size": 0.25, "macs": 2.0}
    found = goals("--limit", "size=0.5MB", "--limit", "latency=0.5x", "--limit", "latency@pi=3ms")
    assert (found.max_size_kb, found.max_latency_share, found.limits) == (500.0, 0.5, {"latency@pi": 3.0})
    assert found.limit_shares == {}
    with pytest.raises(InvalidInput, match=r"^limits: max_size_kb limits the same"):
        goals("--max-size-kb", "3", "--limit", "size=0.5x")
    with pytest.raises(InvalidInput, match="limit_shares: accuracy is known only after training"):
        goals("--limit", "accuracy=0.5x")


def test_a_member_that_kills_its_workers_does_not_keep_others_from_being_timed(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, sampler="random"), bench=EstimatingBench)
    _work(job)
    with Ledger.open(job.storage) as ledger:
        deadly, *others = [t.number for t in ledger.front("demo")]
        assert others
        with ledger.writing() as session:
            untimed = update(Trial).where(Trial.number.in_([deadly, *others]))
            session.execute(untimed.values(measured_latency_ms=None))
            given_up = update(Trial).where(Trial.number == deadly)
            session.execute(given_up.values(doubt=Doubt.GIVEN_UP, estimated=["block0"]))
    _work(job)
    with Ledger.open(job.storage) as ledger:
        assert ledger.trial("demo", deadly).measured_latency_ms is None
        assert all(ledger.trial("demo", number).measured_latency_ms for number in others)

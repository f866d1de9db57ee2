"""The front of a search, checked against its device."""

from dataclasses import replace
from pathlib import Path

import pytest

from latency import Measurement, MeasurementError, NoDeviceError
from nas.ledger import Ledger
from nas.ledger.tables import Trial
from nas.measuring.front_check import check_front
from search_spaces import Architecture, BitnasError
from tests.measured import disturbed, timed
from tests.nas.benches import ArithmeticBench
from tests.nas.test_search_loop import CONFIG, _job, _work


class SlowerBench(ArithmeticBench):
    """Three times as slow as predicted, and it cannot time networks of more than four blocks."""

    def measure(self, architecture: Architecture) -> Measurement:
        """As above."""
        if len(architecture.blocks) > 4:
            raise MeasurementError("device: no two rounds agree")
        return timed(3 * self.predict(architecture).milliseconds)


class DisturbedBench(ArithmeticBench):
    """Its machine is disturbed."""

    def measure(self, architecture: Architecture) -> Measurement:
        """Always the same, and worth nothing."""
        return disturbed(9.0)


class AbsentBench(ArithmeticBench):
    """Its device is away."""

    def measure(self, architecture: Architecture) -> Measurement:
        """Never."""
        raise NoDeviceError("device: 'pi' does not answer")


def test_new_times_replace_old_ones_and_limits_are_checked(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, max_latency_ms=0.9))
    _work(job)
    with Ledger.open(job.storage) as ledger:
        before = {trial.number: trial for trial in ledger.front("demo")}
        found = {member.number: member for member in check_front(ledger, "demo", SlowerBench)}
        after = {trial.number: trial for trial in ledger.front("demo")}
        assert found.keys() == before.keys() == after.keys()
        assert any(member.is_over for member in found.values())
        for number, member in found.items():
            predicted, old = before[number].latency_ms, before[number].measured_latency_ms
            assert predicted is not None
            if member.problem:
                assert (member.measured_ms, member.error, member.is_over) == (None, None, False)
                assert after[number].measured_latency_ms == old
                continue
            assert member.measured_ms == pytest.approx(3 * predicted)
            assert member.error == pytest.approx(-2 / 3)
            assert member.is_over == (3 * predicted > 0.9)
            assert after[number].measured_latency_ms == member.measured_ms


def test_a_worthless_time_is_marked_and_never_takes_a_good_ones_place(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, trials=1))
    (before,) = _work(job)
    assert before.measured_latency_ms is not None
    with Ledger.open(job.storage) as ledger:
        (found,) = check_front(ledger, "demo", DisturbedBench)
        assert (found.measured_ms, found.disturbed is not None) == (9.0, True)
        assert found.low_ms < 9.0 < found.high_ms
        assert ledger.trials("demo") == [before]
        ledger.record_verified("demo", 0, timed(2.0))
        assert ledger.trial("demo", 0).measured_disturbed is None
        with ledger.writing() as session:
            session.get_one(Trial, 1).measured_disturbed = "once"
        list(check_front(ledger, "demo", DisturbedBench))
        after = ledger.trial("demo", 0)
        assert (after.measured_latency_ms, after.measured_low_ms) == (9.0, found.low_ms)
        assert after.measured_disturbed == found.disturbed


def test_a_device_that_is_away_changes_nothing(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, trials=1))
    before = _work(job)
    with Ledger.open(job.storage) as ledger:
        with pytest.raises(NoDeviceError, match="does not answer"):
            list(check_front(ledger, "demo", AbsentBench))
        assert ledger.trials("demo") == before


def test_there_must_be_a_front(tmp_path: Path) -> None:
    job = _job(tmp_path)
    with Ledger.open(job.storage) as ledger, pytest.raises(BitnasError, match="no trial is complete"):
        list(check_front(ledger, "demo", ArithmeticBench))

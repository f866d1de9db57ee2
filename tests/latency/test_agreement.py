"""A time counts once it was measured twice."""

import pytest

from latency import Measurement
from latency.timing.agreement import PAUSES, measure_until_agreed
from latency.timing.measurement import MAX_REPEAT_DIFFERENCE
from latency.timing.patience import PATIENCE_VARIABLE
from search_spaces import InvalidInput


def measurement(milliseconds):
    return Measurement(milliseconds, 0.0, 12, "2026-01-01T00:00:00+00:00", "0")


class Clock:
    """Things with made-up times, one after the other; counts pauses."""

    def __init__(self, monkeypatch, *times):
        self.times = [iter(each) for each in times]
        self.asked = []
        self.pauses = []
        monkeypatch.setattr("latency.timing.agreement.time.sleep", self.pauses.append)
        monkeypatch.delenv(PATIENCE_VARIABLE, raising=False)

    def measure(self, some):
        self.asked.append(some)
        return [measurement(next(self.times[index])) for index in some]


def test_two_times_that_agree_are_enough(monkeypatch):
    clock = Clock(monkeypatch, [2.0, 2.0 * (1 + MAX_REPEAT_DIFFERENCE / 2)])
    (found,) = measure_until_agreed(clock.measure, [[]])
    assert found.milliseconds == 2.0
    assert found.conditions.rounds == 2
    assert clock.pauses == [PAUSES[0]]


def test_only_what_disagrees_is_measured_again_after_longer_and_longer_pauses(monkeypatch):
    clock = Clock(monkeypatch, [2.0, 2.0], [3.0, 2.5, 2.2, 2.2])
    found = measure_until_agreed(clock.measure, [[], []])
    assert [each.milliseconds for each in found] == [2.0, 2.2]
    assert clock.asked == [[0, 1], [0, 1], [1], [1]]
    assert clock.pauses == list(PAUSES[:3])


def test_the_two_lowest_are_to_agree_not_the_last_two(monkeypatch):
    clock = Clock(monkeypatch, [2.0, 2.6, 2.6, 2.01])
    (found,) = measure_until_agreed(clock.measure, [[]])
    assert found.milliseconds == 2.0
    assert found.conditions.rounds == 4


def test_an_earlier_time_counts_and_needs_no_pause(monkeypatch):
    clock = Clock(monkeypatch, [2.0], [])
    earlier = [[measurement(1.99)], [measurement(1.0), measurement(1.0)]]
    found = measure_until_agreed(clock.measure, earlier)
    assert [each.milliseconds for each in found] == [1.99, 1.0]
    assert clock.asked == [[0]]
    assert [len(times) for times in earlier] == [1, 2], "what is given is left as it is"


def test_patience_ends(monkeypatch):
    clock = Clock(monkeypatch, [2.0 * 1.1**n for n in range(50)][::-1])
    (found,) = measure_until_agreed(clock.measure, [[]])
    assert found.conditions.rounds == 1 + len(PAUSES)
    assert clock.pauses == list(PAUSES)
    assert found.milliseconds == pytest.approx(2.0 * 1.1 ** (49 - len(PAUSES)))


def test_patience_can_be_given(monkeypatch):
    clock = Clock(monkeypatch, [2.0, 1.8, 1.6, 1.4], [2.0])
    monkeypatch.setenv(PATIENCE_VARIABLE, "1.6")
    (found,) = measure_until_agreed(lambda some: clock.measure([0]), [[]])
    assert found.conditions.rounds == 3
    assert clock.pauses == [0.5, 1.0]
    monkeypatch.setenv(PATIENCE_VARIABLE, "0")
    (found,) = measure_until_agreed(lambda some: clock.measure([1]), [[]])
    assert found.conditions.rounds == 1


@pytest.mark.parametrize("given", ["long", "-1", "nan", "inf"])
def test_patience_is_a_number_of_seconds(monkeypatch, given):
    clock = Clock(monkeypatch, [2.0])
    monkeypatch.setenv(PATIENCE_VARIABLE, given)
    with pytest.raises(InvalidInput, match=rf"^NAS_PATIENCE: '{given}' is no number of seconds; unset it"):
        measure_until_agreed(clock.measure, [[]])

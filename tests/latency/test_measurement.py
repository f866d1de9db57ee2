"""What a measurement is worth: its interval by the device's own repeats, and what makes it worthless."""

import json

import pytest

from latency import Conditions, Measurement
from latency.timing.agreement import measure_until_agreed
from latency.timing.measurement import MAX_REPEAT_DIFFERENCE, MAX_WAITED, SLICE_MS
from latency.timing.patience import PATIENCE_VARIABLE
from latency.timing.system import waited_s
from tests.measured import disturbed, timed


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (timed(0.149, spread=0.159 / 0.149), "its samples differ by 107%"),  # once on a card, without a word
        (
            timed(2.0, spread=0.06, samples=4, disturbed=32),
            "most samples were disturbed, and they differ by 6%",
        ),
        (timed(2.0, spread=0.06, waited=2 * MAX_WAITED), "others had the core 20% of the time"),
        (timed(2 * SLICE_MS, waited=2 * MAX_WAITED), "others had the core 20% of the time"),
        (timed(2.0, drift=0.4), "it was 40% slower than usual"),
    ],
)
def test_noise_makes_a_time_worthless(measured, says):
    assert measured.disturbed == says


@pytest.mark.parametrize(
    "measured",
    [
        timed(2.0),
        timed(2.0, spread=0.2),  # where code and memory lie
        timed(2.0, spread=0.02, samples=4, disturbed=32),  # slower than usual, and steady
        timed(2.0, spread=0.02, waited=2 * MAX_WAITED),  # the samples passed between the slices of others
        timed(2.0, spread=0.2, samples=12, disturbed=10, waited=MAX_WAITED / 2),
        timed(1e-4),
        timed(1e4),
    ],
)
def test_a_steady_time_is_not(measured):
    assert measured.disturbed is None


def test_the_interval_is_as_wide_as_the_repeats_are_apart():
    assert timed(2.0).interval == pytest.approx(
        (2 - 2 * MAX_REPEAT_DIFFERENCE, 2 + 2 * MAX_REPEAT_DIFFERENCE)
    )
    assert timed(2.0, spread=0.1).interval == pytest.approx((1.8, 2.2))
    assert timed(2.0, spread=0.1, repeats_ms=(2.0, 2.5, 9.0)).interval == pytest.approx((1.5, 2.5))
    assert timed(2.0, drift=0.5).interval == pytest.approx((1.0, 3.0))
    assert timed(2.0, spread=3.0).interval == pytest.approx((0.0, 8.0))


def test_two_disturbed_times_that_agree_are_no_proof(monkeypatch):
    monkeypatch.setattr("latency.timing.agreement.time.sleep", lambda seconds: None)
    monkeypatch.delenv(PATIENCE_VARIABLE, raising=False)
    times = iter([disturbed(4.5), disturbed(4.5), timed(1.71), disturbed(1.6), timed(1.7)])
    (found,) = measure_until_agreed(lambda _: [next(times)], [[]])
    assert (found.milliseconds, found.disturbed) == (1.7, None)
    assert found.conditions.repeats_ms == (1.7, 1.71)
    assert found.conditions.rounds == 5


def test_a_disturbed_time_counts_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr("latency.timing.agreement.time.sleep", lambda seconds: None)
    (found,) = measure_until_agreed(lambda _: [disturbed(4.5)], [[disturbed(4.0)]])
    assert found.milliseconds == 4.0
    assert found.disturbed


@pytest.mark.parametrize(("kind", "rounds"), [(disturbed, 2), (timed, 6)])
def test_a_disturbed_device_is_not_waited_for_beyond_patience(monkeypatch, kind, rounds):
    """What only disagrees is measured on."""
    clock = [0.0]
    monkeypatch.setattr("latency.timing.agreement.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("latency.timing.agreement.time.sleep", lambda seconds: None)
    monkeypatch.setenv(PATIENCE_VARIABLE, "20")

    def measure(some):
        clock[0] += 11.0
        return [kind(1e3 / clock[0])]

    (found,) = measure_until_agreed(measure, [[]])
    assert found.conditions.rounds == rounds


def test_how_long_others_had_the_core():
    assert waited_s(lambda path: "812 1500000000 3\n" if path.endswith("schedstat") else None) == 1.5
    assert waited_s(lambda path: None) is None
    assert waited_s(lambda path: "0\n") is None


OLD_ROW = {
    "median_ms": 2.1,
    "disturbed": 3,
    "reference_ms": 0.01,
    "usual_ms": 0.011,
    "waited": 0.02,
    "governor": None,
    "frequency_mhz": None,
    "load": 0.5,
    "affinity": "0-1",
    "visits": 2,
    "repeats_ms": [2.0, 2.01],
    "briefly": True,
    "space": "tiny",
    "of a later version": {"more": 1},
}


def test_conditions_of_older_ledgers_are_read():
    found = Conditions.from_dict(OLD_ROW)
    assert (found.rounds, found.brief, found.repeats_ms, found.drift) == (2, True, (2.0, 2.01), None)
    assert (found.usual_ms, found.load, found.governor, found.space) == (0.011, 0.5, None, "tiny")
    assert Conditions.from_dict(None) == Conditions.from_dict({}) == Conditions()


def test_conditions_are_json_that_can_be_read():
    found = Conditions.from_dict(OLD_ROW)
    told = json.loads(json.dumps(found.to_dict()))
    assert Conditions.from_dict(told) == found
    assert told["repeats_ms"] == [2.0, 2.01]
    assert "governor" not in told
    assert "drift" not in told
    assert Conditions().to_dict() == {}
    lowered = timed(2.0, drift=0.2, waited=0.3)
    assert Measurement.from_dict(json.loads(json.dumps(lowered.to_dict()))) == lowered


@pytest.mark.parametrize(
    ("name", "value"),
    [("usual_ms", "abc"), ("median_ms", 0), ("drift", -1), ("rounds", True), ("repeats_ms", [1.0, None])],
)
def test_conditions_that_are_none_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Conditions.from_dict({name: value})

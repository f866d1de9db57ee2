"""What every device and every latency table must do, as tests for those of your own.

Import a suite in a test file, subclass it, and give it the thing; pytest does the rest. For example::

    from latency.testing import DeviceConformance
    from my_board import Board

    class TestBoard(DeviceConformance):
        @classmethod
        def make_device(cls):
            return Board()

Nothing that a search runs imports this module: it needs pytest.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from latency import Conditions, Device, LatencyTable, Measurement, NetworkMeasurement

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload


class DeviceConformance(ABC):
    """The contract of ``latency.Device``; measuring is brief where it can be.

    One device serves all tests of the class. A device with which something must be started first is given by
    a class-scoped fixture of your own that sets what ``make_device`` reads.
    """

    @classmethod
    @abstractmethod
    def make_device(cls) -> Device:
        """A device that nobody has used; called twice, it gives two that are the same machine."""

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Iterator[Device]:
        """The device; closed in the end."""
        found = cls.make_device()
        yield found
        found.close()

    @pytest.fixture(scope="class")
    @classmethod
    def measured(cls, device: Device) -> list[Measurement]:
        """Two kernels, timed briefly."""
        return device.measure_kernels(_workloads(), brief=True)

    def test_it_tells_what_it_is(self, device: Device) -> None:
        """A description is JSON; the identity is that of the machine, and begins with the name."""
        known = device.describe()
        assert json.loads(json.dumps(known)) == known
        assert {"cpu", "llvm_cpu", "threads", "tvm"} <= known.keys()
        assert known["threads"] == device.threads >= 1
        assert device.identity.startswith(f"{device.name} | ")
        device.close()  # a server may serve one session at a time
        other = self.make_device()
        try:
            assert other.identity == device.identity, "rows of a table are found by it"
        finally:
            other.close()

    def test_kernels_have_times(self, measured: list[Measurement]) -> None:
        """One for each, in order, whole, and marked as brief."""
        assert len(measured) == len(_workloads())
        for found in measured:
            _check(found)
            assert found.conditions.brief
        assert measured[0].milliseconds > measured[1].milliseconds, "the first has 64 times as much to do"

    def test_a_kernel_is_made_as_it_is_told(self, device: Device, measured: list[Measurement]) -> None:
        """By the schedule that is named for its key."""
        schedules = {w.key: m.schedule for w, m in zip(_workloads(), measured, strict=True) if m.schedule}
        again = device.measure_kernels(_workloads(), schedules, brief=True)
        assert [found.schedule for found in again] == [found.schedule for found in measured]

    def test_a_speed_may_be_given(self, device: Device, measured: list[Measurement]) -> None:
        """That of an earlier measurement; what is measured then says which speed it is for."""
        speed = measured[0].conditions.usual_ms
        (found,) = device.measure_kernels(_workloads()[1:], brief=True, usual_ms=speed)
        assert (found.conditions.usual_ms is None) == (speed is None)

    def test_networks_have_times_and_stay_as_they_are(self, device: Device) -> None:
        """One for each, in order; they compute what they did."""
        import numpy as np

        networks = _networks(device)
        images = np.random.default_rng(0).random(networks[0].info.input_shape, np.float32)
        runs_here = device.target == "native"  # code for another machine is not run on this one
        before = networks[0].run(images) if runs_here else None
        found = device.measure_networks(networks)
        assert len(found) == len(networks)
        for each in found:
            _check(each)
        if runs_here:
            np.testing.assert_array_equal(networks[0].run(images), before)

    def test_things_are_timed_in_the_context_that_is_given(self, device: Device) -> None:
        """Nothing is compiled in it."""
        told: list[str] = []

        @contextmanager
        def exclusive() -> Iterator[None]:
            told.append("times")
            yield
            told.append("timed")

        @contextmanager
        def compiling() -> Iterator[object]:
            told.append("compiles")
            yield lambda: None
            told.append("compiled")

        before = device.exclusive, device.compiling
        device.exclusive, device.compiling = exclusive, compiling  # type: ignore[assignment]  # stands in for two methods
        try:
            device.measure_kernels(_workloads()[1:], brief=True)
        finally:
            device.exclusive, device.compiling = before
        assert told in (["times", "timed"], ["compiles", "compiled", "times", "timed"])

    def test_drifts_are_shares(self, device: Device, measured: list[Measurement]) -> None:
        """None is negative, however fast the device was."""
        assert measured
        assert all(drift >= 0 for drift in device.drifts)

    def test_it_may_be_closed_twice_and_used_again(self, device: Device) -> None:
        """Whoever closes it need not know what was begun."""
        device.close()
        device.close()
        assert device.look()


class LatencyTableConformance(ABC):
    """The contract of ``latency.LatencyTable``."""

    @abstractmethod
    def make_table(self) -> LatencyTable:
        """An empty table."""

    def test_an_empty_table_has_nothing(self) -> None:
        """And says so without an error."""
        table = self.make_table()
        assert table.get("board", "relu(batch=1,size=8)") is None
        assert dict(table.rows("board")) == {}
        assert table.networks("board") == []

    def test_a_measurement_comes_back_as_it_was(self) -> None:
        """With all of its fields, and their conditions."""
        table, conditions = self.make_table(), _conditions()
        measured = replace(
            _measurement(2.0), schedule="14x2", cold_ms=3.0, code_bytes=99, conditions=conditions
        )
        for found in (measured, _measurement(1.0)):
            table.put("board", "a", found)
            assert table.get("board", "a") == found
            assert table.rows("board") == {"a": found}

    def test_the_newest_counts_and_devices_are_apart(self) -> None:
        """Rows are in the order in which their workloads came."""
        table = self.make_table()
        for number, (device, key) in enumerate((("b", "z"), ("b", "a"), ("other", "a"), ("b", "z")), start=1):
            table.put(device, key, _measurement(float(number)))
        assert table.get("other", "z") is None
        assert [(key, row.milliseconds) for key, row in table.rows("b").items()] == [("z", 4.0), ("a", 2.0)]
        assert {key: row.milliseconds for key, row in table.rows("other").items()} == {"a": 3.0}

    def test_rows_are_those_of_when_they_were_asked_for(self) -> None:
        """What is measured later does not change them."""
        table = self.make_table()
        table.put("board", "a", _measurement(1.0))
        rows, networks = table.rows("board"), table.networks("board")
        table.put("board", "b", _measurement(2.0))
        table.put_network("board", NetworkMeasurement(("a",), _measurement(3.0)))
        assert (len(rows), len(networks)) == (1, 0)

    def test_networks_are_kept_by_purpose_the_oldest_first(self) -> None:
        """The same one may be there more than once."""
        table = self.make_table()
        kept = [NetworkMeasurement(("a", "b", "a"), _measurement(ms, space="tiny")) for ms in (3.0, 1.0, 2.0)]
        for network in kept:
            table.put_network("board", network)
        front = NetworkMeasurement(("a",), _measurement(4.0))
        table.put_network("board", front, purpose="front")
        assert table.networks("board") == kept
        assert table.networks("board", "front") == [front]
        assert table.networks("other") == []

    @pytest.mark.parametrize("milliseconds", [float("nan"), float("inf")])
    def test_what_is_no_time_is_refused(self, milliseconds: float) -> None:
        """And nothing of it is kept."""
        table = self.make_table()
        with pytest.raises(ValueError, match="milliseconds"):
            table.put("board", "a", _measurement(milliseconds))
        with pytest.raises(ValueError, match="milliseconds"):
            table.put_network("board", NetworkMeasurement(("a",), _measurement(milliseconds)))
        assert dict(table.rows("board")) == {}
        assert table.networks("board") == []


def _workloads() -> "list[Workload]":
    from runtime.workload import Conv2d

    return [Conv2d(1, size, size, 3, 1, 1, 16, 16, 1, "float", "float") for size in (32, 4)]


def _networks(device: Device) -> "list[CompiledNetwork]":
    from torch import nn

    import runtime

    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU()).eval()
    shapes = [(1, 3, size, size) for size in (6, 8)]
    return [runtime.compile(module, shape, device.target, {}, device.threads) for shape in shapes]


def _check(found: Measurement) -> None:
    """A measurement is a time, and JSON."""
    assert found.milliseconds > 0
    assert found.iqr_ms >= 0
    assert found.samples >= 1
    assert datetime.fromisoformat(found.date).tzinfo is not None
    assert found.tvm_version
    assert Measurement.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def _measurement(milliseconds: float, space: str | None = None) -> Measurement:
    date = "2026-01-01T00:00:00+00:00"
    return Measurement(milliseconds, 0.5, 12, date, "0.27.0", conditions=Conditions(space=space))


def _conditions() -> Conditions:
    """All there are."""
    times = {"median_ms": 2.5, "reference_ms": 0.01, "usual_ms": 0.011, "drift": 0.2, "waited": 0.3}
    system = {
        "governor": "performance",
        "frequency_mhz": 2400,
        "load": 0.5,
        "affinity": "0-1",
        "space": "tiny",
    }
    counts = {"disturbed": 3, "brief": True, "rounds": 2, "repeats_ms": [2.0, 2.1]}
    return Conditions.from_dict({**times, **system, **counts})

"""Latency: the protocol, the table, and predictions that sum what was really measured."""

import math

import pytest
from torch import nn

import latency
import search_spaces
from latency.measurement import Measurement, MeasurementError, measure
from runtime.workload import Add, Relu
from search_spaces import InvalidInput


def test_a_disturbed_round_does_not_count():
    rounds = iter([[9.0], [5.0] * 11, [2.0] * 11, [4.0] * 11, [2.01] * 11])
    found = measure(lambda samples, milliseconds: next(rounds))
    assert (found.milliseconds, found.iqr_ms, found.samples) == (2.0, 0.0, 11)
    assert list(rounds) == [], "it went on until two rounds agreed"


@pytest.mark.parametrize("sample", [math.nan, math.inf, 0.0, -1.0, 1e9])
def test_absurd_times_are_refused(sample):
    with pytest.raises(MeasurementError, match="which is no time"):
        measure(lambda samples, milliseconds: [sample] * samples)


def test_an_unknown_device_is_refused():
    with pytest.raises(InvalidInput, match="device: unknown name 'toaster'; choose one of local"):
        latency.device("toaster")


class CountingDevice(latency.device("local").__class__):
    """The local device, counting what it times."""

    def __init__(self):
        self.timed = []

    def measure(self, workload):
        self.timed.append(workload)
        return super().measure(workload)


def test_predictions_sum_the_table_and_measure_only_what_it_lacks():
    device, table = CountingDevice(), latency.MemoryTable()
    model = latency.LatencyModel(device, table)
    architecture = search_spaces.space("tiny").sample(7)
    first = model.predict(architecture)
    known = [table.get(device.identity, workload.key).milliseconds for workload, _ in first.by_workload]
    assert [ms for _, ms in first.by_workload] == known
    assert first.milliseconds == pytest.approx(sum(known))
    assert set(device.timed) == {workload for workload, _ in first.by_workload}
    assert len(device.timed) == len(set(device.timed)), "each kernel is timed once"
    again = latency.LatencyModel(device, table).predict(search_spaces.build(architecture), (1, 1, 8, 8))
    assert again == first
    assert len(device.timed) == len(set(device.timed))


def test_a_module_needs_a_shape():
    model = latency.LatencyModel(latency.device("local"), latency.MemoryTable())
    with pytest.raises(InvalidInput, match="input_shape"):
        model.predict(nn.Conv2d(1, 1, 1))
    architecture = search_spaces.space("tiny").sample(7)
    assert model.predict(search_spaces.build(architecture)) == model.predict(architecture)


def test_more_work_takes_longer():
    device = latency.device("local")
    small, large = device.measure(Add(1, 64)), device.measure(Relu(1, 1 << 20))
    assert isinstance(small, Measurement)
    assert large.milliseconds > 10 * small.milliseconds, "16,000 times the data"


def test_the_newest_measurement_counts_and_devices_are_kept_apart():
    table = latency.MemoryTable()
    old, new = (Measurement(ms, 0.0, 1, "2026-01-01", "0.27") for ms in (1.0, 2.0))
    assert table.get("a", "add") is None
    table.put("a", "add", old)
    table.put("a", "add", new)
    assert table.get("a", "add") == new
    assert table.get("b", "add") is None

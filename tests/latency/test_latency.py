"""Latency: the protocol, the table, and predictions that sum what was really measured."""

import math
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

import latency
import runtime
import search_spaces
from latency.hardware.local import LocalDevice
from latency.timing.functions import in_milliseconds
from latency.timing.measurement import Measurement
from latency.timing.sampling import THOROUGH_PLAN, fastest
from runtime.kernels import kernel_for
from runtime.target import cpu_of
from runtime.workload import Add, Relu
from search_spaces import InvalidInput
from search_spaces.errors import MeasurementError
from search_spaces.layers import QuantConv2d


@pytest.mark.parametrize("sample", [math.nan, math.inf, 0.0, -1.0, 1e9])
def test_absurd_times_are_refused(sample):
    assert in_milliseconds([1.0, 0.5]) == [1000.0, 500.0]
    with pytest.raises(MeasurementError, match="which is no time"):
        in_milliseconds([1.0, sample])


def test_other_features_are_another_identity():
    targets = ("aarch64", "aarch64+neon", "aarch64+dotprod", "aarch64+dotprod+i8mm")
    assert len({LocalDevice("pi", target=target).identity for target in targets}) == len(targets)


def test_a_device_cools_down_before_each_batch(monkeypatch):
    pauses = []
    device = latency.connect(latency.DeviceRecord("local"), cooldown_s=1.5)
    here, sleep = threading.get_ident(), time.sleep  # threads that other tests have left sleep, too

    def noted(seconds):
        pauses.append(seconds) if threading.get_ident() == here else sleep(seconds)

    monkeypatch.setattr("latency.timing.timer.time.sleep", noted)
    device.measure_kernels([Relu(1, 64)])
    assert 1.5 in pauses  # who waits for the machine sleeps, too


def test_an_unknown_device_is_refused():
    with pytest.raises(InvalidInput, match="device: unknown name 'toaster'; choose one of local"):
        latency.device("toaster")


class CountingDevice(latency.device("local").__class__):
    """The local device, counting what it times."""

    def __init__(self):
        super().__init__()
        self.timed = []

    def measure_kernels(self, workloads, schedules=None, brief=False, usual_ms=None):
        self.timed += workloads
        return super().measure_kernels(workloads, schedules, brief, usual_ms)


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


def test_the_schedule_that_was_fastest_is_the_one_that_ships():
    convolution = QuantConv2d(32, 32, 3, search_spaces.precisions.get("float"))
    shape = (1, 32, 12, 12)
    model = latency.LatencyModel(latency.device("local"), latency.MemoryTable())
    (work,) = (w for w in runtime.workloads(convolution, shape) if w.family == "conv2d")
    tried = {str(tile) for tile in kernel_for(work).tiles(work, cpu_of("native"))[: THOROUGH_PLAN.schedules]}
    schedules = model.schedules([work])
    assert len(tried) == THOROUGH_PLAN.schedules
    assert set(schedules) == {work.key}
    assert schedules[work.key] in tried

    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    expected = convolution(torch.from_numpy(x)).detach().numpy()
    for schedule in tried:
        network = runtime.compile(convolution, shape, schedules={work.key: schedule})
        np.testing.assert_allclose(network.run(x), expected, rtol=1e-4, atol=1e-4)


def test_the_fastest_is_found():
    def sampler(milliseconds):
        return lambda samples, sample_ms: [milliseconds] * samples

    ways = {"4x4": sampler(2.0), "14x2": sampler(1.0), "7x2": sampler(3.0)}
    assert fastest([ways, {"": sampler(1.0)}]) == ["14x2", ""]


def test_a_prediction_leaves_random_numbers_alone():
    architecture = search_spaces.space("tiny").sample(1)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    latency.LatencyModel(latency.device("local"), latency.MemoryTable()).predict(architecture)
    assert torch.equal(torch.get_rng_state(), before)

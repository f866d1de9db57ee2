"""The protocol on a machine whose speed the tests choose: drift, other speeds, unlucky places of memory."""

import gc
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from latency import MeasurementError
from latency.hardware.local import LocalDevice
from latency.timing.drift import STEADY_BATCHES
from latency.timing.functions import COPIES, KernelJob, NetworkJob
from latency.timing.memory import memory_of, random_block
from latency.timing.patience import DEFAULT_PATIENCE_S, PATIENCE_VARIABLE
from latency.timing.place import Place, ThisProcess
from latency.timing.sampling import BRIEF_PLAN, THOROUGH_PLAN, scale_of
from latency.timing.timer import Timer
from runtime.codegen.timed_kernels import SINGLE_CALL, blocks_of, link_schedules, link_sequence
from runtime.workload import Conv2d, Relu

LIBRARY = Path("made-up.so")
MIN_SAMPLES, SAMPLES, MAX_SAMPLES = (
    THOROUGH_PLAN.min_samples,
    THOROUGH_PLAN.samples,
    THOROUGH_PLAN.max_samples,
)
KERNEL = KernelJob({"": "kernel"}, memory_of("native", Relu(1, 16)))


class Machine(Place):
    """Runs made-up functions: each takes a given time, times the machine's speed."""

    device = None

    def __init__(self):
        self.slowness = lambda: 1.0
        self.milliseconds = {"reference": 0.006, "kernel": 0.5, "kernel" + SINGLE_CALL: 0.8, "network": 2.0}
        self.unlucky = {}
        self.memory = []

    def load(self, library):
        return self

    def tensor(self, array):
        self.memory.append(array.copy())  # kept, so that no other is taken for it by its address
        return self.memory[-1]

    def time_evaluator(self, name, device, number, repeat, min_repeat_ms=0, f_preproc=""):
        def timer(*arguments):
            count = arguments[-1] if isinstance(arguments[-1], int) else 1
            where = self.unlucky.setdefault(name, {})
            place = where.setdefault(id(arguments[0]), 1.3 if len(where) == 1 and not f_preproc else 1.0)
            seconds = self.milliseconds[name] / 1e3 * self.slowness() * place * count
            return SimpleNamespace(results=[seconds] * repeat)

        return timer


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr("latency.timing.timer.time.sleep", lambda seconds: None)
    monkeypatch.delenv(PATIENCE_VARIABLE, raising=False)
    return Machine()


def timer_on(machine):
    return Timer(machine, lambda path: None, LIBRARY, "reference")


def measure(timer, **options):
    return timer.kernels(LIBRARY, [KERNEL], **options).measurements[0]


def measure_network(timer):
    network = NetworkJob(LIBRARY, "network", [np.zeros(4, np.float32)])
    return timer.networks([network]).measurements[0]


def test_a_kernel_is_timed_by_many_calls_and_cold_by_one(machine):
    found = measure(timer_on(machine))
    assert found.milliseconds == pytest.approx(0.5)
    assert found.cold_ms == pytest.approx(0.8)
    assert scale_of(found) == 1


def test_an_unlucky_place_of_memory_does_not_count(machine):
    assert measure(timer_on(machine)).milliseconds == pytest.approx(0.5)
    found = measure_network(timer_on(machine))
    assert found.milliseconds == pytest.approx(2.0)
    assert len(machine.unlucky["network"]) == COPIES


def test_an_unlucky_place_of_code_does_not_count(machine):
    """The first copy of all that is loaded is slow, the reference's too."""
    loaded = {}

    def load(library):
        number = loaded[library] = loaded.get(library, -1) + 1
        slow = 1.2 if number % COPIES == 0 else 1.0

        def time_evaluator(name, *arguments, **options):
            timer = machine.time_evaluator(name, *arguments, **options)
            return lambda *given: SimpleNamespace(results=[slow * s for s in timer(*given).results])

        return SimpleNamespace(time_evaluator=time_evaluator)

    machine.load = load
    machine.unlucky = {name: {} for name in machine.milliseconds}
    machine.milliseconds["reference"] = 0.006
    timer = timer_on(machine)
    network = NetworkJob(Path("network.so"), "network", [np.zeros(4, np.float32)])
    (found,) = timer.networks([network]).measurements
    assert found.milliseconds == pytest.approx(2.0)
    assert found.conditions.reference_ms == pytest.approx(0.006)
    assert loaded == {LIBRARY: COPIES - 1, Path("network.so"): COPIES - 1}


def test_each_copy_of_a_library_lies_elsewhere(tmp_path):
    (names,) = link_schedules([Relu(1, 40)], "native", 1, tmp_path / "kernel.so")
    place = ThisProcess()
    copies = [place.load(tmp_path / "kernel.so") for _ in range(2)]
    assert all(copy.implements_function(name) for copy in copies for name in names.values())
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    code = [line for line in maps if " r-xp " in line and "bitnas-" in line and line.endswith("(deleted)")]
    assert len({line.split()[4] for line in code}) >= 2, "two files, each mapped for itself"


def test_what_was_measured_is_unloaded():
    device = LocalDevice()
    counts = []
    for size in (40, 56, 72):
        device.measure_kernels([Relu(1, size)])
        gc.collect()
        counts.append(Path("/proc/self/maps").read_text(encoding="utf-8").count("r-xp"))
    assert counts[0] == counts[1] == counts[2]


def test_a_sequence_computes_what_its_kernels_compute(tmp_path):
    import tvm

    relus = [Relu(1, 40), Relu(1, 24)]
    link_sequence(relus, "native", "both", tmp_path / "both.so")
    (workspace_bytes, parts), (constant_bytes, _) = memory_of("native", *relus)
    memory = random_block(workspace_bytes, parts)
    tensors = [tvm.runtime.tensor(memory), tvm.runtime.tensor(np.zeros(max(1, constant_bytes), np.uint8))]
    tvm.runtime.load_module(str(tmp_path / "both.so"))["both"](*tensors, 2)
    found = tensors[0].numpy()
    values = [found[at : at + 4 * int(np.prod(shape))].view(np.float32) for at, shape, _ in parts]
    for given, result in zip(values[::2], values[1::2], strict=True):
        assert (given < 0).any()
        np.testing.assert_array_equal(result, np.maximum(given, 0))


def test_a_disturbed_sample_does_not_count(machine):
    timer = timer_on(machine)
    measure(timer)
    calls = 0

    def slowness():  # now and then the kernel, and the reference beside it, are slow for a while
        nonlocal calls
        calls += 1
        return 1.25 if calls // 12 % 2 else 1.0

    machine.slowness = slowness
    found = [measure(timer) for _ in range(5)]
    assert [f.milliseconds for f in found] == pytest.approx([0.5] * 5)
    assert all(f.samples >= SAMPLES for f in found)
    assert any(f.conditions.disturbed for f in found)


def test_where_all_is_disturbed_the_quietest_count(machine):
    timer = timer_on(machine)
    usual_ms = machine.milliseconds["reference"]
    slow = iter(np.linspace(1.15, 1.05, 10_000))
    machine.slowness = lambda: next(slow)
    found = measure(timer, usual_ms=usual_ms)
    assert (found.samples, found.conditions.disturbed) == (MIN_SAMPLES, MAX_SAMPLES)
    assert found.milliseconds == pytest.approx(0.5, rel=0.01), "at the speed that the reference tells"


def test_without_patience_nothing_waits_for_quiet(machine, monkeypatch):
    monkeypatch.setenv(PATIENCE_VARIABLE, "0")
    timer = timer_on(machine)
    usual_ms = machine.milliseconds["reference"]
    slow = iter(np.linspace(1.15, 1.05, 10_000))
    machine.slowness = lambda: next(slow)
    assert measure(timer, usual_ms=usual_ms).conditions.disturbed == SAMPLES
    machine.slowness = lambda: 1.5 + timer.rejected % 3
    assert measure(timer).conditions.drift is not None
    assert timer.rejected == 1


def test_samples_of_many_take_turns(machine):
    order = []
    machine.milliseconds |= {"a": 0.1, "b": 0.2}
    timed = machine.time_evaluator

    def watching(name, device, **options):
        timer = timed(name, device, **options)

        def run(*arguments):
            if (
                options["number"] * machine.milliseconds[name] >= THOROUGH_PLAN.part_ms
                and options["repeat"] == THOROUGH_PLAN.parts
            ):
                order.append(name)
            return timer(*arguments)

        return run

    machine.time_evaluator = watching
    machine.milliseconds |= {"a" + SINGLE_CALL: 1.0, "b" + SINGLE_CALL: 1.0}
    kernels = [KernelJob({"": name}, KERNEL.memory) for name in ("a", "b")]
    machine.unlucky = {"a": {"nowhere": 1.0, "neither": 1.0}}  # b's samples differ from place to place
    found = timer_on(machine).kernels(LIBRARY, kernels).measurements
    assert [f.milliseconds for f in found] == pytest.approx([0.1, 0.2])
    assert order == ["a", "b"] * SAMPLES + ["b"] * (MAX_SAMPLES - SAMPLES), "more are taken where they differ"


@pytest.mark.parametrize("name", ["reference", "kernel", "kernel" + SINGLE_CALL, "network"])
def test_no_time_of_a_device_is_taken_unseen(machine, name):
    machine.milliseconds[name] = float("nan")
    with pytest.raises(MeasurementError, match="which is no time"):
        measure(timer_on(machine))
        measure_network(timer_on(machine))


def test_times_are_given_for_the_usual_speed(machine):
    timer = timer_on(machine)
    before = measure(timer)
    machine.slowness = lambda: 1.05
    after = measure(timer)
    assert after.milliseconds == pytest.approx(before.milliseconds)
    assert after.cold_ms == pytest.approx(before.cold_ms)
    assert scale_of(after) == pytest.approx(1 / 1.05, abs=1e-4)
    assert after.conditions.usual_ms == before.conditions.usual_ms


def test_the_usual_speed_may_be_that_of_an_earlier_timer(machine):
    timer = timer_on(machine)
    assert measure(timer, usual_ms=0.0063).milliseconds == pytest.approx(0.5 * 1.05)
    assert measure(timer).conditions.usual_ms == 0.0063, "it goes on with it"


def test_the_usual_speed_stays_that_of_the_first_measurement(machine):
    timer = timer_on(machine)
    before = measure(timer)
    for slowness in (1.05, 1.1, 1.15, 1.1, 1.0):  # each step is let pass, the whole is more than one may be
        machine.slowness = lambda slowness=slowness: slowness
        found = measure(timer)
        assert found.milliseconds == pytest.approx(before.milliseconds)
        assert found.conditions.usual_ms == before.conditions.usual_ms


def test_what_was_measured_in_a_drift_is_measured_again(machine):
    timer = timer_on(machine)
    measure(timer)
    machine.slowness = lambda: 1.4 if timer.rejected == 0 else 1.0
    assert measure(timer).milliseconds == pytest.approx(0.5)
    assert timer.rejected == 1


def test_a_machine_that_settles_at_another_speed_is_taken_as_it_is(machine, caplog):
    caplog.set_level("INFO", "nas.latency")
    timer = timer_on(machine)
    measure(timer)
    machine.slowness = lambda: 1.5
    assert measure(timer).milliseconds == pytest.approx(0.75)
    assert "settled at a speed 50 % lower" in caplog.text


def test_batches_that_drift_alike_are_another_speed(machine, caplog):
    caplog.set_level("INFO", "nas.latency")
    timer = timer_on(machine)
    measure(timer)
    machine.slowness = lambda: 1.5
    timer.patience_s = 0.0  # so that each batch is tried once
    found = [measure(timer) for _ in range(STEADY_BATCHES)]
    assert [each.conditions.drift is not None for each in found] == [True] * (STEADY_BATCHES - 1) + [False]
    assert "settled at a speed 50 % lower" in caplog.text


def test_a_machine_that_goes_up_and_down_gives_marked_times(machine, caplog):
    caplog.set_level("INFO", "nas.latency")
    timer = timer_on(machine)
    measure(timer)
    machine.slowness = lambda: 1.5 + timer.rejected % 3
    found = measure(timer)
    assert found.conditions.drift == pytest.approx(0.5)
    assert found.milliseconds == pytest.approx(0.75), "the least disturbed, and not scaled"
    assert found.cold_ms == pytest.approx(1.2)
    assert "1 times count, marked, though the reference takes 50 % longer" in caplog.text
    machine.slowness = lambda: 1.0
    assert measure(timer).conditions.drift is None


def test_patience_with_a_disturbed_machine_ends_and_grows_again(machine, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("latency.timing.timer.time.monotonic", lambda: clock[0])
    timer = timer_on(machine)

    def measure_for(seconds):
        begin = timer.speed.begin

        def begun():
            clock[0] += seconds
            begin()

        monkeypatch.setattr(timer.speed, "begin", begun)
        before = timer.rejected
        found = measure(timer)
        monkeypatch.setattr(timer.speed, "begin", begin)
        return found.conditions.drift is not None, timer.rejected - before

    machine.slowness = lambda: 1.0
    assert measure_for(5.0) == (False, 0)
    assert timer.patience_s == DEFAULT_PATIENCE_S
    machine.slowness = lambda: 1.5 + timer.rejected % 3
    assert measure_for(9.0) == (True, 3)
    assert measure_for(9.0) == (True, 1)
    machine.slowness = lambda: 1.0
    assert measure_for(40.0) == (False, 0)
    machine.slowness = lambda: 1.5 + timer.rejected % 3
    assert measure_for(9.0) == (True, 3)


def test_a_brief_measurement_is_marked_and_waits_for_nothing(machine):
    timer = timer_on(machine)
    measure(timer)
    found = measure(timer, brief=True)
    assert (found.samples, found.conditions.brief) == (BRIEF_PLAN.samples, True)
    assert found.milliseconds == pytest.approx(0.5)
    assert found.conditions.drift is None
    assert not measure(timer).conditions.brief
    machine.slowness = lambda: 1.5
    again = timer.kernels(LIBRARY, [KERNEL], brief=True)
    assert timer.rejected == 1, "a thorough one would be tried again"
    assert again.measurements[0].conditions.drift == pytest.approx(0.5)
    assert again.drifts == pytest.approx([0.5])


def test_a_sample_is_the_lowest_of_its_parts(machine):
    """A scheduler lets others run for some milliseconds: not in every part of a sample."""
    timer = timer_on(machine)
    timed, calls = machine.time_evaluator, 0

    def interrupted(name, device, number, repeat, **options):
        timer = timed(name, device, number, repeat, **options)

        def run(*arguments):
            nonlocal calls
            calls += 1
            results = list(timer(*arguments).results)
            if len(results) > 1:
                results[calls % len(results)] *= 4
            return SimpleNamespace(results=results)

        return run

    machine.time_evaluator = interrupted
    assert measure(timer).milliseconds == pytest.approx(0.5)


def test_memory_holds_each_buffer_at_its_place():
    workload = Conv2d(1, 5, 5, 3, 1, 1, 8, 16, 1, "float", "float")
    for (nbytes, parts), block in zip(
        memory_of("native", workload), blocks_of(workload, "native"), strict=True
    ):
        found = random_block(nbytes, parts)
        assert found.nbytes == max(1, block.nbytes)
        ends = sorted(
            (offset, offset + int(np.prod(shape)) * np.dtype(d).itemsize) for offset, shape, d in parts
        )
        assert all(end <= start for (_, end), (start, _) in pairwise(ends))
        for offset, shape, dtype in parts:
            assert offset % 64 == 0
            floats = found[offset : offset + 4 * int(np.prod(shape))].view(dtype)
            assert (np.abs(floats) >= 0.5).all()


def test_a_kernel_alone_computes_what_it_computes_in_a_network(tmp_path):
    import tvm

    library = tmp_path / "kernel.so"
    ((name,),) = (names.values() for names in link_schedules([Relu(1, 40)], "native", 1, library))
    workspace, constants = blocks_of(Relu(1, 40), "native")
    values = np.random.default_rng(0).standard_normal(40).astype(np.float32)
    for function, count in ((name, [3]), (name + SINGLE_CALL, [])):
        memory = np.zeros(workspace.nbytes, np.uint8)
        memory[workspace.offsets["data"] :][:160] = values.view(np.uint8)
        tensors = [
            tvm.runtime.tensor(memory),
            tvm.runtime.tensor(np.zeros(max(1, constants.nbytes), np.uint8)),
        ]
        tvm.runtime.load_module(str(library))[function](*tensors, *count)
        found = tensors[0].numpy()[workspace.offsets["output"] :][:160].view(np.float32)
        np.testing.assert_array_equal(found, np.maximum(values, 0))


def test_a_slow_function_is_sampled_less(machine, monkeypatch):
    times = iter(range(1_000_000))
    monkeypatch.setattr(
        "latency.timing.sampling.time.monotonic", lambda: float(next(times))
    )  # each sample takes 1 s
    found = measure(timer_on(machine))
    assert found.samples == MIN_SAMPLES
    assert found.milliseconds == pytest.approx(0.5)

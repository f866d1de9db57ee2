"""Workers that measure on one machine: compiling waits for timing, and what one measured the other knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import latency
import search_spaces
from latency import MemoryTable
from latency.hardware.local import LocalDevice
from latency.model.model import LatencyModel
from latency.model.workloads import workloads_of
from nas.ledger import Ledger, SearchConfig
from nas.measuring.bench import DeviceBench
from nas.measuring.machine_lock import MachineLock
from runtime.workload import Relu


def test_code_is_compiled_while_nothing_is_timed() -> None:
    device, told = LocalDevice(), list[str]()

    @contextmanager
    def compiling() -> Iterator[object]:
        told.append("compiles")
        yield lambda: told.append("gives way")
        told.append("compiled")

    @contextmanager
    def exclusive() -> Iterator[None]:
        told.append("times")
        yield
        told.append("timed")

    device.compiling, device.exclusive = compiling, exclusive  # type: ignore[assignment]  # stands in for the real one
    device.measure_kernels([Relu(1, 64), Relu(1, 128)], brief=True)
    assert told == ["compiles", "gives way", "gives way", "compiled", "times", "timed"]
    told.clear()
    LatencyModel(device, MemoryTable(), brief=True).networks.compiled(search_spaces.space("tiny").sample(0))
    assert told[-2:] == ["compiles", "compiled"]


def test_kernels_that_another_worker_measured_are_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = search_spaces.space("tiny").sample(0)
    timed = list[latency.Measurement]()
    with Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True) as ledger:
        config = SearchConfig("tiny", "digits", "local", trials=1, epochs=1)
        locks = [MachineLock(tmp_path / "lock", lambda: None) for _ in range(2)]
        one, two = (DeviceBench(config, ledger, lock) for lock in locks)
        two._model.refresh()  # it knows of no kernel, and that it has read all there are
        one.predict(architecture)
        measure = LocalDevice.measure_kernels

        def counted(self: LocalDevice, *args: object, **others: object) -> list[latency.Measurement]:
            found = measure(self, *args, **others)  # type: ignore[arg-type]  # of several types
            timed.extend(found)
            return found

        monkeypatch.setattr(LocalDevice, "measure_kernels", counted)
        assert two.measure(architecture).milliseconds > 0
    assert len(workloads_of(architecture)) > 0 and not timed

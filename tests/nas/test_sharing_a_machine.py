"""Workers that measure on one machine: compiling waits for timing, and what one measured the other knows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from benches import FEW, TimingBench

import latency
import search_spaces
from latency import MemoryTable
from latency.hardware.local import LocalDevice
from latency.model.model import LatencyModel
from latency.model.workloads import workloads_of
from nas.executors.base import LOCAL, executors
from nas.ledger import Ledger, SearchConfig, TrialState
from nas.ledger.records import ALL
from nas.measuring.bench import DeviceBench
from nas.measuring.machine_lock import MachineLock
from nas.searching.running import run
from nas.trials.job import Job
from runtime.workload import Relu
from search_spaces.errors import LostTurnError


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
        if told.count("times") == 1:
            raise LostTurnError("others measured meanwhile")
        told.append("timed")

    device.compiling, device.exclusive = compiling, exclusive  # type: ignore[assignment]  # stands in for the real one
    device.measure_kernels([Relu(1, 64), Relu(1, 128)], brief=True)
    assert told == ["compiles", "gives way", "gives way", "compiled", "times", "times", "timed"]
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


def test_two_searches_on_one_machine_both_go_on(tmp_path: Path) -> None:
    """Each times and trains; neither waits for the other's end."""
    config = SearchConfig("tiny", FEW, "local", trials=3, epochs=2, measure=ALL)
    jobs = [
        Job(f"sqlite:///{tmp_path}/{name}.db", name, bench=TimingBench, poll_s=0.1) for name in ("one", "two")
    ]
    for job in jobs:
        with Ledger.open(job.storage, create=True) as ledger:
            ledger.create_search(job.search, config)
    executors.get(LOCAL)  # a registry is read by one thread
    with ThreadPoolExecutor() as pool:
        assert all(found.finished for found in pool.map(run, jobs))
    ends = list[list[datetime]]()
    for job in jobs:
        with Ledger.open(job.storage) as ledger:
            trials = ledger.trials(job.search)
        assert {trial.state for trial in trials} == {TrialState.COMPLETE}
        ends.append(sorted(trial.finished_at for trial in trials if trial.finished_at))
    one, two = ends
    assert one[0] < two[-1] and two[0] < one[-1]

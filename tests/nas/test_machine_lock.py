"""The lock on a machine: measurements are alone, training gives way, and nobody holds it who is dead."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nas.measuring.machine_lock import MachineLock

SPAWN = multiprocessing.get_context("spawn")


class GaveUpError(Exception):
    """Raised by a check, to end a wait."""


def _impatient() -> Callable[[], None]:
    deadline = time.monotonic() + 0.2

    def check() -> None:
        if time.monotonic() > deadline:
            raise GaveUpError

    return check


def _patient() -> None:
    pass


def test_any_number_may_train_at_once(tmp_path: Path) -> None:
    one, two = MachineLock(tmp_path, _impatient()), MachineLock(tmp_path, _impatient())
    with closing(one), closing(two), one.shared() as give_way, two.shared():
        give_way()


def test_a_measurement_waits_for_training_and_the_other_way_round(tmp_path: Path) -> None:
    with closing(MachineLock(tmp_path, _patient)) as one:
        with one.shared(), closing(MachineLock(tmp_path, _impatient())) as two, pytest.raises(GaveUpError):
            two.exclusive().__enter__()
        for enter in (MachineLock.exclusive, MachineLock.shared):
            with (
                one.exclusive(),
                closing(MachineLock(tmp_path, _impatient())) as two,
                pytest.raises(GaveUpError),
            ):
                enter(two).__enter__()
        with closing(MachineLock(tmp_path, _impatient())) as two, two.exclusive():
            pass


def test_training_lets_a_waiting_measurement_pass(tmp_path: Path) -> None:
    order: list[str] = []

    def measure() -> None:
        with closing(MachineLock(tmp_path, _patient)) as lock, lock.exclusive():
            order.append("begin")
            time.sleep(0.1)
            order.append("end")

    with closing(MachineLock(tmp_path, _patient)) as lock, lock.shared() as give_way:
        other = threading.Thread(target=measure, daemon=True)
        other.start()
        time.sleep(0.1)
        assert order == []
        deadline = time.monotonic() + 60
        while other.is_alive():
            assert time.monotonic() < deadline
            give_way()
            assert order in ([], ["begin", "end"])
            time.sleep(0.005)
        other.join()
    assert order == ["begin", "end"]


def _hold(folder: Path) -> None:
    with MachineLock(folder, _patient).exclusive():
        (folder / "held").touch()
        time.sleep(60)


def test_a_killed_process_gives_the_lock_back(tmp_path: Path) -> None:
    process = SPAWN.Process(target=_hold, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        assert process.is_alive()
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    with closing(MachineLock(tmp_path, _impatient())) as lock, lock.exclusive():
        pass

"""The quiet room: measurements are alone, training gives way, and nobody holds it who is dead."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nas.measuring.quiet import QuietRoom

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
    one, two = QuietRoom(tmp_path, _impatient()), QuietRoom(tmp_path, _impatient())
    with closing(one), closing(two), one.shared() as give_way, two.shared():
        give_way()


def test_a_measurement_waits_for_training_and_the_other_way_round(tmp_path: Path) -> None:
    with closing(QuietRoom(tmp_path, _patient)) as one:
        with one.shared(), closing(QuietRoom(tmp_path, _impatient())) as two, pytest.raises(GaveUpError):
            two.alone().__enter__()
        for enter in (QuietRoom.alone, QuietRoom.shared):
            with one.alone(), closing(QuietRoom(tmp_path, _impatient())) as two, pytest.raises(GaveUpError):
                enter(two).__enter__()
        with closing(QuietRoom(tmp_path, _impatient())) as two, two.alone():
            pass


def test_training_lets_a_waiting_measurement_pass(tmp_path: Path) -> None:
    order: list[str] = []

    def measure() -> None:
        with closing(QuietRoom(tmp_path, _patient)) as room, room.alone():
            order.append("begin")
            time.sleep(0.1)
            order.append("end")

    with closing(QuietRoom(tmp_path, _patient)) as room, room.shared() as give_way:
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
    with QuietRoom(folder, _patient).alone():
        (folder / "held").touch()
        time.sleep(60)


def test_a_killed_process_gives_the_room_back(tmp_path: Path) -> None:
    process = SPAWN.Process(target=_hold, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        assert process.is_alive()
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    with closing(QuietRoom(tmp_path, _impatient())) as room, room.alone():
        pass

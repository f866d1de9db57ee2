"""The lock on a machine: measurements are alone, training gives way, and nobody holds it who is dead."""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.measuring.machine_lock import MachineLock
from search_spaces.errors import BitnasError, LostTurnError

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
    with one.shared() as give_way, two.shared():
        give_way()


def test_a_measurement_waits_for_training_and_the_other_way_round(tmp_path: Path) -> None:
    one = MachineLock(tmp_path, _patient)
    with one.shared(), pytest.raises(GaveUpError):
        MachineLock(tmp_path, _impatient()).exclusive().__enter__()
    for enter in (MachineLock.exclusive, MachineLock.shared):
        with one.exclusive(), pytest.raises(GaveUpError):
            enter(MachineLock(tmp_path, _impatient())).__enter__()
    with MachineLock(tmp_path, _impatient()).exclusive():
        pass


def test_who_measures_may_do_so_within_and_who_trains_may_not(tmp_path: Path) -> None:
    lock = MachineLock(tmp_path, _impatient())
    with lock.exclusive(), lock.exclusive(), lock.shared() as give_way:
        give_way()
    with lock.shared(), pytest.raises(RuntimeError, match="wait for itself"):
        lock.exclusive().__enter__()


def test_other_machines_wait_neither_for_this_one_nor_for_each_other(tmp_path: Path) -> None:
    one, two = MachineLock(tmp_path, _impatient()), MachineLock(tmp_path, _impatient())
    with one.exclusive(), two.elsewhere("board"), one.elsewhere("telephone"), pytest.raises(GaveUpError):
        MachineLock(tmp_path, _impatient()).elsewhere("board").__enter__()


def test_training_lets_a_waiting_measurement_pass(tmp_path: Path) -> None:
    order: list[str] = []

    def measure() -> None:
        with MachineLock(tmp_path, _patient).exclusive():
            order.append("begin")
            time.sleep(0.1)
            order.append("end")

    with MachineLock(tmp_path, _patient).shared() as give_way:
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


def _waiting(folder: Path) -> int:
    return len([*(folder / "here").glob("*-alone"), *(folder / "here").glob("*-shared")])


def test_who_comes_first_is_served_first(tmp_path: Path) -> None:
    """Also before one that has just had the lock, and would have it again."""
    order, threads, waiting = list[int](), list[threading.Thread](), set[int]()

    def measure(number: int) -> None:
        with MachineLock(tmp_path, lambda: waiting.add(number)).exclusive():
            order.append(number)

    first = MachineLock(tmp_path, _patient)
    with first.exclusive():
        for number in range(5):
            threads.append(threading.Thread(target=measure, args=(number,), daemon=True))
            threads[-1].start()
            while _waiting(tmp_path) < number + 2:
                time.sleep(0.005)
    with first.exclusive():
        order.append(5)
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3, 4, 5]


def test_training_goes_on_beside_one_that_measures_all_the_time(tmp_path: Path) -> None:
    """Who had to wait keeps the machine for as long, before it gives way again."""
    is_over, measured = threading.Event(), list[float]()

    def measure() -> None:
        lock = MachineLock(tmp_path, _patient)
        while not is_over.is_set():
            with lock.exclusive():
                time.sleep(0.05)
                measured.append(time.monotonic())

    other = threading.Thread(target=measure, daemon=True)
    other.start()
    while not measured:
        time.sleep(0.005)
    batches = 0
    with MachineLock(tmp_path, _patient).shared() as give_way:
        before = len(measured)
        while len(measured) < before + 10:
            give_way()
            batches += 1
            time.sleep(0.005)
    is_over.set()
    other.join(60)
    assert batches >= 30, "of some ten for each time that the other measures; one if it gave way at once"


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
    (tmp_path / "here" / "new").touch()  # as one leaves it that dies on its way in
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    with MachineLock(tmp_path, _impatient()).exclusive():
        assert _waiting(tmp_path) == 1, "what the dead left is removed"


def _train(folder: Path) -> None:
    with MachineLock(folder, _patient).shared() as give_way:
        (folder / "held").touch()
        while not (folder / "enough").exists():
            give_way()
            time.sleep(0.01)


def _time(folder: Path) -> None:
    """Tell whether what is timed is void."""
    try:
        with MachineLock(folder, _patient).exclusive():
            (folder / "held").touch()
            while not (folder / "enough").exists():
                time.sleep(0.01)
    except LostTurnError:
        (folder / "void").touch()


def _wait(folder: Path) -> None:
    with MachineLock(folder, lambda: (folder / "held").touch()).exclusive():
        (folder / "had its turn").touch()


def _begun(work: Callable[[Path], None], folder: Path) -> int:
    """Start a process, and wait until it is at its work."""
    process = SPAWN.Process(target=work, args=(folder,), daemon=True)
    process.start()
    while not (folder / "held").exists():
        assert process.is_alive()
        time.sleep(0.01)
    (folder / "held").unlink()
    assert process.pid is not None
    return process.pid


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def test_who_trains_and_is_stopped_is_passed_and_waits_when_it_goes_on(tmp_path: Path) -> None:
    pid = _begun(_train, tmp_path)
    _stop(pid)
    with MachineLock(tmp_path, _impatient()).exclusive():
        assert _waiting(tmp_path) == 1
        os.kill(pid, signal.SIGCONT)
        while _waiting(tmp_path) < 2:  # it takes a new ticket, behind this one's
            time.sleep(0.01)
    (tmp_path / "enough").touch()
    assert os.waitpid(pid, 0)[1] == 0


def test_what_is_timed_by_who_was_stopped_and_passed_is_void(tmp_path: Path) -> None:
    pid = _begun(_time, tmp_path)
    _stop(pid)
    with MachineLock(tmp_path, _impatient()).shared():
        (tmp_path / "enough").touch()
        os.kill(pid, signal.SIGCONT)
        assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "void").exists()


def test_who_waits_and_is_stopped_keeps_nobody_waiting(tmp_path: Path) -> None:
    with MachineLock(tmp_path, _patient).shared():
        pid = _begun(_wait, tmp_path)
        _stop(pid)
        with MachineLock(tmp_path, _impatient()).shared():  # it came later
            os.kill(pid, signal.SIGCONT)
            while _waiting(tmp_path) < 3:
                time.sleep(0.01)
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "had its turn").exists()


def test_a_piece_of_work_is_no_longer_that_of_who_is_stopped(tmp_path: Path) -> None:
    pid = _begun(_take_a_piece, tmp_path)
    lock = MachineLock(tmp_path, _impatient())
    with lock.turn("kernels") as is_mine:
        assert not is_mine
    _stop(pid)
    with lock.turn("kernels") as is_mine, lock.turn("others") as is_mine_too:
        assert is_mine and is_mine_too
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _take_a_piece(folder: Path) -> None:
    with MachineLock(folder, _patient).turn("kernels"):
        (folder / "held").touch()
        time.sleep(60)


def test_who_waits_long_tells_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latency.timing.fair_lock.TELL_AFTER_S", 0.05)
    told = list[str]()
    waits = MachineLock(tmp_path, lambda: told and first.__exit__(None, None, None), told.append)
    first = MachineLock(tmp_path, _patient).shared()
    first.__enter__()
    with waits.exclusive():
        assert told == [f"process {os.getpid()}", ""]


def test_odd_things_in_the_folder_are_no_tickets(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "000000000001-alone").mkdir()
    (here / "000000000002-alone").symlink_to(tmp_path)
    os.mkfifo(here / "000000000003-alone")
    (here / "000000000004-alone").touch()  # whose is dead
    for name in ("counter", "5-alone", "x-alone", "000000000006-other"):
        (here / name).touch()
    with MachineLock(tmp_path, _impatient()).exclusive():
        assert not (here / "000000000004-alone").exists()
    here.rename(tmp_path / "there")
    here.touch()
    with pytest.raises(BitnasError, match=r"^TMPDIR: '.*here' cannot be used for locks .*; remove it"):
        MachineLock(tmp_path, _impatient())


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the system's folder for temporary files is, where names are taken before ours."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"bitnas-{os.getuid()}"


@pytest.mark.parametrize("taken", ["a link", "a file", "another user's", "open to all"])
def test_what_others_have_put_in_its_place_is_no_obstacle(temporary: Path, taken: str) -> None:
    target = temporary.with_name("target")
    target.mkdir()
    if taken == "a link":
        temporary.symlink_to(target)
    elif taken == "a file":
        temporary.touch()
    else:
        temporary.mkdir()
        temporary.chmod(0o777)
    if taken == "another user's":
        if os.getuid() != 0:
            pytest.skip("only root can make another user's folder")
        os.chown(temporary, 65534, 65534)
    with MachineLock.of_this_machine(_impatient()).exclusive(), pytest.raises(GaveUpError):
        MachineLock.of_this_machine(_impatient()).exclusive().__enter__()
    used = temporary if taken == "open to all" else temporary.with_name(f"{temporary.name}-1")
    assert (used / "here").is_dir()
    assert used.stat().st_mode & 0o777 == 0o700
    assert list(target.iterdir()) == []

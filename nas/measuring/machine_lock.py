"""A lock on the machine: training and compiling share it, a measurement has it alone.

The locks are files, so that they hold between the workers of any number of searches and are given back by
the kernel when a process dies. Whoever wants to measure first takes the turnstile, which holds off further
training, then waits until those who train give way, which they do at every batch.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

Check = Callable[[], None]
_POLL_S = 0.01


class MachineLock:
    """The pair of file locks under ``folder``; one instance may be used by one thread.

    ``check`` is called while waiting, and whenever one gives way; it may raise to give up.
    """

    def __init__(self, folder: Path, check: Check) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._turnstile = os.open(folder / "turnstile", os.O_RDWR | os.O_CREAT, 0o600)
        self._machine = os.open(folder / "room", os.O_RDWR | os.O_CREAT, 0o600)
        self._check = check

    @classmethod
    def of_this_machine(cls, check: Check) -> Self:
        """The lock that all processes of this user on this machine share."""
        return cls(Path(tempfile.gettempdir()) / f"bitnas-{os.getuid()}", check)

    def close(self) -> None:
        """Give back the files, and with them any lock."""
        os.close(self._turnstile)
        os.close(self._machine)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until nobody trains or measures, and hold both off."""
        with self._held(self._turnstile, fcntl.LOCK_EX), self._held(self._machine, fcntl.LOCK_EX):
            yield

    @contextmanager
    def turn(self, name: str) -> Iterator[bool]:
        """Whether a piece of work, by its name, is this process's: no other is at it. It is till the end."""
        file = os.open(self._folder / f"turn-{name}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield _try(file, fcntl.LOCK_EX)
        finally:
            os.close(file)

    @contextmanager
    def shared(self) -> Iterator[Callable[[], None]]:
        """Wait until nobody measures; gives a function that lets those pass who wait to measure."""
        self._enter()
        try:
            yield self._give_way
        finally:
            fcntl.flock(self._machine, fcntl.LOCK_UN)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within ``shared``: let others measure, such as one who is to decide whether this goes on."""
        fcntl.flock(self._machine, fcntl.LOCK_UN)
        yield
        self._enter()

    def _give_way(self) -> None:
        self._check()
        if _try(self._turnstile, fcntl.LOCK_EX):
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)
            return
        fcntl.flock(self._machine, fcntl.LOCK_UN)
        self._enter()

    def _enter(self) -> None:
        with self._held(self._turnstile, fcntl.LOCK_EX):
            self._wait(self._machine, fcntl.LOCK_SH)

    @contextmanager
    def _held(self, file: int, kind: int) -> Iterator[None]:
        self._wait(file, kind)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _wait(self, file: int, kind: int) -> None:
        # A blocking flock could not be interrupted by whatever ``check`` looks at.
        while not _try(file, kind):
            self._check()
            time.sleep(_POLL_S)


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

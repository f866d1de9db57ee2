"""Locks that keep a machine quiet: training and compiling share it, what is timed on it has it alone.

What is timed on another machine needs that one alone, and nothing of this one. The locks are files, so that
they hold between the workers of any number of searches, and the kernel gives them back when a process dies.
Each is held for one batch of measurements at most, and for training up to the next batch of images.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

from nas.measuring.fair_lock import Check, FairLock
from runtime.folders import private_folder


class MachineLock:
    """The locks under ``folder``; one instance may be used by one thread.

    ``check`` is called while waiting, and whenever one gives way; it may raise to give up.
    """

    def __init__(self, folder: Path, check: Check) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._check = folder, check
        self._here = FairLock(folder / "here", check)

    @classmethod
    def of_this_machine(cls, check: Check) -> Self:
        """The locks that all processes of this user on this machine share."""
        return cls(private_folder(), check)

    def exclusive(self) -> AbstractContextManager[None]:
        """Wait until nobody trains or measures on this machine, and hold both off."""
        return self._here.exclusive()

    def shared(self) -> AbstractContextManager[Callable[[], None]]:
        """Wait until nobody measures on this machine; gives a function that lets those pass who wait to."""
        return self._here.shared()

    def apart(self) -> AbstractContextManager[None]:
        """Within ``shared``: let others measure, such as one who is to decide whether this goes on."""
        return self._here.apart()

    def elsewhere(self, machine: str) -> AbstractContextManager[None]:
        """Wait until nobody else here measures on another machine, and hold that off; any text names one."""
        name = hashlib.sha256(machine.encode()).hexdigest()[:16]
        return FairLock(self._folder / f"elsewhere-{name}", self._check).exclusive()

    @contextmanager
    def turn(self, name: str) -> Iterator[bool]:
        """Whether a piece of work, by its name, is this process's: no other is at it. It is till the end."""
        path = self._folder / f"turn-{name}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            yield _try(file)
        finally:
            os.close(file)


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

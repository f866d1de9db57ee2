"""Locks that keep a machine quiet: training and compiling share it, what is timed on it has it alone.

What is timed on another machine needs that one alone, and nothing of this one. The locks are files, so that
they hold between the workers of any number of searches, and the kernel gives them back when a process dies.
Nobody waits for a process that is stopped. Each is held for one batch of measurements at most, and for
training up to the next batch of images.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from latency.timing.fair_lock import Check, FairLock, Tell
from runtime.folders import private_folder


class MachineLock:
    """The locks under ``folder``; one instance may be used by one thread.

    ``check`` is called while waiting, and whenever one gives way; it may raise to give up. ``tell`` is given,
    in words, who keeps this one waiting for long, and "" when the wait is over.
    """

    def __init__(self, folder: Path, check: Check, tell: Tell = lambda _who: None) -> None:
        self._folder, self._check, self._tell = folder, check, tell
        self._here = self._lock("here")

    @classmethod
    def of_this_machine(cls, check: Check, tell: Tell = lambda _who: None) -> Self:
        """The locks that all processes of this user on this machine share."""
        return cls(private_folder(), check, tell)

    def exclusive(self) -> AbstractContextManager[None]:
        """Wait until nobody trains or measures on this machine, and hold both off.

        Raises:
            LostTurnError: others measured meanwhile, as this process was stopped; at the end of the block.
        """
        return self._here.exclusive()

    def shared(self) -> AbstractContextManager[Callable[[], None]]:
        """Wait until nobody measures on this machine; gives a function that lets those pass who wait to."""
        return self._here.shared()

    def apart(self) -> AbstractContextManager[None]:
        """Within ``shared``: let others measure, such as one who is to decide whether this goes on."""
        return self._here.apart()

    def elsewhere(self, machine: str) -> AbstractContextManager[None]:
        """Wait until nobody else here measures on another machine, and hold that off; any text names one.

        Raises:
            LostTurnError: as ``exclusive`` does.
        """
        name = hashlib.sha256(machine.encode()).hexdigest()[:16]
        return self._lock(f"elsewhere-{name}").exclusive()

    def turn(self, name: str) -> AbstractContextManager[bool]:
        """Whether a piece of work, by its name, is this process's: no other is at it. It is till the end."""
        return self._lock(f"piece-{name}").turn()

    def _lock(self, name: str) -> FairLock:
        return FairLock(self._folder / name, self._check, self._tell)

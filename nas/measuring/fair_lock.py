"""A lock between processes that many may share or one has alone, first come, first served.

Whoever wants the lock takes a ticket: a file with the next number, which it keeps locked (flock) until it is
done. It waits for all lower tickets, or, if it will share, for those alone that will not. The kernel unlocks
the ticket of a process that dies, however it does, and whoever finds one that nobody has locked removes it.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

Check = Callable[[], None]
POLL_S = 0.01
MOST_STAY_S = 1.0
"""Who shares the lock and had to wait for it keeps it for as long, but no longer than this, before it gives
way to the next."""
_COUNTER, _NEW = "counter", "new"


class Ticket(NamedTuple):
    """A place in the queue; its file has the name, and is locked while its owner lives."""

    number: int
    is_shared: bool

    @property
    def name(self) -> str:
        """Of the file."""
        return f"{self.number:012}-{'shared' if self.is_shared else 'alone'}"

    @classmethod
    def of_name(cls, name: str) -> "Ticket | None":
        """The ticket of a file; None where it is another file."""
        number, _, kind = name.partition("-")
        is_one = number.isdecimal() and kind in ("shared", "alone")
        return cls(int(number), kind == "shared") if is_one else None


@dataclass(frozen=True)
class _Place:
    """A ticket, its open file, and, once its turn has come, since when it has been and after what wait."""

    ticket: Ticket
    file: int
    since: float = 0.0
    waited_s: float = 0.0

    @property
    def has_stayed(self) -> bool:
        """Whether it is fair to have it give way."""
        return time.monotonic() - self.since >= min(self.waited_s, MOST_STAY_S)


class FairLock:
    """The lock whose tickets lie in ``folder``, which is made; one instance may be used by one thread.

    ``check`` is called while waiting, and whenever one gives way; it may raise to give up. Who has the lock
    alone may take it again, in either way; who shares it may not have it alone, which is a RuntimeError.
    """

    def __init__(self, folder: Path, check: Check) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._check = folder, check
        self._place: _Place | None = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until nobody has the lock who came before, and hold off all others."""
        if self._place is not None:
            if self._place.ticket.is_shared:
                raise RuntimeError("who shares a lock would wait for itself")
            yield
            return
        self._enter(is_shared=False)
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def shared(self) -> Iterator[Callable[[], None]]:
        """Wait until nobody has it alone; gives a function that lets those pass who wait to do so."""
        if self._place is not None:
            yield self._check
            return
        self._enter(is_shared=True)
        try:
            yield self._give_way
        finally:
            self._leave()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within ``shared``: do without the lock for a while."""
        self._leave()
        yield
        self._enter(is_shared=True)

    def _give_way(self) -> None:
        self._check()
        place = self._place
        if place and place.has_stayed and self._others(place.ticket, after=True):
            self._leave()
            self._enter(is_shared=True)

    def _enter(self, is_shared: bool) -> None:
        """Take a ticket and wait for its turn."""
        started = time.monotonic()
        mine, file = self._ticket(is_shared)
        self._place = _Place(mine, file)
        try:
            while self._others(mine, after=False):
                self._check()
                time.sleep(POLL_S)
        except BaseException:
            self._leave()
            raise
        now = time.monotonic()
        self._place = _Place(mine, file, now, now - started)

    def _leave(self) -> None:
        """Give the ticket back, if there is one: there is none where a wait was given up."""
        if self._place is not None:
            (self._folder / self._place.ticket.name).unlink(missing_ok=True)
            os.close(self._place.file)
            self._place = None

    def _ticket(self, is_shared: bool) -> tuple[Ticket, int]:
        """The next one and its file, which is locked before others see it: none takes it for a dead one's."""
        counter = _opened(self._folder / _COUNTER)
        try:
            while not _locked(counter):
                self._check()
                time.sleep(POLL_S)
            # No number comes twice, so that who removes a dead one's ticket removes no other.
            last = max([_number(counter), *(ticket.number for ticket in self._tickets())])
            os.pwrite(counter, b"%020d" % (last + 1), 0)
            new = self._folder / _NEW
            new.unlink(missing_ok=True)  # of one that died here
            file = _opened(new)
            _locked(file)
            mine = Ticket(last + 1, is_shared)
            new.rename(self._folder / mine.name)
            return mine, file
        finally:
            os.close(counter)

    def _others(self, mine: Ticket, after: bool) -> bool:
        """Whether one that lives, and does not go with mine, has a lower ticket, or one ``after`` mine."""
        for ticket in self._tickets():
            is_there = ticket.number > mine.number if after else ticket.number < mine.number
            goes_along = ticket.is_shared and mine.is_shared
            if is_there and not goes_along and self._lives(ticket):
                return True
        return False

    def _tickets(self) -> list[Ticket]:
        return sorted(filter(None, map(Ticket.of_name, os.listdir(self._folder))))  # noqa: PTH208 - names

    def _lives(self, ticket: Ticket) -> bool:
        """Whether the owner of a ticket still has it; one that nobody has is removed."""
        path = self._folder / ticket.name
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if not _locked(file):
                return True
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(file)


def _number(counter: int) -> int:
    """The last number that was given out; a file that holds none is new."""
    text = os.pread(counter, 20, 0)
    return int(text) if text.isdigit() else 0


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _locked(file: int) -> bool:
    """Lock a file for this one alone, if nobody else has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""A lock between processes that many may share or one has alone, first come, first served.

Whoever wants the lock takes a ticket: a file with the highest number, which it keeps locked (flock) until
it is done, and which says whose it is. It waits for all lower tickets, or, if it will share, for those alone
that will not. The kernel unlocks the ticket of a process that dies, however it does, and whoever finds one
that nobody has locked removes it. A process that is stopped (SIGSTOP, Ctrl-Z) is quiet, perhaps for long: who
waits for it removes its ticket, too. When it goes on, it finds that others have passed it, and takes another.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runtime.processes import Process
from search_spaces.errors import BitnasError, LostTurnError

Check = Callable[[], None]
Tell = Callable[[str], None]
POLL_S = 0.01
TELL_AFTER_S = 5.0
"""Who waits for longer tells for whom."""
MOST_STAY_S = 1.0
"""Who shares the lock and had to wait for it keeps it for as long, but no longer than this, before it gives
way to the next."""


class Ticket(NamedTuple):
    """A place in the queue; its file has the name, and is locked while its owner lives."""

    number: int
    is_shared: bool

    @property
    def name(self) -> str:
        """Of the file."""
        return f"{self.number:012}-{'shared' if self.is_shared else 'alone'}"

    @classmethod
    def of_entry(cls, entry: "os.DirEntry[str]") -> "Ticket | None":
        """The ticket of a file in a folder; None where it is another file, or none."""
        number, _, kind = entry.name.partition("-")
        if not (number.isdecimal() and number.isascii() and entry.is_file(follow_symlinks=False)):
            return None
        found = cls(int(number), kind == "shared")
        return found if found.name == entry.name else None


@dataclass(frozen=True)
class _Place:
    """A ticket, its open file, and, once its turn has come, since when it has been and after what wait."""

    ticket: Ticket
    file: int
    since: float = 0.0
    waited_s: float = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether others have removed the ticket, while this process was stopped."""
        return os.fstat(self.file).st_nlink == 0

    @property
    def has_stayed(self) -> bool:
        """Whether it is fair to have it give way."""
        return time.monotonic() - self.since >= min(self.waited_s, MOST_STAY_S)


class FairLock:
    """The lock whose tickets lie in ``folder``, which is made; one instance may be used by one thread.

    ``check`` is called while waiting, and whenever one gives way; it may raise to give up. ``tell`` is given,
    in words, who keeps this one waiting for long, and "" when the wait is over. Who has the lock alone may
    take it again, in either way; who shares it may not have it alone, which is a RuntimeError.

    Raises:
        BitnasError: there can be no such files in the folder.
    """

    def __init__(self, folder: Path, check: Check, tell: Tell = lambda _who: None) -> None:
        self._folder, self._check, self._tell = folder, check, tell
        self._place: _Place | None = None
        with self._refused():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until nobody has the lock who came before, and hold off all others.

        Raises:
            LostTurnError: others had it meanwhile, as this process was stopped; at the end of the block.
        """
        if self._place is not None:
            if self._place.ticket.is_shared:
                raise RuntimeError("who shares a lock would wait for itself")
            yield
            return
        self._enter(is_shared=False)
        try:
            yield
            self._check_kept()
        finally:
            self._leave()

    @contextmanager
    def shared(self) -> Iterator[Callable[[], None]]:
        """Wait until nobody has it alone; gives a function that lets those pass who wait to do so, or who
        have passed while this process was stopped."""
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

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether nobody has it or waits for it, in which case this one has it alone; does not wait."""
        place = self._place = self._queued(is_shared=False)
        try:
            yield self._ahead(place.ticket) is None
        finally:
            self._leave()

    def _check_kept(self) -> None:
        if self._place is not None and self._place.is_lost:
            raise LostTurnError("this process was stopped while it had the machine alone; let it run")

    def _give_way(self) -> None:
        self._check()
        place = self._place
        if place and (place.is_lost or (place.has_stayed and self._is_awaited(place.ticket))):
            self._leave()
            self._enter(is_shared=True)

    def _enter(self, is_shared: bool) -> None:
        """Take a ticket and wait for its turn."""
        started, told = time.monotonic(), ""
        self._place = self._queued(is_shared)
        try:
            while (first := self._ahead(self._place.ticket)) or self._place.is_lost:
                self._check()
                is_long = time.monotonic() - started > TELL_AFTER_S
                who = self._who(first) if first and is_long else told
                if who != told:
                    self._tell(told := who)
                time.sleep(POLL_S)
                if self._place.is_lost:
                    self._leave()
                    self._place = self._queued(is_shared)
            if told:
                self._tell("")
        except BaseException:
            self._leave()
            raise
        now = time.monotonic()
        self._place = _Place(self._place.ticket, self._place.file, now, now - started)

    def _leave(self) -> None:
        """Give the ticket back, if there is one: there is none where a wait was given up."""
        if self._place is not None:
            (self._folder / self._place.ticket.name).unlink(missing_ok=True)
            os.close(self._place.file)
            self._place = None

    def _queued(self, is_shared: bool) -> _Place:
        """A place behind all others.

        Who finds no higher ticket after its own was there is last: whoever comes later sees it. Numbers are
        of a clock, so that none comes twice, and who removes a ticket of the dead removes no other.
        """
        while True:
            last = max((ticket.number for ticket in self._tickets()), default=0)
            mine = Ticket(max(time.monotonic_ns(), last + 1), is_shared)
            place = self._taken(mine)
            if place is not None:
                others = [ticket for ticket in self._tickets() if ticket != mine]
                if not place.is_lost and all(other.number < mine.number for other in others):
                    return place
                (self._folder / mine.name).unlink(missing_ok=True)
                os.close(place.file)

    def _taken(self, ticket: Ticket) -> _Place | None:
        """A ticket of this process, unless somebody was quicker: to take it, or to find it not locked yet."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with self._refused():
            try:
                file = os.open(self._folder / ticket.name, flags, 0o600)
            except FileExistsError:
                return None
            try:
                os.pwrite(file, Process.this().to_text().encode(), 0)
                if _locked(file):
                    return _Place(ticket, file)
            except BaseException:
                os.close(file)
                raise
        os.close(file)
        return None

    def _ahead(self, mine: Ticket) -> Ticket | None:
        """The first one that keeps mine from its turn; those of the dead and the stopped are removed."""
        for ticket in self._tickets():
            goes_along = ticket.is_shared and mine.is_shared
            if ticket.number < mine.number and not goes_along and _keeps(self._folder / ticket.name):
                return ticket
        return None

    def _is_awaited(self, mine: Ticket) -> bool:
        """Whether one waits for mine."""
        return any(
            ticket.number > mine.number
            and not (ticket.is_shared and mine.is_shared)
            and _keeps(self._folder / ticket.name)
            for ticket in self._tickets()
        )

    def _tickets(self) -> list[Ticket]:
        with self._refused(), os.scandir(self._folder) as entries:
            return sorted(filter(None, map(Ticket.of_entry, entries)))

    def _who(self, ticket: Ticket) -> str:
        """Whose a ticket is, in words; "" where it has been given back."""
        try:
            with (self._folder / ticket.name).open("rb") as file:
                owner = _owner(file.fileno())
        except OSError:
            return ""
        return f"process {owner.pid}" if owner and owner.is_here else "a process of another container"

    @contextmanager
    def _refused(self) -> Iterator[None]:
        """Say what to do about a folder that cannot be used."""
        try:
            yield
        except OSError as error:
            problem = f"'{self._folder}' cannot be used for locks ({error.strerror})"
            raise BitnasError(f"TMPDIR: {problem}; remove it, or choose another place") from error


def _keeps(path: Path) -> bool:
    """Whether a ticket counts: its owner has it, and is not stopped. One that does not is removed."""
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # it has been given back, or is none
        return False
    try:
        if not _locked(file):
            owner = _owner(file)
            if owner is None or not owner.is_stopped:
                return True
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(file)


def _owner(file: int) -> Process | None:
    """Whose a ticket is, if it says so: one of an earlier version does not."""
    return Process.of_text(os.pread(file, 200, 0).decode(errors="replace"))


def _locked(file: int) -> bool:
    """Lock a file for this one alone, if nobody else has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

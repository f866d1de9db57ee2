"""How the end of a process is read: what its exit code says of who ended it, and whether memory ran out."""

import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nas.ledger.losses import Cause

COULD_NOT_WORK = os.EX_TEMPFAIL
"""The exit code of a worker that was told to stop, or that has told why it cannot work: no other has it."""
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS)
"""Signals that a process brings on itself."""
LOG_S = 60.0
"""What the kernel's log says of a process is believed for so long: its number may have been another's."""


@dataclass(frozen=True)
class Ending:
    """In words, how a process ended, and who is to blame for that."""

    how: str
    cause: Cause


def ending(code: int, out_of_memory: bool = False) -> Ending:
    """What an exit code says, which is negative where a signal ended the process.

    ``out_of_memory``: whether the system says that it has killed the process for lack of memory.
    """
    if code == COULD_NOT_WORK:
        return Ending("it could not work", Cause.OUTSIDE)
    if code >= 0:
        return Ending(f"exit code {code}", Cause.OWN)
    if out_of_memory:
        return Ending("out of memory", Cause.OWN)
    known = {found.value: found.name for found in signal.Signals}
    how = f"killed by {known.get(-code, f'signal {-code}')}"
    if -code in CRASHES:
        return Ending(how, Cause.OWN)
    return Ending(how, Cause.UNKNOWN if -code == signal.SIGKILL else Cause.OUTSIDE)


class MemoryWatch:
    """Tells whether a process that was killed was so for lack of memory, where the system says that.

    The limit of a container counts its kills, and the kernel's log, where it may be read, names the process.
    """

    def __init__(self) -> None:
        self._counted = _kills_of_group()

    def has_killed(self, process: int) -> bool:
        """Whether memory ran out for a process that has just been killed; each counted kill answers once."""
        is_counted = _kills_of_group() > self._counted
        self._counted += is_counted
        return is_counted or _is_in_log(process)


def _kills_of_group() -> int:
    """How many processes of this one's control group were killed as it was out of memory."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                return _number(Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control"))
            if not controllers and (found := Path(f"/sys/fs/cgroup{path}/memory.events")).exists():
                return _number(found)
    return 0


def _number(file: Path) -> int:
    found = re.search(r"^oom_kill (\d+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return int(found[1]) if found else 0


def _is_in_log(process: int) -> bool:
    """Whether the kernel's log says that a process was killed for lack of memory, a moment ago."""
    with suppress(OSError):
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        try:
            return _finds(log, re.compile(rb"(?i)(out of memory|oom).*killed process %d " % process))
        finally:
            os.close(log)
    return False


def _finds(log: int, words: re.Pattern[bytes]) -> bool:
    oldest_us = (time.monotonic() - LOG_S) * 1e6
    while True:
        try:
            head, _, text = os.read(log, 8192).partition(b";")
        except BlockingIOError:  # that was all
            return False
        except BrokenPipeError:  # a line was overwritten before it was read
            continue
        if words.search(text) and float(head.split(b",")[2]) >= oldest_us:
            return True

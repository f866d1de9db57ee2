"""Which process this is, and what another one does, as far as this machine tells."""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self


class Process(NamedTuple):
    """One process of one boot; a reused pid has another start time.

    ``machine`` names the running kernel and its process namespace, and is empty where neither can be read.
    """

    pid: int
    started: int
    machine: str

    @classmethod
    def this(cls) -> Self:
        """The calling process."""
        pid = os.getpid()
        return cls(pid, start_time(pid) or 0, machine())

    def to_text(self) -> str:
        """All fields in one line."""
        return f"{self.pid} {self.started} {self.machine}"

    @classmethod
    def of_text(cls, text: str) -> "Process | None":
        """The process that ``to_text`` wrote; None for any other text."""
        pid, started, on = [*text.split(" "), "", ""][:3]
        is_one = pid.isdecimal() and started.isdecimal() and text == f"{pid} {started} {on}"
        return cls(int(pid), int(started), on) if is_one else None

    @property
    def is_here(self) -> bool:
        """Whether its pid means it to this process, too: not to one of another container."""
        return self.machine != "" and self.machine == machine()

    @property
    def is_stopped(self) -> bool:
        """Whether it does nothing until a signal continues it (SIGSTOP, Ctrl-Z, a debugger); False whenever
        that is not sure."""
        if not self.is_here:
            return False
        folder = Path(f"/proc/{self.pid}")
        found = _stat(folder / "stat")
        if found is None or found[0] not in _STOPPED or int(found[19]) != self.started:
            return False
        try:  # a debugger may have stopped one thread alone
            threads = [_stat(thread / "stat") for thread in (folder / "task").iterdir()]
        except OSError:
            return False
        return all(thread is None or thread[0] in _STOPPED for thread in threads)


_STOPPED = ("T", "t")


@cache
def machine() -> str:
    """Boot id and process namespace, as ``boot/namespace``, or nothing where /proc is not there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 - a file that is a link
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of process ``pid``; None when it does not run (or is a zombie)."""
    found = _stat(Path(f"/proc/{pid}/stat"))
    return None if found is None or found[0] in ("Z", "X") else int(found[19])


def _stat(file: Path) -> list[str] | None:
    """The fields of a stat file from its third on, the state; None where there is no such process."""
    try:
        stat = file.read_text()
    except OSError:
        return None
    # The second field is the command in parentheses and may hold anything, so count from its end.
    return stat[stat.rindex(")") + 2 :].split()

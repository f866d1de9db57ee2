"""Who owns a trial: a process, named so that a later process on the same machine can tell if it lives."""

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Worker:
    """One process on one boot of one host; a reused pid has another start time.

    ``machine`` names the running kernel and its process namespace and is empty where neither can be
    read (then no process is ever called dead, and only its lease tells).
    """

    host: str
    machine: str
    pid: int
    started: int

    @classmethod
    def this_process(cls) -> Self:
        """The calling process."""
        pid = os.getpid()
        return cls(socket.gethostname().replace("|", "_"), _machine(), pid, _start_time(pid) or 0)

    @property
    def label(self) -> str:
        """How people see the worker: ``host:pid``."""
        return f"{self.host}:{self.pid}"

    def to_text(self) -> str:
        """All fields in one line, for a column."""
        return f"{self.host}|{self.pid}|{self.started}|{self.machine}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The worker that ``to_text`` wrote."""
        host, pid, started, machine = text.split("|", 3)
        return cls(host, machine, int(pid), int(started))

    def is_known_dead(self) -> bool:
        """Whether this worker ran on this very machine and has ended; False whenever that is not sure."""
        if not self.machine or self.host != socket.gethostname().replace("|", "_"):
            return False
        if self.machine != _machine():
            # The same host after a reboot: nothing from before it lives. A container that shares the
            # host's name and boot, but not its processes, cannot be judged from here.
            return self.machine.split("/")[0] != _machine().split("/")[0]
        return _start_time(self.pid) != self.started


@cache
def _machine() -> str:
    """Boot id and process namespace, as ``boot/namespace``, or nothing where /proc is not there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 - a file that is a link
    except OSError:
        return ""


def _start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of process ``pid``; None when it does not run (or is a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the command in parentheses and may hold anything, so count from its end.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])

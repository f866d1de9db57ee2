"""Who owns a trial: a process, named so that a later process on the same machine can tell if it lives."""

import os
import socket
from dataclasses import dataclass
from typing import Self

from runtime.processes import machine, start_time


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
        return cls(socket.gethostname().replace("|", "_"), machine(), pid, start_time(pid) or 0)

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
        """Whether this worker's process ran on this very boot of this machine, and has ended; False whenever
        that is not sure, as after a reboot: clones and containers may share a host's name, and its machine
        id, so only the lease tells."""
        if not self.machine or self.machine != machine():
            return False
        return start_time(self.pid) != self.started

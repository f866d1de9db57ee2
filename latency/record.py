"""What is noted of a device so that it can be found again: its name, how to reach it, what runs there."""

import re
from dataclasses import dataclass
from typing import Literal

from search_spaces.errors import InvalidInput

Reach = Literal["local", "rpc", "tracker", "plugin"]
SERVER_KEY = "bitnas"
VERSION_FUNCTION = "bitnas.tvm_version"  # a server tells a client by it which TVM it is
"""What a server is started with, and asked for, where nobody says otherwise."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")
PORT = re.compile(r"[0-9]{1,5}")
MAX_THREADS = 256


@dataclass(frozen=True)
class DeviceRecord:
    """How a device is reached and used.

    Attributes:
        name: what users call it.
        reach: ``local``, this machine; ``rpc``, a server of TVM's RPC; ``tracker``, one that a tracker knows;
            ``plugin``, in a way that a plug-in knows.
        address: HOST:PORT of the server or the tracker; empty for the others.
        key: what the server was started with, so that nobody measures on another's board.
        target: what to compile for, as ``runtime.compile`` takes it.
        threads: how many threads, each on a core of its own, run a network there.

    Raises:
        InvalidInput: one of them is none.
    """

    name: str
    reach: Reach = "local"
    address: str = ""
    key: str = ""
    target: str = "native"
    threads: int = 1

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            rule = "1 to 64 letters, digits, '.', '-' or '_', a letter or digit first"
            raise InvalidInput("name", f"{self.name!r} is not the name of a device", rule)
        if not 1 <= self.threads <= MAX_THREADS:
            raise InvalidInput("threads", f"{self.threads} is out of range", f"give 1 to {MAX_THREADS}")
        if self.reach in ("rpc", "tracker"):
            split_address(self.reach, self.address)
            if not KEY.fullmatch(self.key):
                # TVM's own server dies of an empty key, and of one that is not UTF-8.
                rule = "give the server's: 1 to 64 letters, digits, '.', '-' or '_'"
                raise InvalidInput("key", f"{self.key!r} is not a key", rule)


def split_address(parameter: str, address: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; an IPv6 host is in brackets.

    Raises:
        InvalidInput: it is not of that form.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and PORT.fullmatch(port) and 1 <= int(port) <= 65535):
        raise InvalidInput(parameter, f"{address!r} is not HOST:PORT", "for example 192.168.1.7:9090")
    return host, int(port)

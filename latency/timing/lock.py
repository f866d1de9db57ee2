"""How a process has a machine to itself while it times something."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.folders import private_folder


@contextmanager
def measuring_lock(cores: int = 1) -> Iterator[None]:
    """Hold this machine's measuring lock, so that no two processes time anything at once, and some cores."""
    with (private_folder() / "measuring").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        try:
            if before:
                os.sched_setaffinity(0, sorted(before)[-cores:])
            yield
        finally:
            if before:
                os.sched_setaffinity(0, before)

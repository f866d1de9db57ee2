"""How a process has a machine to itself while it times something."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def measuring_lock(cores: int = 1) -> Iterator[None]:
    """Hold this machine's measuring lock, so that no two processes time anything at once, and some cores."""
    lock = Path(tempfile.gettempdir()) / f"bitnas-measuring-{os.getuid()}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        try:
            if before:
                os.sched_setaffinity(0, sorted(before)[-cores:])
            yield
        finally:
            if before:
                os.sched_setaffinity(0, before)

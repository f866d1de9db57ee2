"""How a process has a machine to itself while it times something."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from latency.timing.fair_lock import FairLock
from runtime.folders import private_folder


@contextmanager
def measuring_lock(cores: int = 1) -> Iterator[None]:
    """Hold this machine's measuring lock, so that no two processes time anything at once, and some cores.

    Raises:
        LostTurnError: this process was stopped, and another timed something; at the end of the block.
    """
    with FairLock(private_folder() / "timing", lambda: None).exclusive():
        before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        try:
            if before:
                os.sched_setaffinity(0, sorted(before)[-cores:])
            yield
        finally:
            if before:
                os.sched_setaffinity(0, before)

"""Has a process end with the one that started it, and take along whatever it has started itself.

A guard sees to it: a fork of the process from before it imports anything large, so that it costs a
millisecond and runs also while compiled code holds Python's lock. Compilers and other programs that the
process starts stay in its process group, by which they are ended, even where the process itself was killed.
"""

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

POLL_S = 0.25
"""How often a guard looks whether the parent lives: it has no event that it could wait for."""
GRACE_S = 0.75
"""How long a process may take to put its work back once its parent is gone."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def end_with(parent: int) -> None:
    """Have this process, which must have one thread yet, end with ``parent``, which has started it.

    It becomes the leader of a process group. Once the parent is gone the process gets SIGTERM, and
    ``GRACE_S`` later all of its group SIGKILL; once the process itself has ended, however that was, the rest
    of its group is killed at once. A descendant that has left the group is not found.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    # a group in the background may write to the terminal, also where `stty tostop` forbids it
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    process = os.getpid()
    read, _open_until_the_end = os.pipe()  # of this process alone
    if os.fork() == 0:
        try:
            _leave_all_but(read)
            _watch(process, parent, read)
        finally:
            os._exit(1)  # nothing of the process, such as its exit handlers, may run here
    os.close(read)


def _leave_all_but(file: int) -> None:
    """Let go of every file, so that nobody waits for the end of a pipe, and ignore what ends the process."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, one of which is of the listing itself
        if int(name) != file:
            with suppress(OSError):
                os.close(int(name))
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def _watch(process: int, parent: int, file: int) -> None:
    """Wait for the end of the process or of its parent, then end the group."""
    while not _is_over(file, POLL_S):
        now = parent_of(process)
        if now != parent:
            if now is not None:
                os.kill(process, signal.SIGTERM)
                _is_over(file, GRACE_S)
            break
    os.killpg(process, signal.SIGKILL)  # this one as well


def _is_over(file: int, timeout_s: float) -> bool:
    """Whether the other end of a pipe is closed, which nobody writes to; waits for it."""
    ready, _, _ = select.select([file], [], [], timeout_s)
    return bool(ready)


def parent_of(process: int) -> int | None:
    """The process that a process belongs to now; None where it does not run, or has ended."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in parentheses and may hold anything, so count from its end.
    state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
    return None if state in "ZX" else int(parent)

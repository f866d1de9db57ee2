"""A process ends with its parent, and with it what it started, whichever of them is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from runtime.parent import parent_of

MOST_S = 60
"""Far longer than the second or two that it takes, far shorter than what is started lasts."""

CHILD = """
import os, re, signal, subprocess
from runtime.parent import end_with
end_with(os.getppid())
signal.signal(signal.SIGTERM, lambda *_: None)
compiler = subprocess.Popen(["sleep", "600"])
print(os.getpid(), compiler.pid, flush=True)
re.match("(a+)+$", "a" * 60 + "b")  # takes years in C code, which lets no other thread of Python run
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def gone(process: int) -> bool:
    until = time.monotonic() + MOST_S
    while parent_of(process) is not None and time.monotonic() < until:
        time.sleep(0.02)
    return parent_of(process) is None


@pytest.mark.parametrize("killed", ["parent", "child"])
def test_nothing_outlives_who_started_it(killed: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child, compiler = map(int, parent.stdout.readline().split())
        try:
            assert (parent_of(child), parent_of(compiler)) == (parent.pid, child)
            os.kill({"parent": parent.pid, "child": child}[killed], signal.SIGKILL)
            assert gone(child)
            assert gone(compiler)
            assert parent.stdout.read() == "", "nor does a pipe stay open"
        finally:
            parent.kill()
            if parent_of(child) is not None:
                os.killpg(child, signal.SIGKILL)


def test_what_was_orphaned_before_it_began_ends_too() -> None:
    code = "import time; from runtime.parent import end_with; end_with(1 << 22); time.sleep(600)"
    assert subprocess.run([sys.executable, "-c", code], timeout=MOST_S).returncode == -signal.SIGTERM

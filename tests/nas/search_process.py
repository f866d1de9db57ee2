"""The ``nas`` command in a process of its own, which a test can talk of faults to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).with_name("steady_plugin.py")


def nas_command(*words: str) -> list[str]:
    """The words that call ``nas`` with the plug-in ``steady``."""
    return [sys.executable, "-m", "nas.cli.main", "--plugin", str(PLUGIN), *words]


@contextmanager
def steady_search(
    storage: str, trials: int, *more: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A search of quick trials that has begun, called ``demo``."""
    options = ["--space", "numbers", "--evaluator", "steady", "--objective", "accuracy", "--name", "demo"]
    more = ("--sampler", "random", "--epochs", "3", "--storage", storage, *more)
    with started("search", *options, "--trials", str(trials), *more, **environment) as process:
        yield process


@contextmanager
def started(*words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command, which minds Ctrl-C whatever this process does; its stdout and stderr are pipes."""
    command: list[str] = nas_command(*words)
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, env={**os.environ, **environment}, **piped)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            process.terminate()  # which does nothing to one that has ended
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until(is_so: Any, seconds: float = 120.0) -> None:
    """Until ``is_so()`` is true."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)

"""``nas`` commands in processes of their own, for tests that stop, kill and continue them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.environment import clean_environment

ROOT = Path(__file__).parents[2]


def _default_signals() -> None:
    """What a background job of a shell inherits is to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Command:
    """A command that runs, and what it has written so far; it is killed when the block ends."""

    def __init__(self, folder: Path, *words: str, plugin: Path | None = None, **env: str) -> None:
        """``folder`` keeps what it writes; ``env`` are variables beside those of every test."""
        before = [] if plugin is None else ["--plugin", str(plugin)]
        line = [sys.executable, "-m", "nas.cli.main", *before, *words]
        self._files = [folder / f"{time.monotonic_ns()}.{name}" for name in ("out", "err")]
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self.process = subprocess.Popen(
                line,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=clean_environment(PYTHONPATH=str(ROOT), **env),
                preexec_fn=_default_signals,
            )

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    @property
    def out(self) -> str:
        """What it wrote to stdout."""
        return self._files[0].read_text()

    @property
    def err(self) -> str:
        """What it wrote to stderr."""
        return self._files[1].read_text()

    def end(self, how: int | None = None, patience_s: float = 180.0) -> int:
        """Wait for its end, for which it is sent a signal if there is one; its exit code."""
        if how is not None:
            os.kill(self.process.pid, how)
        return self.process.wait(patience_s)


def wait_until(condition: Callable[[], object], patience_s: float = 180.0) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "nothing more happens"
        time.sleep(0.05)

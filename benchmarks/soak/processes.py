"""The processes of a search that runs: finding them, killing them, and seeing them gone."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOG = "SOAK_LOG"
"""The environment variable that names the side log."""
STEPS = 2


class Search:
    """``nas search`` as a user starts it, in a session of its own."""

    def __init__(self, folder: Path, storage: str, log: Path, *words: str) -> None:
        plugin = ROOT / "benchmarks" / "soak" / "plugin.py"
        command = [sys.executable, "-m", "nas.cli.main", "--plugin", str(plugin), "search", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT), LOG: str(log), "NAS_STORAGE": storage}
        self._told = folder / "told"
        with self._told.open("ab") as told:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, env=env, start_new_session=True
            )

    @property
    def told(self) -> str:
        """What all searches so far have written."""
        return self._told.read_text(encoding="utf-8", errors="replace")

    def workers(self) -> list[int]:
        """The processes that it has started."""
        return children_of(self.process.pid)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def new_search(name: str, trials: int, workers: int, *more: str) -> list[str]:
    """The words after ``nas search`` for a search of quick trials."""
    fixed = ["--space", "numbers", "--evaluator", "numbers", "--objective", "accuracy", "--sampler", "random"]
    epochs = [] if "--epochs" in more else ["--epochs", str(STEPS)]
    return ["--name", name, *fixed, *epochs, "--trials", str(trials), *_at(workers), *more]


def same_search(name: str, workers: int, *more: str) -> list[str]:
    """Those to go on with one."""
    return ["--resume", name, *_at(workers), *more]


def _at(workers: int) -> list[str]:
    return ["--workers", str(workers)]


def children_of(process: int) -> list[int]:
    """The processes that a process has started and that run."""
    found = set[int]()
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                found |= set(map(int, (thread / "children").read_text().split()))
    return sorted(found)


def descendants_of(process: int) -> list[int]:
    """Those, and what they have started in turn."""
    children = children_of(process)
    return [*children, *(each for child in children for each in descendants_of(child))]


def kill(process: int) -> None:
    """SIGKILL, unless it has ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def outliving(processes: list[int], seconds: float) -> list[int]:
    """Those that still run so many seconds later."""
    deadline = time.monotonic() + seconds
    while (left := [each for each in processes if runs(each)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def runs(process: int) -> bool:
    """Whether a process has not ended."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"

"""Times contenders in turn, round after round, so that what disturbs the machine disturbs all of them."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

SAMPLE_MS = 10.0
Run = Callable[[int], float]
"""Runs something so many times and returns the seconds that one of them took."""


@dataclass(frozen=True)
class Effort:
    """How contenders are made and how often they run.

    Attributes:
        rounds: turns of each.
        sample_ms: how long a contender runs in each.
        target: what ours are compiled for.
        engines: the Python of the environment that other engines are installed in.
        litert_torch: the one of the environment that has litert-torch.
        least: whether the least time of a contender counts, where other work disturbs most of them.
    """

    rounds: int = 15
    sample_ms: float = SAMPLE_MS
    target: str = "native"
    engines: str = sys.executable
    litert_torch: str = sys.executable
    least: bool = False

    @property
    def undisturbed(self) -> "Effort":
        """The same with many short turns, of which the least counts."""
        return replace(self, rounds=4 * self.rounds, sample_ms=self.sample_ms / 10, least=True)


def race(contenders: dict[str, Run], effort: Effort, cores: int = 1) -> dict[str, float]:
    """Milliseconds of one run of each contender, the median or the least, on so many cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-cores:])
    try:
        return _race(contenders, effort)
    finally:
        os.sched_setaffinity(0, before)


def _race(contenders: dict[str, Run], effort: Effort) -> dict[str, float]:
    repeats = {}
    for name, run in contenders.items():
        run(1)  # warms up
        repeats[name] = max(1, int(effort.sample_ms / 1e3 / max(run(3), 1e-9)))
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(effort.rounds):
        for name, run in contenders.items():
            samples[name].append(run(repeats[name]) * 1e3)
    chosen = min if effort.least else median
    return {name: chosen(found) for name, found in samples.items()}


def calls(function: Callable[[], object]) -> Run:
    """A contender that is a Python call."""

    def run(repeats: int) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            function()
        return (time.perf_counter() - start) / repeats

    return run


def by_processor(run: Run, warming: int = 0) -> Run:
    """A contender of one thread by the processor's time, which other work on the machine changes least.

    ``warming`` is how many times more it runs than it is asked to.
    """

    def timed(repeats: int) -> float:
        started = time.thread_time()
        run(repeats)
        return (time.thread_time() - started) / (repeats + warming)

    return timed

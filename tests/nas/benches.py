"""Benches for tests of the search loop: real searches and trainings, with latencies that take no compiler.

Worker processes import this module to get their bench, and with it the small data set.
"""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from latency import Measurement, NoDeviceError
from nas.data import Source, data_sets, load
from nas.ledger import Ledger, SearchConfig
from nas.measuring.bench import Predicted, Progress
from nas.measuring.machine_lock import MachineLock
from search_spaces import Architecture
from search_spaces.search_space import SearchSpace
from tests.measured import timed

FEW = "few-digits"
MARKS = "BITNAS_TEST_MARKS"


def _register() -> None:
    digits = load("digits")
    if FEW not in data_sets:
        few = Source(digits.read().train.at(np.arange(300)))
        data_sets.add(FEW, replace(digits, name=FEW, read=lambda: few))


_register()


class ArithmeticBench:
    """Latency is 0.1 ms a block and a little more for wide ones; the whole network takes twice as long."""

    def __init__(self, config: SearchConfig, ledger: Ledger, lock: MachineLock) -> None:
        self.lock = lock

    def predict(self, architecture: Architecture) -> Predicted:
        """The sum over the blocks."""
        works = [
            (f"block{index}", 0.1 + block.width / 1e4) for index, block in enumerate(architecture.blocks)
        ]
        return Predicted(sum(ms for _, ms in works), works)

    def identity(self) -> str | None:
        """There is no device."""
        return None

    def profile(self, space: SearchSpace, progress: Progress) -> None:
        """There is nothing to know."""

    def median(self, space: SearchSpace) -> float:
        """Made up: three blocks."""
        return 0.3

    def estimate(self, architecture: Architecture) -> Predicted:
        """The same."""
        return self.predict(architecture)

    def drifts(self) -> list[float]:
        """It is never slower than usual."""
        return []

    def measure(self, architecture: Architecture) -> Measurement:
        """Twice the prediction, taken while nobody trains."""
        with self.lock.exclusive():
            return timed(2 * self.predict(architecture)[0])


class SometimesBrokenBench(ArithmeticBench):
    """Raises for networks of more than three blocks, and has no time for those of stem width 16."""

    def predict(self, architecture: Architecture) -> Predicted:
        """As above, if at all."""
        if len(architecture.blocks) > 3:
            raise RuntimeError("the compiler\n  does not like this one")
        return Predicted(float("nan"), []) if architecture.stem.width == 16 else super().predict(architecture)

    def measure(self, architecture: Architecture) -> Measurement:
        """Never works."""
        raise OSError("no such counter")


class AwayBench(ArithmeticBench):
    """Its device answers every other call; estimates need none."""

    calls = 0

    def estimate(self, architecture: Architecture) -> Predicted:
        """As above."""
        return super().predict(architecture)

    def predict(self, architecture: Architecture) -> Predicted:
        """As above, if the device is there."""
        self._knock()
        return super().predict(architecture)

    def measure(self, architecture: Architecture) -> Measurement:
        """As above, if the device is there."""
        self._knock()
        with self.lock.exclusive():
            return timed(2 * super().predict(architecture)[0])

    def _knock(self) -> None:
        self.calls += 1
        if self.calls % 2:
            raise NoDeviceError("device: 'pi' does not answer")


class TimingBench(ArithmeticBench):
    """Has the machine to itself for a while in each prediction."""

    def predict(self, architecture: Architecture) -> Predicted:
        """As above, later."""
        with self.lock.exclusive():
            time.sleep(0.2)
            return super().predict(architecture)

    def estimate(self, architecture: Architecture) -> Predicted:
        """As above, at once."""
        return super().predict(architecture)


class SlowBench(ArithmeticBench):
    """Predicts when it is let, for workers that are threads of the test."""

    let = threading.Event()

    def predict(self, architecture: Architecture) -> Predicted:
        """As above, later."""
        assert self.let.wait(60)
        return super().predict(architecture)


class OnceDeadlyBench(ArithmeticBench):
    """Kills its process in the second prediction of all workers together, once."""

    def predict(self, architecture: Architecture) -> Predicted:
        """As above, unless it is the one."""
        if _mark("calls") == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(architecture)


def _mark(name: str) -> int:
    """Count a call over all processes: each makes one file, whose creation fails for all but one."""
    count = 0
    while True:
        count += 1
        try:
            Path(os.environ[MARKS], f"{name}{count}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return count

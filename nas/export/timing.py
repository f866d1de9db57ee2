"""Times the forms of an exported network in turns, so that their ratios are of one run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.export.inspection import inspect
from nas.export.predicting import runnable
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUND_SECONDS = 0.002
"""What the calls of a form take in one round, mostly half to all of it: long beside the clock's steps, short
beside most disturbances, which then fall into few rounds."""
MOST_ROUNDS = 10_000
QUARTILES = (25, 50, 75)


@dataclass(frozen=True)
class FormTime:
    """What one image takes a form, called from Python, and how much that is beside the first form.

    Attributes:
        name: of the form.
        milliseconds: for one image: the quartile below, the median, and that above, over rounds.
        ratio: to the first form in the same round, likewise; 1 for itself.
        rounds: how many there were.
    """

    name: str
    milliseconds: tuple[float, float, float]
    ratio: tuple[float, float, float]
    rounds: int


@dataclass(frozen=True)
class Timed:
    """The times of all forms that run here, the first one's first, and why each other one has none."""

    times: tuple[FormTime, ...]
    missing: dict[str, str]


def benchmark(folder: Path, seconds: float = 5.0) -> Timed:
    """Time every form of an exported network that runs here, one image a call, on one thread.

    The forms take turns of a millisecond or two, so that what slows the machine slows all of them.

    Args:
        folder: what ``nas export`` wrote.
        seconds: what all of it may take, about, beside loading.

    Raises:
        InvalidInput: the seconds are no time.
        BitnasError: the folder is not what was exported, or no form of it runs here.
    """
    if not 0 < seconds <= 3600:
        raise InvalidInput("seconds", f"{seconds} is out of range", "give 0.1 to 3600")
    inspected = inspect(folder)
    calls = {form.name: form.timed_call(folder) for form in runnable(inspected)}
    missing = {form.name: form.missing(folder) for form in inspected.forms if form.name not in calls}
    rounds = in_turns({name: call for name, call in calls.items() if call}, seconds)
    first = next(iter(rounds.values()))
    return Timed(tuple(_time(name, times, first) for name, times in rounds.items()), missing)


def in_turns(calls: Mapping[str, Callable[[], object]], seconds: float) -> "dict[str, NDArray[np.float64]]":
    """Seconds a call, by round, of functions that take turns for about so long in all."""
    counts = {name: _calls_a_round(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    ends = time.perf_counter() + seconds
    for number in range(MOST_ROUNDS):
        if number >= len(QUARTILES) and time.perf_counter() > ends:
            break
        for name, call in calls.items():
            times[name].append(_seconds(call, counts[name]))
    return {name: np.array(found) for name, found in times.items()}


def _calls_a_round(call: Callable[[], object]) -> int:
    """How many calls make a round; the first ones, which warm caches up, count for nothing."""
    _seconds(call, 3)
    count = 1
    while count * _seconds(call, count) < ROUND_SECONDS / 2:
        count *= 2
    return count


def _seconds(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def _time(name: str, times: "NDArray[np.float64]", first: "NDArray[np.float64]") -> FormTime:
    return FormTime(name, _quartiles(1000 * times), _quartiles(times / first), len(times))


def _quartiles(values: "NDArray[np.float64]") -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in np.percentile(values, QUARTILES))
    return low, middle, high

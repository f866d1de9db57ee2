"""Fills a device's latency table, learns from whole networks, and says how far predictions can be trusted."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.model.evaluation import ComparedNetwork, Evaluation
from latency.model.repeats import RepeatedTimes
from search_spaces.errors import InvalidInput
from search_spaces.search_space import buildable

if TYPE_CHECKING:
    from latency import LatencyModel, Measurement
    from runtime import Workload
    from search_spaces import Buildable
    from search_spaces.search_space import SearchSpace

log = logging.getLogger("nas.latency")

Progress = Callable[[str, int, int], None]
"""Told what is done, how many are, and of how many."""

LEARNING_SEED, EVALUATION_SEED = 0, 100_000_000
"""Where the seeds begin of networks to learn from, and of those to judge by."""
EVALUATION_NETWORKS = 30
"""Networks that a calibration is judged by; they are not learned from."""
MIN_EVALUATION_NETWORKS = 5
"""Networks that a calibration is judged by at least, however little time there was."""
LEARNING_SHARE, REPEATING_SHARE = 0.45, 0.7
"""The shares of a calibration's time after which no new networks are learned from, and none again."""
EVALUATION_REPEAT_SHARE = 0.65
"""The share of an evaluation's time after which networks are measured again."""
CANDIDATES = 8
"""Architectures among which the next to learn from is chosen."""
FIRST_NETWORKS = 2
"""Networks that tell how long the others will take."""
NETWORKS_A_BATCH = 8
"""Networks that are measured in turn."""


def architectures(space: "SearchSpace", first_seed: int) -> "Iterator[Buildable]":
    """Different architectures of a space, by seeds from ``first_seed`` on; ends where no new ones come."""
    seen: set[str] = set()
    seed, fruitless = first_seed, 0
    while fruitless < 1000:
        architecture = buildable(space.sample(seed))
        seed += 1
        if architecture.digest in seen:
            fruitless += 1
            continue
        fruitless = 0
        seen.add(architecture.digest)
        yield architecture


def _not_learned(model: "LatencyModel", source: "Iterable[Buildable]") -> "Iterator[Buildable]":
    """Those whose networks were not learned from until now."""
    from latency.model.workloads import keys_of

    learned = model.networks.learned()
    return (architecture for architecture in source if keys_of(architecture) not in learned)


def measure_space(model: "LatencyModel", space: "SearchSpace", count: int, progress: Progress) -> int:
    """Measure the kernels of ``count`` architectures that the table lacks; how many those were.

    Those whose device was disturbed are measured again. Every measurement is kept at once: what was
    interrupted goes on where it was.
    """
    from latency.model.workloads import workloads_of

    wanted: dict[Workload, None] = {}
    for architecture, _ in zip(architectures(space, LEARNING_SEED), range(count), strict=False):
        wanted |= dict.fromkeys(workloads_of(architecture))
    disturbed = model.kernels.disturbed(list(wanted))
    lacking = model.kernels.fill(list(wanted), lambda done, of: progress("kernels", done, of))
    model.kernels.measure_again(disturbed)
    return lacking + len(disturbed)


def calibrate(
    model: "LatencyModel", space: "SearchSpace", minutes: float, most: int, progress: Progress
) -> Evaluation:
    """Measure whole networks to learn from for so long, then judge by others.

    The next network is the one of a few that is least like those measured: where none was near, the error is
    likely the largest. Then those with the largest errors are measured again, and so are their kernels.

    What a fit needs is measured though it takes longer than ``minutes``, unless the first networks show that
    it would take far longer.

    Raises:
        InvalidInput: the time is too short by far for a single fit.
    """
    from latency.model.correction import MIN_NETWORKS

    started = time.monotonic()
    deadline = started + minutes * 60
    learned = len(model.networks.learned(space.name))
    if learned >= most:
        log.warning("%d networks of %s are learned already; networks may be up to 150", learned, space.name)
    source = _not_learned(model, architectures(space, LEARNING_SEED + 10_000 * learned))
    repeats, places = RepeatedTimes(model), list[NDArray[Any]]()
    while learned < most and (
        learned < MIN_NETWORKS or time.monotonic() < started + LEARNING_SHARE * minutes * 60
    ):
        progress("networks", learned, most)
        count = NETWORKS_A_BATCH if repeats.times else FIRST_NETWORKS
        chosen = list(_unlike(source, places, min(count, most - learned)))
        if not chosen:
            break
        is_first = not repeats.times
        repeats.measure(chosen)
        _learn(model, repeats, chosen)
        learned += len(chosen)
        if is_first:
            each_s = (time.monotonic() - started) / len(chosen)
            _check_minutes(minutes, each_s, max(0, MIN_NETWORKS - learned) + MIN_EVALUATION_NETWORKS)
    progress("networks", learned, learned)
    _learn_again(model, repeats, started + REPEATING_SHARE * minutes * 60, progress)
    return evaluate(model, space, EVALUATION_NETWORKS, EVALUATION_SEED, progress, deadline)


def _check_minutes(minutes: float, each_s: float, needed: int) -> None:
    """Refuse a time that is too short by far for so many networks; later ones take less than the first."""
    needed_minutes = each_s * needed / 60
    if needed_minutes > 2 * minutes:
        problem = (
            f"{minutes:g} are too few: a network takes {each_s:.0f} s here, and {needed} more are needed"
        )
        fix = f"give {math.ceil(needed_minutes)} or more; what is measured is kept"
        raise InvalidInput("minutes", problem, fix)


def _learn(model: "LatencyModel", repeats: RepeatedTimes, chosen: "Iterable[Buildable]") -> None:
    for architecture in chosen:
        model.networks.learn(architecture, repeats.times[architecture])


def _learn_again(model: "LatencyModel", repeats: RepeatedTimes, until: float, progress: Progress) -> None:
    """Measure again, the largest errors first, each network once."""
    due, count = set(repeats.times), len(repeats.times)
    while due and time.monotonic() < until:
        progress("networks again", count - len(due), count)
        errors = {a: abs(model.predict(a).milliseconds / repeats.times[a].milliseconds - 1) for a in due}
        worst = sorted(due, key=lambda a: (-errors[a], a.digest))[:NETWORKS_A_BATCH]
        _learn(model, repeats, repeats.repeat(worst))
        due -= set(worst)


def evaluate(
    model: "LatencyModel",
    space: "SearchSpace",
    count: int,
    seed: int,
    progress: Progress,
    deadline: float = math.inf,
) -> Evaluation:
    """Measure ``count`` networks of a space that were not learned from as they are compiled; predict each.

    All are measured at two times. Close to the ``deadline``, of ``time.monotonic()``, no more than
    ``MIN_EVALUATION_NETWORKS`` are, and some but once.
    """
    repeats = RepeatedTimes(model)
    source = islice(_not_learned(model, architectures(space, seed)), count)
    turn = time.monotonic() + (deadline - time.monotonic()) * EVALUATION_REPEAT_SHARE
    while chosen := list(islice(source, NETWORKS_A_BATCH)):
        progress("unseen networks", len(repeats.times), count)
        repeats.measure(chosen)
        if time.monotonic() > turn and len(repeats.times) >= MIN_EVALUATION_NETWORKS:
            break
    measured = list(repeats.times)
    for start in range(0, len(measured), NETWORKS_A_BATCH):
        if time.monotonic() > deadline:
            break
        progress("unseen networks again", start, len(measured))
        repeats.repeat(measured[start : start + NETWORKS_A_BATCH])
    progress("unseen networks", len(measured), len(measured))
    return Evaluation(tuple(_compared(model, a, repeats.times[a]) for a in measured))


def _compared(model: "LatencyModel", architecture: "Buildable", measured: "Measurement") -> ComparedNetwork:
    found = model.predict(architecture)
    predicted = found.milliseconds, found.low, found.high
    return ComparedNetwork(architecture.digest, *predicted, measured.milliseconds, measured.disturbed)


def _workloads(architecture: "Buildable") -> "list[Workload]":
    from latency.model.workloads import workloads_of

    return workloads_of(architecture)


def _unlike(source: "Iterator[Buildable]", known: list[NDArray[Any]], count: int) -> "Iterator[Buildable]":
    """``count`` architectures, each the least like those known of the next few; known are then they, too."""
    for _ in range(count):
        pool = list(islice(source, CANDIDATES))
        if not pool:
            return
        places = [_place(architecture) for architecture in pool]
        distances = [min((float(np.abs(k - place).sum()) for k in known), default=0.0) for place in places]
        chosen = int(np.argmax(distances))
        known.append(places[chosen])
        yield pool[chosen]


def _place(architecture: "Buildable") -> NDArray[Any]:
    """Where an architecture lies among others: logarithms of what its kernels do, by family."""
    from latency.model.effort import amounts_of
    from runtime.kernels.base import kernels

    sums = dict.fromkeys(sorted(kernels), 0.0)
    for workload in _workloads(architecture):
        amounts = amounts_of(workload)
        sums[workload.family] += amounts["macs"] + amounts["constant"] + amounts["output"]
    return np.asarray(np.log1p(list(sums.values())))

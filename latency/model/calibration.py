"""Fills a device's latency table, learns from whole networks, and says how far predictions can be trusted."""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.model.visits import Visits
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from latency import LatencyModel, Measurement
    from runtime import Workload
    from search_spaces import Architecture
    from search_spaces.search_space import SearchSpace

log = logging.getLogger("nas.latency")

Progress = Callable[[str, int, int], None]
"""Told what is done, how many are, and of how many."""

SEED_LEARNED, SEED_UNSEEN = 0, 100_000_000  # where the seeds begin of what is learned from and what is judged
UNSEEN = 30
"""Networks that a calibration is judged by; they are not learned from."""
FEWEST = 5
"""Networks that a calibration is judged by at least, however little time there was."""
LEARNING, REFINING = 0.45, 0.7
"""The shares of a calibration's time after which no new networks are learned from, and none again."""
TURN = 0.65
"""The share of an evaluation's time after which networks are measured again."""
POOL = 8
"""Architectures among which the next to learn from is chosen."""
FIRST = 2
"""Networks that tell how long the others will take."""
TOGETHER = 8
"""Networks that are measured in turn."""


@dataclass(frozen=True)
class Judged:
    """One network: what was predicted, what the interval was, and what was measured, in milliseconds.

    ``disturbed`` is what made the measured time worthless; None where nothing did.
    """

    digest: str
    predicted_ms: float
    low_ms: float | None
    high_ms: float | None
    measured_ms: float
    disturbed: str | None = None

    @property
    def error(self) -> float:
        """The prediction's relative error."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class Evaluation:
    """How predictions compare with measurements; shares are between 0 and 1."""

    networks: tuple[Judged, ...]

    @property
    def mape(self) -> float:
        """The mean absolute relative error."""
        return float(np.mean([abs(n.error) for n in self.networks]))

    @property
    def disturbed(self) -> int:
        """How many networks have a time that the machine's noise made worthless."""
        return sum(network.disturbed is not None for network in self.networks)

    def within(self, share: float) -> float:
        """The share of networks whose relative error is at most ``share``."""
        return float(np.mean([abs(n.error) <= share for n in self.networks]))

    @property
    def tau(self) -> float:
        """Kendall's rank correlation, tau-b, of predictions and measurements."""
        return kendall_tau(
            np.array([n.predicted_ms for n in self.networks]),
            np.array([n.measured_ms for n in self.networks]),
        )

    @property
    def coverage(self) -> float | None:
        """The share of measurements that lie in their interval; None where there are no intervals."""
        held = [
            n.low_ms <= n.measured_ms <= n.high_ms
            for n in self.networks
            if n.low_ms is not None and n.high_ms is not None
        ]
        return float(np.mean(held)) if held else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "networks": [asdict(network) for network in self.networks],
            "mape": self.mape,
            "within_5_percent": self.within(0.05),
            "within_10_percent": self.within(0.1),
            "kendall_tau": self.tau,
            "interval_coverage": self.coverage,
            "disturbed": self.disturbed,
        }


def kendall_tau(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Kendall's tau-b (1945), with ties; 0 where one side is all ties."""
    a, b = (np.sign(x[:, None] - x[None, :])[np.triu_indices(len(x), 1)] for x in (left, right))
    norm = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / norm) if norm else 0.0


def architectures(space: "SearchSpace", first_seed: int) -> "Iterator[Architecture]":
    """Different architectures of a space, by seeds from ``first_seed`` on; ends where no new ones come."""
    seen: set[str] = set()
    seed, fruitless = first_seed, 0
    while fruitless < 1000:
        architecture = space.sample(seed)
        seed += 1
        if architecture.digest in seen:
            fruitless += 1
            continue
        fruitless = 0
        seen.add(architecture.digest)
        yield architecture


def _not_learned(model: "LatencyModel", source: "Iterable[Architecture]") -> "Iterator[Architecture]":
    """Those whose networks were not learned from until now."""
    from latency.model.model import keys_of

    learned = model.learned()
    return (architecture for architecture in source if keys_of(architecture) not in learned)


def measure_space(model: "LatencyModel", space: "SearchSpace", count: int, progress: Progress) -> int:
    """Measure the kernels of ``count`` architectures that the table lacks; how many those were.

    Those whose device was disturbed are measured again. Every measurement is kept at once: what was
    interrupted goes on where it was.
    """
    from latency.model.model import workloads_of

    wanted: dict[Workload, None] = {}
    for architecture, _ in zip(architectures(space, SEED_LEARNED), range(count), strict=False):
        wanted |= dict.fromkeys(workloads_of(architecture))
    disturbed = model.disturbed(list(wanted))
    lacking = model.fill(list(wanted), lambda done, of: progress("kernels", done, of))
    model.measure_again(disturbed)
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
    from latency.model.correction import LEAST

    started = time.monotonic()
    deadline = started + minutes * 60
    learned = len(model.learned(space.name))
    if learned >= most:
        log.warning("%d networks of %s are learned already; networks may be up to 150", learned, space.name)
    source = _not_learned(model, architectures(space, SEED_LEARNED + 10_000 * learned))
    visits, places = Visits(model), list[NDArray[Any]]()
    while learned < most and (learned < LEAST or time.monotonic() < started + LEARNING * minutes * 60):
        progress("networks", learned, most)
        count = TOGETHER if visits.times else FIRST
        chosen = list(_unlike(source, places, min(count, most - learned)))
        if not chosen:
            break
        is_first = not visits.times
        visits.first(chosen)
        _learn(model, visits, chosen)
        learned += len(chosen)
        if is_first:
            each_s = (time.monotonic() - started) / len(chosen)
            _check_minutes(minutes, each_s, max(0, LEAST - learned) + FEWEST)
    progress("networks", learned, learned)
    _learn_again(model, visits, started + REFINING * minutes * 60, progress)
    return evaluate(model, space, UNSEEN, SEED_UNSEEN, progress, deadline)


def _check_minutes(minutes: float, each_s: float, needed: int) -> None:
    """Refuse a time that is too short by far for so many networks; later ones take less than the first."""
    needed_minutes = each_s * needed / 60
    if needed_minutes > 2 * minutes:
        problem = (
            f"{minutes:g} are too few: a network takes {each_s:.0f} s here, and {needed} more are needed"
        )
        fix = f"give {math.ceil(needed_minutes)} or more; what is measured is kept"
        raise InvalidInput("minutes", problem, fix)


def _learn(model: "LatencyModel", visits: Visits, chosen: "Iterable[Architecture]") -> None:
    for architecture in chosen:
        model.learn(architecture, visits.times[architecture])


def _learn_again(model: "LatencyModel", visits: Visits, until: float, progress: Progress) -> None:
    """Measure again, the largest errors first, each network once."""
    due, count = set(visits.times), len(visits.times)
    while due and time.monotonic() < until:
        progress("networks again", count - len(due), count)
        errors = {a: abs(model.predict(a).milliseconds / visits.times[a].milliseconds - 1) for a in due}
        worst = sorted(due, key=lambda a: (-errors[a], a.digest))[:TOGETHER]
        _learn(model, visits, visits.again(worst))
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

    All are measured at two times. Close to the ``deadline``, of ``time.monotonic()``, no more than ``FEWEST``
    are, and some but once.
    """
    visits = Visits(model)
    source = islice(_not_learned(model, architectures(space, seed)), count)
    turn = time.monotonic() + (deadline - time.monotonic()) * TURN
    while chosen := list(islice(source, TOGETHER)):
        progress("unseen networks", len(visits.times), count)
        visits.first(chosen)
        if time.monotonic() > turn and len(visits.times) >= FEWEST:
            break
    measured = list(visits.times)
    for start in range(0, len(measured), TOGETHER):
        if time.monotonic() > deadline:
            break
        progress("unseen networks again", start, len(measured))
        visits.again(measured[start : start + TOGETHER])
    progress("unseen networks", len(measured), len(measured))
    return Evaluation(tuple(_judged(model, a, visits.times[a]) for a in measured))


def _judged(model: "LatencyModel", architecture: "Architecture", measured: "Measurement") -> Judged:
    found = model.predict(architecture)
    predicted = found.milliseconds, found.low, found.high
    return Judged(architecture.digest, *predicted, measured.milliseconds, measured.disturbed)


@dataclass(frozen=True)
class Unseen:
    """The mean absolute relative error of the regressor alone, where it has not seen a family in that size.

    Attributes:
        kernels: of kernels.
        networks: of sums over the kernels of networks.
    """

    kernels: float
    networks: float


def judge_regressor(times: "Mapping[Workload, float]", networks: "Iterable[Sequence[Workload]]") -> Unseen:
    """Estimate kernels, in milliseconds, without those of their family in that size, and so networks.

    Each group of one family and one power of two of work is left out in turn, a tenth of the groups at once.
    """
    from latency.model.features import amounts_of
    from latency.model.regressor import estimates_unseen

    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, workload in enumerate(times):
        amounts = amounts_of(workload)
        groups[workload.family, int(np.log2(1 + amounts["macs"] + amounts["output"]))].append(index)
    folds: list[list[int]] = [[] for _ in range(min(10, len(groups)))]
    for number, key in enumerate(sorted(groups)):
        folds[number % len(folds)] += groups[key]
    found = estimates_unseen(list(times), list(times.values()), folds)
    estimates = dict(zip(times, found, strict=True))
    sums = [
        sum(estimates[w] for w in network) / sum(times[w] for w in network)
        for network in networks
        if all(w in times for w in network)
    ]
    kernels = [estimates[w] / times[w] for w in times]
    return Unseen(*(float(np.mean(np.abs(np.asarray(ratios) - 1))) for ratios in (kernels, sums)))


def _workloads(architecture: "Architecture") -> "list[Workload]":
    from latency.model.model import workloads_of

    return workloads_of(architecture)


def _unlike(
    source: "Iterator[Architecture]", known: list[NDArray[Any]], count: int
) -> "Iterator[Architecture]":
    """``count`` architectures, each the least like those known of the next few; known are then they, too."""
    for _ in range(count):
        pool = list(islice(source, POOL))
        if not pool:
            return
        places = [_place(architecture) for architecture in pool]
        distances = [min((float(np.abs(k - place).sum()) for k in known), default=0.0) for place in places]
        chosen = int(np.argmax(distances))
        known.append(places[chosen])
        yield pool[chosen]


def _place(architecture: "Architecture") -> NDArray[Any]:
    """Where an architecture lies among others: logarithms of what its kernels do, by family."""
    from latency.model.features import amounts_of
    from runtime.kernels.base import kernels

    sums = dict.fromkeys(sorted(kernels), 0.0)
    for workload in _workloads(architecture):
        amounts = amounts_of(workload)
        sums[workload.family] += amounts["macs"] + amounts["constant"] + amounts["output"]
    return np.asarray(np.log1p(list(sums.values())))

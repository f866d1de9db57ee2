"""Which trials are best: those within the limits first, by front and crowding; and a bounded part of many."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

import numpy as np

from nas.algorithms.hypervolume import Floats, crowding, non_dominated
from nas.algorithms.points import Point

_REFERENCE = 1.1  # worse than the worst of a front, whose losses range from 0 to 1
_PROBES = 4096


def best(points: Sequence[Point], count: int) -> list[Point]:
    """The best points that have losses, the best first: by front, then by crowding (Deb et al. 2002).

    Those over a limit come behind all that keep it, the least over first. Equals stay in their order.
    """
    feasible = [point for point in points if point.violation <= 0]
    others = sorted((p for p in points if p.violation > 0), key=lambda point: point.violation)
    chosen: list[Point] = []
    for front in _fronts(feasible):
        if len(chosen) >= count:
            break
        chosen += front
    return [*chosen, *others][:count]


def spread(points: Sequence[Point], count: int) -> list[Point]:
    """As ``best``, but of the front that is too many, those that together dominate most, one by one."""
    chosen: list[Point] = []
    for front in _fronts([point for point in points if point.violation <= 0]):
        room = count - len(chosen)
        if room < len(front):
            return chosen + _largest(front, room)
        chosen += front
    return best(points, count)


def _largest(front: list[Point], count: int) -> list[Point]:
    """Members of a front, each adding the most to the hypervolume of those before, as far as probes tell."""
    losses = _losses(front)
    low, high = losses.min(axis=0), losses.max(axis=0)
    scaled = (losses - low) / np.where(high > low, high - low, 1.0)
    probes = np.random.RandomState(0).random_sample((_PROBES, len(low))) * _REFERENCE
    is_free = np.ones(
        (len(front), _PROBES), dtype=bool
    )  # what each member dominates, and none of those chosen
    for loss, probe in zip(scaled.T, probes.T, strict=True):
        is_free &= loss[:, None] <= probe
    chosen: list[int] = []
    for _ in range(count):
        gained = is_free.sum(axis=1)
        gained[chosen] = -1
        chosen.append(int(gained.argmax()))
        is_free = is_free[:, ~is_free[chosen[-1]]]
    return [front[index] for index in chosen]


def front(points: Sequence[Point]) -> list[Point]:
    """The points within the limits that none dominates, the loneliest first."""
    feasible = [point for point in points if point.violation <= 0]
    return next(iter(_fronts(feasible)), [])


def _fronts(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Front after front, each with the loneliest first."""
    losses = _losses(points)
    rest = np.arange(len(points))
    while len(rest):
        is_first = non_dominated(losses[rest])
        first, rest = rest[is_first], rest[~is_first]
        lonely = np.argsort(-crowding(losses[first]), kind="stable")
        yield [points[index] for index in first[lonely]]


def _losses(points: Sequence[Point]) -> Floats:
    """Those of points that have some: (n, d)."""
    if not points:
        return np.zeros((0, 1))
    flat = chain.from_iterable(point.losses or () for point in points)
    return np.fromiter(flat, dtype=np.float64).reshape(len(points), -1)


@dataclass(frozen=True)
class Window:
    """How many of a long history's points are looked at: the best, the latest, and some of the others."""

    best: int
    latest: int
    others: int

    def of(self, points: Sequence[Point], seed: int) -> list[Point]:
        """The points in the window, by number; which others is up to the seed. All where they are few."""
        if len(points) <= self.best + self.latest + self.others:
            return list(points)
        latest = points[len(points) - self.latest :]
        chosen = {point.number: point for point in (*latest, *best(points, self.best))}
        rest = [point for point in points if point.number not in chosen]
        random = Random(seed)  # noqa: S311 - for sampling, not for secrets
        chosen |= {point.number: point for point in random.sample(rest, self.others)}
        return [chosen[number] for number in sorted(chosen)]


def population(trials: int) -> int:
    """How many parents a search of so many trials has: a tenth of them, at least 10 and at most 50."""
    return min(50, max(10, trials // 10))

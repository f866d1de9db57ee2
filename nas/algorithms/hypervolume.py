"""Fronts and the hypervolume that they dominate: sorting, crowding, boxes, and gains, exact or expected.

Every point is a row of losses: less is better in each column. A reference is the point that is worse than
all that counts; what is no better than it in some column dominates nothing.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Box = tuple[tuple[float, ...], tuple[float, ...]]
"""The lower and the upper corner of a box."""

# A product over boxes holds candidates x boxes x objectives at once: at most so many numbers (32 MB).
_AT_ONCE = 4_000_000
# So many points are compared with all others at once: one by one, the calls take most of the time.
_PIVOTS = 8


def non_dominated(points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which of the points (n, d) no other dominates; equal points do not dominate each other.

    A point that is not a number somewhere counts as dominated.
    """
    losses = _points(points)
    # nothing is dominated by what comes after it, also where sums are equal once they are rounded
    rest = np.lexsort((*losses.T[::-1], losses.sum(axis=1)))
    rest = rest[~np.isnan(losses[rest]).any(axis=1)]
    columns = np.ascontiguousarray(losses[rest].T)  # (d, n)
    found = np.zeros(len(losses), dtype=bool)
    while len(rest):
        is_kept = _beside(columns, columns[:, :_PIVOTS])
        found[rest[:_PIVOTS]] = is_kept[:_PIVOTS]
        left = np.flatnonzero(is_kept[_PIVOTS:]) + _PIVOTS
        rest, columns = rest[left], columns.take(left, axis=1)
    return found


def _beside(columns: Floats, pivots: Floats) -> npt.NDArray[np.bool_]:
    """Which points (d, n) none of the pivots (d, m) dominates: (n,)."""
    is_better = np.zeros((pivots.shape[1], columns.shape[1]), dtype=bool)
    is_equal = np.ones_like(is_better)
    for column, pivot in zip(columns, pivots[:, :, None], strict=True):
        is_better |= column < pivot
        is_equal &= column == pivot
    return np.asarray((is_better | is_equal).all(axis=0))


def ranks(points: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The front that each point (n, d) is on: 0 for the first, 1 for what is the first without that, ...

    Deb et al. 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II".
    """
    losses = _points(points)
    found = np.zeros(len(losses), dtype=np.int64)
    rest, rank = np.arange(len(losses)), 0
    while len(rest):
        is_best = non_dominated(losses[rest])
        found[rest[is_best]] = rank
        rest, rank = rest[~is_best], rank + 1
    return found


def crowding(points: npt.ArrayLike) -> Floats:
    """How far apart the neighbours of each point (n, d) of one front are: infinite at the ends.

    The sum over objectives of the distance between both neighbours, as a share of the range (Deb et al.
    2002).
    """
    losses = _points(points)
    found = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] if len(order) else 0.0
        if len(order) > 2 and span > 0:
            found[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
        found[order[:1]] = found[order[-1:]] = np.inf
    return found


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """The volume of what the points (n, d) dominate and the reference (d,) bounds."""
    worst = np.asarray(reference, dtype=np.float64)
    front = _front(points, worst)
    if not len(front):
        return 0.0
    ideal = front.min(axis=0)
    lower, upper = boxes(front, worst)
    free = np.prod(np.maximum(upper - np.maximum(lower, ideal), 0.0), axis=1).sum()
    return float(np.prod(worst - ideal) - free)


def hypervolume_history(points: npt.ArrayLike, reference: npt.ArrayLike) -> Floats:
    """The hypervolume of the first point, of the first two, and so on: (n,)."""
    losses, worst = _points(points), np.asarray(reference, dtype=np.float64)
    found, front = np.zeros(len(losses)), np.empty((0, losses.shape[1]))
    for index, point in enumerate(losses):
        found[index] = found[index - 1] if index else 0.0
        if (point < worst).all() and not (front <= point).all(axis=1).any():
            front = np.vstack([front[(front < point).any(axis=1)], point])
            found[index] = hypervolume(front, worst)
    return found


def contributions(points: npt.ArrayLike, reference: npt.ArrayLike) -> Floats:
    """What the hypervolume would lose without each of the points (n, d): (n,)."""
    losses = _points(points)
    whole = hypervolume(losses, reference)
    without = [hypervolume(np.delete(losses, index, axis=0), reference) for index in range(len(losses))]
    return np.maximum(whole - np.asarray(without), 0.0)


def boxes(points: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The lower and the upper corners, (m, d) each, of boxes that make up what no point (n, d) dominates.

    They do not overlap, and reach from minus infinity to the reference. A sweep along the last objective
    that keeps a box open while the points passed leave it as it is: up to n + 1 boxes for two objectives
    and 2 n + 1 for three (Yang et al. 2019, "Efficient computation of expected hypervolume improvement
    using box decomposition algorithms"); many more from four on.
    """
    worst = np.asarray(reference, dtype=np.float64)
    front = [tuple(row) for row in _front(points, worst).tolist()]
    found = list(_boxes(front, tuple(worst.tolist())))
    return (
        np.asarray([lower for lower, _ in found], dtype=np.float64).reshape(-1, len(worst)),
        np.asarray([upper for _, upper in found], dtype=np.float64).reshape(-1, len(worst)),
    )


def gains(points: npt.ArrayLike, lower: Floats, upper: Floats) -> Floats:
    """By how much each point (n, d), on its own, would add to the hypervolume, given its ``boxes``: (n,)."""
    losses = _points(points)
    return np.concatenate([_gains(part, lower, upper) for part in _parts(losses, lower)])


def _gains(losses: Floats, lower: Floats, upper: Floats) -> Floats:
    """One objective after the other, as a product over the last axis of all at once is slow."""
    found = np.ones((len(losses), len(lower)))
    for column in range(lower.shape[1]):
        length = np.maximum(losses[:, [column]], lower[:, column])
        found *= np.maximum(np.subtract(upper[:, column], length, out=length), 0.0, out=length)
    summed: Floats = found.sum(axis=1)
    return summed


def expected_gains(mean: npt.ArrayLike, deviation: npt.ArrayLike, lower: Floats, upper: Floats) -> Floats:
    """The expectation of ``gains`` where each loss (n, d) is normal and independent: (n,).

    Over a box from l to u it is the product over objectives of E[(u - Y)+] - E[(l - Y)+], and the boxes add
    up (Yang et al. 2019; Daulton et al. 2020, "Differentiable expected hypervolume improvement"). A
    deviation of 0 is a loss that is known.
    """
    both = np.stack([_points(mean), _points(deviation)])
    return np.concatenate(
        [
            np.prod(_below(upper, *part) - _below(lower, *part), axis=2).sum(axis=1)
            for part in (both[:, rows] for rows in _rows(both.shape[1], lower))
        ]
    )


def _below(bound: Floats, mean: Floats, deviation: Floats) -> Floats:
    """E[(bound - Y)+], (n, m, d), of a bound (m, d) and normal Y (n, d); 0 for a bound of minus infinity."""
    from scipy.special import ndtr

    known = np.where(np.isfinite(bound), bound, 0.0)
    distance = known[None] - mean[:, None]
    spread = deviation[:, None]
    z = np.clip(distance / np.maximum(spread, 1e-300), -37.0, 37.0)  # beyond, the tails are 0 in float64
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    expected = np.where(spread > 0, distance * ndtr(z) + spread * density, np.maximum(distance, 0.0))
    return np.where(np.isfinite(bound)[None], np.maximum(expected, 0.0), 0.0)


def _points(points: npt.ArrayLike) -> Floats:
    found = np.asarray(points, dtype=np.float64)
    return found if found.ndim == 2 else found.reshape(len(found), -1 if len(found) else 1)


def _front(points: npt.ArrayLike, worst: Floats) -> Floats:
    """The distinct points (k, d) that are better than the reference throughout, and that none dominates."""
    losses = np.asarray(points, dtype=np.float64).reshape(-1, len(worst))
    inside = losses[(losses < worst).all(axis=1)]
    return np.unique(inside[non_dominated(inside)], axis=0) if len(inside) else inside


def _rows(count: int, lower: Floats) -> Iterator[slice]:
    """So many candidates in parts that fit into memory beside the boxes."""
    step = max(1, _AT_ONCE // max(1, lower.size))
    return (slice(start, start + step) for start in range(0, max(count, 1), step))


def _parts(losses: Floats, lower: Floats) -> Iterator[Floats]:
    return (losses[rows] for rows in _rows(len(losses), lower))


def _boxes(front: list[tuple[float, ...]], worst: tuple[float, ...]) -> Iterator[Box]:
    """The boxes below a front of points that are better than the reference."""
    if len(worst) == 1:
        yield (-np.inf,), min([*front, worst])
    elif len(worst) == 3:
        yield from _boxes_of_three(front, worst)
    else:
        yield from _boxes_by_slabs(front, worst)


def _boxes_by_slabs(front: list[tuple[float, ...]], worst: tuple[float, ...]) -> Iterator[Box]:
    """Between the last losses of two neighbours only the points before count, in one dimension less."""
    ordered = sorted(front, key=lambda point: point[-1])
    levels = [-np.inf, *sorted({point[-1] for point in front}), worst[-1]]
    began: dict[Box, float] = {}
    for low, high in pairwise(levels):
        flat = _flat_front([point[:-1] for point in ordered if point[-1] <= low])
        now = set(_boxes(flat, worst[:-1]))
        for box in [box for box in began if box not in now]:
            yield _raised(box, began.pop(box), low)
        began.update({box: low for box in now if box not in began})
        if high == worst[-1]:
            yield from (_raised(box, start, high) for box, start in began.items())


def _raised(box: Box, start: float, end: float) -> Box:
    return (*box[0], start), (*box[1], end)


def _flat_front(points: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    if not points or len(points[0]) == 1:
        return [min(points)] if points else []
    return [point for point, is_best in zip(points, non_dominated(points), strict=True) if is_best]


def _boxes_of_three(front: list[tuple[float, ...]], worst: tuple[float, ...]) -> Iterator[Box]:
    """A sweep along the third objective over a staircase of the first two.

    Column i of the staircase lies between ``lefts[i]`` and ``lefts[i + 1]``, is free below ``tops[i]``, and
    has been so since ``starts[i]``.
    """
    lefts, tops, starts = [-np.inf, worst[0]], [worst[1]], [-np.inf]
    for x, y, z in sorted(front, key=lambda point: (point[2], point[0], point[1])):
        first = bisect_right(lefts, x) - 1
        end = first
        while end < len(tops) and tops[end] > y:
            end += 1
        if first == end:
            continue  # an equal third loss, and dominated in the others
        for column in range(first, end):
            if starts[column] < z:
                yield (lefts[column], -np.inf, starts[column]), (lefts[column + 1], tops[column], z)
        keeps_left = lefts[first] < x
        tops[first:end] = [tops[first], y] if keeps_left else [y]
        starts[first:end] = [z, z] if keeps_left else [z]
        lefts[first:end] = [lefts[first], x] if keeps_left else [x]
    for column, top in enumerate(tops):
        yield (lefts[column], -np.inf, starts[column]), (lefts[column + 1], top, worst[2])

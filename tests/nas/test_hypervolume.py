"""Fronts, hypervolumes and their boxes against brute force on random points, ties and all."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.algorithms import hypervolume as hv

Floats = hv.Floats


def _random(seed: int, dimensions: int, count: int = 9) -> tuple[Floats, Floats]:
    """Points on a coarse grid, so that there are ties and equal ones, and a reference that some exceed."""
    points = np.random.default_rng(seed).integers(0, 7, (count, dimensions)) / 6.0
    return points, np.full(dimensions, 0.9)


def _by_inclusion_and_exclusion(points: Floats, reference: Floats) -> float:
    inside = [point for point in points if (point < reference).all()]
    return float(
        sum(
            (-1) ** (size + 1) * np.prod(reference - np.max(chosen, axis=0))
            for size in range(1, len(inside) + 1)
            for chosen in combinations(inside, size)
        )
    )


def _dominates(one: Floats, other: Floats) -> bool:
    return bool((one <= other).all() and (one < other).any())


cases = given(st.integers(0, 2**32 - 1), st.integers(1, 5))


@cases
@settings(max_examples=60, deadline=None)
def test_hypervolume_is_that_of_inclusion_and_exclusion(seed: int, dimensions: int) -> None:
    points, reference = _random(seed, dimensions)
    assert hv.hypervolume(points, reference) == pytest.approx(
        _by_inclusion_and_exclusion(points, reference), abs=1e-12
    )


@cases
@settings(max_examples=60, deadline=None)
def test_boxes_do_not_overlap_and_make_up_what_is_not_dominated(seed: int, dimensions: int) -> None:
    points, reference = _random(seed, dimensions)
    lower, upper = hv.boxes(points, reference)
    probes = np.random.default_rng(seed + 1).uniform(-0.3, 0.9, (300, dimensions))
    inside = ((lower < probes[:, None]) & (probes[:, None] <= upper)).all(axis=2).sum(axis=1)
    dominated = np.any((points <= probes[:, None]).all(axis=2), axis=1)
    assert np.array_equal(inside, np.where(dominated, 0, 1))


@cases
@settings(max_examples=60, deadline=None)
def test_gains_are_differences_of_hypervolume(seed: int, dimensions: int) -> None:
    points, reference = _random(seed, dimensions)
    candidates = np.random.default_rng(seed + 1).random((20, dimensions))
    before = hv.hypervolume(points, reference)
    expected = [hv.hypervolume(np.vstack([points, one]), reference) - before for one in candidates]
    lower, upper = hv.boxes(points, reference)
    assert hv.gains(candidates, lower, upper) == pytest.approx(expected, abs=1e-12)
    nothing = np.zeros_like(candidates)
    assert hv.expected_gains(candidates, nothing, lower, upper) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_expected_gains_are_means_of_gains(dimensions: int) -> None:
    points, reference = _random(dimensions, dimensions)
    lower, upper = hv.boxes(points, reference)
    random = np.random.default_rng(0)
    mean, deviation = random.random((2, 6, dimensions))
    deviation[:, -1] *= dimensions == 1  # a known loss beside the uncertain ones
    drawn = mean[:, None] + deviation[:, None] * random.standard_normal((6, 20_000, dimensions))
    gains = hv.gains(drawn.reshape(-1, dimensions), lower, upper).reshape(6, -1)
    error = 5 * gains.std(axis=1) / np.sqrt(gains.shape[1])
    assert (np.abs(hv.expected_gains(mean, deviation, lower, upper) - gains.mean(axis=1)) <= error).all()


@cases
@settings(max_examples=40, deadline=None)
def test_ranks_are_fronts_peeled_off(seed: int, dimensions: int) -> None:
    points, _ = _random(seed, dimensions)
    found, rest, rank = hv.ranks(points), set(range(len(points))), 0
    while rest:
        best = {i for i in rest if not any(_dominates(points[j], points[i]) for j in rest)}
        assert {i for i in rest if found[i] == rank} == best
        rest, rank = rest - best, rank + 1
    assert np.array_equal(hv.non_dominated(points), found == 0)


@cases
@settings(max_examples=30, deadline=None)
def test_history_and_contributions_agree_with_whole_hypervolumes(seed: int, dimensions: int) -> None:
    points, reference = _random(seed, dimensions)
    expected = [hv.hypervolume(points[: n + 1], reference) for n in range(len(points))]
    assert hv.hypervolume_history(points, reference) == pytest.approx(expected, abs=1e-12)
    lost = hv.contributions(points, reference)
    for index in range(len(points)):
        rest = hv.hypervolume(np.delete(points, index, axis=0), reference)
        assert lost[index] == pytest.approx(expected[-1] - rest, abs=1e-12)


def test_crowding_is_infinite_at_the_ends_and_the_distance_of_neighbours_between() -> None:
    found = hv.crowding([[0.0, 4.0], [1.0, 2.0], [2.0, 1.0], [4.0, 0.0]])
    assert found.tolist() == [np.inf, 2 / 4 + 3 / 4, 3 / 4 + 2 / 4, np.inf]
    assert hv.crowding([[1.0, 5.0], [1.0, 5.0], [1.0, 5.0]]).tolist() == [np.inf, 0.0, np.inf]


def test_three_objectives_have_few_boxes_and_many_candidates_fit_into_memory() -> None:
    directions = np.abs(np.random.default_rng(0).standard_normal((200, 3)))
    front = 1 - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    lower, upper = hv.boxes(front, np.ones(3))
    assert len(lower) <= 2 * len(front) + 1
    assert hv.gains(np.zeros((9000, 3)), lower, upper).shape == (9000,)


def test_nothing_dominates_nothing() -> None:
    empty = np.empty((0, 2))
    assert hv.hypervolume(empty, np.ones(2)) == 0.0
    lower, upper = hv.boxes(empty, np.ones(2))
    assert hv.gains([[0.5, 0.5]], lower, upper).tolist() == [0.25]
    assert len(hv.non_dominated(empty)) == len(hv.ranks(empty)) == len(hv.crowding(empty)) == 0


@pytest.mark.parametrize("count", [1, 7, 8, 9, 40, 300])
def test_a_front_of_any_length_is_what_comparing_all_with_all_gives(count: int) -> None:
    losses = np.random.default_rng(count).integers(0, 12, size=(count, 3)).astype(float)
    losses[:, 2] -= losses[:, :2].sum(axis=1)  # so that the front is long, and sums are equal
    no_worse = (losses[:, None] <= losses[None]).all(axis=2)
    is_beaten = (no_worse & ~no_worse.T).any(axis=0)
    assert (hv.non_dominated(losses) == ~is_beaten).all()


def test_what_is_not_a_number_is_on_no_front_and_beats_nothing() -> None:
    assert hv.non_dominated([[1.0, 2.0], [np.nan, 0.0]]).tolist() == [True, False]

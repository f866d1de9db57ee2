"""Who goes on: promotion against brute force, brackets, and the median."""

from collections import Counter
from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.algorithms.halving import Halving, Hyperband, best, promoted
from nas.algorithms.pruners import MedianPruner, NeverPrune, Standing, pruners
from nas.ledger import SearchConfig

Point = Sequence[float]
points = st.integers(1, 3).flatmap(
    lambda d: st.lists(st.tuples(*[st.integers(0, 4)] * d), min_size=1, max_size=14)
)


def _dominates(one: Point, other: Point) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _crowding(front: list[Point], place: int) -> float:
    """Deb et al. 2002, word by word; of equal values the earlier point comes first."""
    total = 0.0
    for column in range(len(front[0])):
        order = sorted(range(len(front)), key=lambda i: front[i][column])
        at, span = order.index(place), front[order[-1]][column] - front[order[0]][column]
        if at in (0, len(front) - 1):
            return inf
        if span:
            total += (front[order[at + 1]][column] - front[order[at - 1]][column]) / span
    return total


def _ordered(losses: list[Point]) -> list[list[int]]:
    """The places of each front, the least crowded first."""
    rest, fronts = list(range(len(losses))), []
    while rest:
        front = [i for i in rest if not any(_dominates(losses[j], losses[i]) for j in rest)]
        rest = [i for i in rest if i not in front]
        own = [losses[i] for i in front]
        order = sorted(range(len(front)), key=lambda i: (-_crowding(own, i), i))
        fronts.append([front[i] for i in order])
    return fronts


@given(points, st.integers(0, 14), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_the_best_are_those_of_the_first_fronts_and_then_the_least_crowded(
    losses: list[Point], count: int, whole_fronts: int
) -> None:
    count = min(count, len(losses))
    fronts = _ordered(losses)
    expected = [place for front in fronts for place in front][:count]
    assert best(losses, count) == expected
    whole = [place for front in fronts[:whole_fronts] for place in front]
    assert best(losses, count, whole_fronts) == [*whole, *expected[len(whole) :]]


def _standing(number: int, learned: float, *costs: float, is_complete: bool = False) -> Standing:
    return Standing(number, costs, (learned,), is_complete)


def test_one_in_three_is_promoted_and_when_closing_two_fronts_whole() -> None:
    line = [_standing(n, float(n), 0.0) for n in range(8)]
    assert promoted(line[:2], 3, closing=False) == set()
    assert promoted(line, 3, closing=False) == {0, 1}
    assert promoted(line, 3, closing=True) == {0, 1, 2}
    assert promoted(line[::-1], 3, closing=False) == {0, 1}, "in whatever order they come"
    front = [_standing(n, float(n), -float(n)) for n in range(8)]
    assert promoted(front, 3, closing=False) == {0, 7}, "the ends come first"
    assert promoted(front, 3, closing=True) == set(range(8))
    behind = [_standing(n, n % 4 + n // 4 * 4.0, -(n % 4) + n // 4 * 4.0) for n in range(12)]
    assert promoted(behind, 12, closing=True) == set(range(8)), "the third front does not"


def test_halving_judges_at_rungs_and_answers_for_those_asked() -> None:
    halving = Halving(27)
    assert halving.rungs(5) == (1, 3, 9)
    assert Halving(1).rungs(0) == ()
    line = [_standing(n, float(n)) for n in range(6)]
    assert halving.go_on([line[1], line[4]], line, closing=False) == {1}


def test_brackets_share_trials_out_so_that_each_trains_as_much() -> None:
    hyperband = Hyperband(27)
    assert next(hyperband.rungs(n) for n in range(20) if hyperband.bracket(n) == 0) == (1, 3, 9)
    begun = Counter(hyperband.bracket(n) for n in range(1000))
    # Epochs of a trial on average: 1 + 2/3 + 6/9 + 18/27, 3 + 6/3 + 18/9, 9 + 18/3, and 27.
    epochs = [begun[bracket] * cost for bracket, cost in enumerate((3.0, 7.0, 15.0, 27.0))]
    assert max(epochs) < 1.05 * min(epochs)
    early = Counter(hyperband.bracket(n) for n in range(30))
    assert all(early[b] == pytest.approx(0.03 * begun[b], abs=1.5) for b in range(4)), "from the beginning"


def test_a_trial_is_compared_with_those_of_its_bracket() -> None:
    hyperband = Hyperband(3)  # brackets of rungs 1, 3 and of 3 alone
    own = [n for n in range(12) if hyperband.bracket(n) == 0][:3]
    others = [n for n in range(12) if hyperband.bracket(n) == 1]
    assert [hyperband.rungs(n) for n in others] == [()] * len(others)
    seen = [_standing(n, 1.0 + n) for n in own] + [_standing(n, 0.0) for n in others]
    assert hyperband.go_on(seen[:3], seen, closing=False) == {own[0]}


def test_the_median_is_of_complete_trials_that_cost_no_more() -> None:
    rivals = [_standing(n, 0.1 * n, 1.0, is_complete=True) for n in range(4)]
    noise = [_standing(8, 0.0, 1.0), _standing(9, 0.0, 3.0, is_complete=True)]  # one runs, one costs more
    good, bad, cheap = _standing(5, 0.1, 2.0), _standing(6, 0.2, 2.0), _standing(7, 0.9, 0.5)
    seen = [*rivals, *noise, good, bad, cheap]
    median = MedianPruner(epochs=4)
    assert median.rungs(0) == (1, 2, 3)
    assert median.go_on([good, bad, cheap], seen, closing=False) == {5, 7}
    assert median.go_on([bad], seen[1:], closing=False) == {6}, "three are too few to tell"


def test_each_name_makes_its_pruner() -> None:
    config = SearchConfig("tiny", "digits", "local", 5, 9)
    made = {name: pruners.get(name)(config) for name in ("none", "median", "halving", "hyperband")}
    assert [made[name].rungs(0) for name in ("none", "halving")] == [(), (1, 3)]
    assert {name for name, pruner in made.items() if pruner.pauses} == {"halving", "hyperband"}
    assert NeverPrune().go_on([_standing(3, 1.0)], [], closing=True) == {3}

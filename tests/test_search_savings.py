"""What pruners save on recorded curves: the figures of the benchmark, on curves that are made up."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.search.savings import ALL, PAUSED, Losses, evened, markdown, searched
from benchmarks.search.tables import Network


@pytest.fixture(scope="module")
def networks() -> dict[str, list[Network]]:
    """Larger ones are better, more or less; their ranks never change."""
    draw = np.random.default_rng(5)
    sizes = np.exp(draw.uniform(0, 3, 40))
    ends = 0.5 + 0.1 * np.log(sizes) + draw.normal(0, 0.15, 40)
    curves = [tuple(float(end) * (1 - 0.5**epoch) for epoch in range(1, 28)) for end in ends]
    own = [Network({}, "", float(size), 1.0, curve) for size, curve in zip(sizes, curves, strict=True)]
    return {ALL: own, PAUSED: own}


def test_training_all_reaches_everything_and_halving_nearly_all_of_it(
    networks: dict[str, list[Network]],
) -> None:
    losses = Losses(networks, ["size"])
    whole, halved = (searched(networks, losses, name, seed=1) for name in ("none", "halving"))
    assert (whole.spent[-1], whole.reached[-1]) == (40 * 27, pytest.approx(1))
    assert halved.spent[-1] < 40 * 27 / 2
    assert halved.reached[-1] == pytest.approx(1), "whoever ranks first early does so in the end"
    assert whole.epochs_to(0.5) <= whole.epochs_to(0.9) <= 40 * 27
    assert whole.epochs_to(1.1) == float("inf")
    assert searched(networks, losses, "none", seed=2).spent[-1] == 40 * 27


def test_the_table_has_a_row_for_each_pruner(networks: dict[str, list[Network]]) -> None:
    rows = [line.split("|")[1:-1] for line in markdown(networks, ["size"], 2).splitlines()[2:]]
    assert [row[0].strip() for row in rows] == ["`none`", "`median`", "`halving`", "`hyperband`"]
    assert [cell.strip() for cell in rows[0][1:5]] == ["1,080", "1.0 times", "1.000", "1.000"]
    assert float(rows[2][2].split()[0]) > 2


def test_the_mean_of_both_trainings_judges_either(networks: dict[str, list[Network]]) -> None:
    lower = [replace(each, curve=(*each.curve[:-1], each.accuracy - 0.2)) for each in networks[PAUSED]]
    found = evened({ALL: networks[ALL], PAUSED: lower})
    for own in found.values():
        assert [each.accuracy for each in own] == pytest.approx([n.accuracy - 0.1 for n in networks[ALL]])
        assert [each.curve[:-1] for each in own] == [each.curve[:-1] for each in networks[ALL]]

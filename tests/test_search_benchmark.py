"""The search benchmark: its tables are of the space, its runs are fair, its figures are right."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.blocks import write_block
from benchmarks.search import speed, stopping
from benchmarks.search.__main__ import main
from benchmarks.search.contenders import RIVALS, contenders, distinct_names, ours
from benchmarks.search.runs import Run, run
from benchmarks.search.space import BENCH
from benchmarks.search.summary import markdown, summaries
from benchmarks.search.tables import Network, Writer, build, costs, names_of, read
from benchmarks.search.targets import targets
from benchmarks.search.train_cifar import EPOCHS, SMALL_CIFAR
from benchmarks.search.train_cifar import TABLE as CIFAR_TABLE
from benchmarks.search.train_digits import TABLE
from nas.algorithms.base import algorithms
from nas.algorithms.choosing import algorithm
from nas.ledger.records import TrialState
from search_spaces.search_space import every

MOST_BYTES = 300_000
"""Of a table in the repository."""

needs_digits = pytest.mark.skipif(not TABLE.exists(), reason="the table of digits is not trained yet")
needs_cifar = pytest.mark.skipif(not CIFAR_TABLE.exists(), reason="the curves are not trained yet")


@cache
def everything():
    """The choices of all networks of the space; walking through it takes seconds."""
    return list(every(BENCH))


@pytest.fixture(scope="module")
def layers():
    return targets("synthetic")


def test_the_space_has_as_many_networks_as_it_says():
    found = everything()
    assert len(found) == BENCH.size() == 2000
    assert len({tuple(choices.items()) for choices in found}) == 2000
    assert len({build(BENCH, choices).digest for choices in found[::20]}) == 100
    assert "stage1.groups" not in found[0]
    assert "stage1.groups" in found[1000]


@needs_digits
def test_the_table_has_every_network_with_its_costs():
    rows = read(TABLE, BENCH)
    assert TABLE.stat().st_size <= MOST_BYTES
    assert [row.choices for row in rows] == everything()
    assert all(len(row.curve) == 6 and 0 <= min(row.curve) <= max(row.curve) <= 1 for row in rows)
    for row in rows[::200]:
        assert (row.size_kb, row.macs) == pytest.approx(costs(build(BENCH, row.choices)), abs=1e-4)
    accuracies = np.array([row.accuracy for row in rows])
    low, high = np.quantile(accuracies, [0.1, 0.9])
    assert high - low > 0.1, "networks differ"


@needs_cifar
def test_curves_are_of_the_same_networks_by_both_schedules():
    assert CIFAR_TABLE.stat().st_size <= MOST_BYTES
    curves = stopping.recorded()
    assert set(curves) == {"one-cycle", "rungs"}
    pairs = list(zip(*curves.values(), strict=True))
    assert len(pairs) >= 30
    assert all(one.choices == other.choices and one.size_kb == other.size_kb for one, other in pairs)
    assert {len(network.curve) for networks in curves.values() for network in networks} == {EPOCHS}
    network = curves["rungs"][0]
    assert (network.size_kb, network.macs) == pytest.approx(
        costs(build(SMALL_CIFAR, network.choices)), abs=1e-4
    )
    assert "| `rungs` | the end of `rungs` |" in stopping.markdown(curves)


def test_tau_counts_pairs():
    assert stopping.tau([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(4 / 6)


def test_a_table_is_read_as_it_was_written(tmp_path):
    choices = everything()[::700]
    writer = Writer(tmp_path / "t.csv", names_of(everything()), ("about it", "in two lines"))
    networks = [Network(c, "rungs", 1.25, 7000.0, (0.1, n / 8)) for n, c in enumerate(choices)]
    for network in networks:
        writer.write(network)
    assert read(tmp_path / "t.csv", BENCH) == networks
    assert (tmp_path / "t.csv").read_text().startswith("# about it\n# in two lines\nstage1.block,")


@pytest.mark.parametrize("table", [pytest.param("digits", marks=needs_digits), "synthetic"])
def test_random_search_does_as_well_as_uniform_draws(table):
    for target in targets(table):
        figures, draw = list(target.figures.values()), np.random.default_rng(0)
        orders = [draw.permutation(len(figures))[:30] for _ in range(8)]
        drawn = np.array([target.shares([figures[place] for place in order]) for order in orders])
        found = [run(target, "random", ours("random"), seed=seed, trials=30) for seed in range(2)]
        reached = np.mean([each.shares for each in found], axis=0)
        assert abs(reached[-1] - drawn[:, -1].mean()) < 4 * drawn[:, -1].std() / 2**0.5, "of two runs"
        assert (np.diff(drawn) >= 0).all()
        assert target.shares(figures)[-1] == pytest.approx(1)
        assert sum(map(target.is_top, figures)) >= max(1, round(0.001 * len(figures)))


def test_no_contender_trains_a_network_twice(layers):
    assert {*distinct_names(), *RIVALS} == set(contenders())
    for name, trials in (("random", 20), ("optuna nsga2", 80)):  # the latter breeds what it has had
        found = list(contenders()[name](layers[0], 3, trials, 1))
        assert len({known.digest for known in found}) == len(found) == trials
        again = list(contenders()[name](layers[0], 3, trials, 1))
        assert [known.digest for known in again] == [known.digest for known in found]


def test_several_workers_ask_before_the_others_have_ended(layers, monkeypatch):
    asked, told = [], []
    make = maker("random")

    def watched(space, config):
        made = make(space, config)
        ask = made.ask

        def asking(number, history, passed_over=()):
            asked.append([trial.state for trial in history])
            return ask(number, history, passed_over)

        monkeypatch.setattr(made, "ask", asking)
        monkeypatch.setattr(made, "tell", lambda trial: told.append((trial.number, trial.accuracy)))
        return made

    monkeypatch.setattr(algorithms, "_things", {**algorithms._things, "watched": watched})
    list(ours("watched")(layers[1], 0, 5, 3))
    running = [states.count(TrialState.RUNNING) for states in asked]
    assert max(running) == 2
    assert asked[-1] == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING] * 2
    assert [number for number, accuracy in told if accuracy is not None] == [0, 1, 2]


def maker(name):
    return lambda space, config: algorithm(space, replace(config, sampler=name))


def _run(contender, seed, shares, top=None):
    return Run("t", ("accuracy", "size"), contender, seed, len(shares), 1, tuple(shares), top, 1.5)


def test_summaries_count_trials_and_seeds():
    flat = [0.5] * 49 + [0.9] * 151
    quick = [0.5] * 9 + [0.9] * 90 + [1.0] * 101
    runs = {
        "random": [_run("random", 0, flat), _run("random", 1, flat, 120)],
        "quick": [_run("quick", 0, quick, 50), _run("quick", 1, quick, 51)],
    }
    quick, usual = summaries(runs)
    assert (quick.contender, quick.needed, usual.needed, quick.ratio) == ("quick", 10, 50, 0.2)
    assert (quick.top, usual.top) == ({50: 1, 200: 2}, {50: 0, 200: 1})
    assert (quick.behind, usual.behind) == (0, pytest.approx(0.4))
    assert quick.mean == pytest.approx({25: 0.9, 50: 0.9, 100: 1.0, 200: 1.0})
    assert "| `quick` | 0.900 (0.900) | 0.900 (0.900) | 1.000 (1.000) |" in markdown([quick, usual])


@needs_digits
def test_the_command_goes_on_and_writes_its_table_into_the_page(tmp_path):
    docs = tmp_path / "search.md"
    docs.write_text("before\n<!-- search -->\nold\n<!-- end of search -->\nafter\n")
    options = ["--table", "digits", "--only", "random", "--trials", "30", "--docs", str(docs)]
    options += ["--runs", str(tmp_path / "runs"), "--json", str(tmp_path / "json")]
    first = CliRunner().invoke(main, [*options, "--seeds", "1"], catch_exceptions=False)
    assert first.stderr.splitlines() == [
        "digits accuracy+size random 0",
        "digits accuracy+size+macs random 0",
    ]
    more = CliRunner().invoke(main, [*options, "--seeds", "2"], catch_exceptions=False)
    assert more.stderr.splitlines() == ["digits accuracy+size random 1", "digits accuracy+size+macs random 1"]
    assert more.stdout in docs.read_text()
    assert docs.read_text().startswith("before\n<!-- search -->\n`python -m benchmarks.search`, 20")
    assert docs.read_text().endswith("<!-- end of search -->\nafter\n")
    assert "old" not in docs.read_text()
    with pytest.raises(ValueError, match="has no <!-- other -->"):
        write_block(docs, "other", "")


def test_asks_are_timed_in_a_ledger(tmp_path):
    told = CliRunner().invoke(
        speed.main, ["--counts", "5", "--only", "random", "--asks", "2"], catch_exceptions=False
    )
    name, cell = (part.strip() for part in told.stdout.splitlines()[-1].strip("|").split("|"))
    assert name == "`random`"
    assert float(cell.split()[0]) > 0

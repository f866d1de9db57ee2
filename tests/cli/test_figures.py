"""The figures: what each draws of which trials, and that the ledger's text cannot become markup."""

from dataclasses import replace
from typing import Any

import pytest

from nas.figures.data import (
    pareto_data,
    training_curve,
    why_no_pareto,
    workload_bars,
)
from nas.figures.labels import workload_label
from nas.figures.layers import count_precisions, layer_rows
from nas.figures.search import FRONT, add_title, pareto_figure
from nas.figures.trial import training_figure
from nas.formatting import milliseconds, percent
from nas.ledger import EpochRecord, Ledger, SearchRecord, TrialRecord, non_dominated
from search_spaces.errors import InvalidInput
from tests.cli.filled_ledger import CONFIG, DISTURBED, INFEASIBLE, architecture_json

Loaded = tuple[SearchRecord, list[TrialRecord]]


@pytest.fixture(scope="module")
def loaded(storage: str) -> Loaded:
    """The search ``demo`` and its trials."""
    with Ledger.open(storage) as ledger:
        return ledger.search("demo"), ledger.trials("demo")


def draw(search: SearchRecord, trials: list[TrialRecord]) -> Any:
    """The Pareto figure."""
    return pareto_figure(pareto_data(search, trials, non_dominated(trials)))


def traces(figure: Any) -> dict[str, Any]:
    """The figure's traces by name."""
    return {trace.name: trace for trace in figure.data}


def test_every_point_carries_its_trial(loaded: Loaded) -> None:
    search, trials = loaded
    by_name = traces(draw(search, trials))
    by_number = {trial.number: trial for trial in trials}
    seen: list[int] = []
    for name in (FRONT, "dominated"):
        trace = by_name[name]
        for number, x, y, size in zip(trace.customdata, trace.x, trace.y, trace.marker.color, strict=True):
            trial = by_number[number]
            assert (trial.latency_ms, trial.accuracy, trial.size_kb) == (x, y, size)
        seen += trace.customdata
    assert sorted(seen) == [trial.number for trial in trials if trial.state == "complete"]
    assert sorted(by_name[FRONT].customdata) == sorted(t.number for t in non_dominated(trials))


def test_trials_without_accuracy_are_ticks_below(loaded: Loaded) -> None:
    search, trials = loaded
    figure = draw(search, trials)
    by_name = traces(figure)
    assert list(by_name["infeasible"].x) == sorted(INFEASIBLE)
    for state in ("infeasible", "pruned", "failed", "running"):
        assert by_name[state].yaxis == "y2"
        expected = {trial.number for trial in trials if trial.state == state}
        assert set(by_name[state].customdata) == expected
    assert "queued" not in by_name
    assert figure.layout.yaxis2.domain[1] < figure.layout.yaxis.domain[0]


def test_staircase_holds_the_most_accurate_up_to_each_latency(loaded: Loaded) -> None:
    search, trials = loaded
    line = traces(draw(search, trials))["best accuracy up to this latency"]
    assert line.line.shape == "hv"
    for x, y in zip(line.x, line.y, strict=True):
        assert y == max(t.accuracy for t in trials if t.accuracy is not None and t.latency_ms <= x)
    assert list(line.x) == sorted(line.x)


def test_front_member_that_is_only_small_is_off_the_staircase(loaded: Loaded) -> None:
    search, trials = loaded
    slow = next(trial for trial in trials if trial.number == 13)
    small = [replace(t, size_kb=0.1) if t is slow else t for t in trials]
    data = pareto_data(search, small, non_dominated(small))
    assert 13 in {point.number for point in data.front}
    assert 13 not in {point.number for point in data.best}


def test_measured_latency_is_drawn_beside_the_predicted_one(loaded: Loaded) -> None:
    search, trials = loaded
    drawn = traces(draw(search, trials))
    measured = [t for t in non_dominated(trials) if t.measured_latency_ms is not None]
    worthless = [t for t in measured if t.number == DISTURBED]
    assert worthless
    good = [t for t in measured if t not in worthless]
    for name, there in (("measured latency", good), ("measured on a disturbed machine", worthless)):
        trace = drawn[name]
        pairs = list(zip(trace.x[0::3], trace.x[1::3], trace.y[0::3], strict=True))
        assert sorted(pairs) == sorted((t.latency_ms, t.measured_latency_ms, t.accuracy) for t in there)
    assert drawn["measured on a disturbed machine"].line.dash == "dot"


def test_limit_is_a_line_and_in_range(loaded: Loaded) -> None:
    search, trials = loaded
    figure = draw(search, trials)
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == CONFIG.max_latency_ms
    assert "limit 0.300 ms" in figure.layout.annotations[0].text
    low, high = figure.layout.xaxis.range
    latencies = [trial.latency_ms for trial in trials if trial.latency_ms is not None]
    assert low <= min(latencies)
    assert high >= max(latencies)
    free = replace(search, config=replace(CONFIG, max_latency_ms=None))
    assert not draw(free, trials).layout.shapes


def test_wide_latencies_get_a_logarithmic_axis(loaded: Loaded) -> None:
    search, trials = loaded
    wide = [
        replace(t, latency_ms=t.latency_ms * 100) if t.number == 14 else t for t in trials if t.latency_ms
    ]
    figure = draw(search, wide)
    assert figure.layout.xaxis.type == "log"
    assert 10 ** figure.layout.xaxis.range[1] > 34
    assert figure.layout.annotations[0].x == pytest.approx(-0.523, abs=0.001)  # log10(0.3)


def test_nothing_to_draw_says_why(loaded: Loaded, storage: str) -> None:
    with Ledger.open(storage) as ledger:
        search, trials = ledger.search("empty"), ledger.trials("empty")
    assert why_no_pareto(search, pareto_data(search, trials, [])) == (
        "No trial of 'empty' has a latency yet (2 queued)"
    )
    search, trials = loaded
    assert why_no_pareto(search, pareto_data(search, trials, [])) is None


@pytest.mark.parametrize("kept", ["complete", "infeasible", "running"])
def test_one_trial_alone_can_be_drawn(loaded: Loaded, kept: str) -> None:
    search, trials = loaded
    one = next(trial for trial in trials if trial.state == kept)
    figure = draw(search, [one])
    low, high = figure.layout.xaxis.range
    assert low < one.latency_ms < high


def test_text_of_the_ledger_cannot_become_markup(loaded: Loaded) -> None:
    search, trials = loaded
    bad = replace(trials[0], digest="<b>x", architecture='{"<script>": 1}')
    figure = draw(search, [bad])
    add_title(figure, "<script>")
    hover = traces(figure)[FRONT].hovertext[0]
    assert "&lt;b&gt;x" in hover
    assert "unreadable architecture" in hover
    assert figure.layout.title.text == "&lt;script&gt;"
    assert "</script><" not in figure.to_json()


def test_layers_are_read_from_the_architecture() -> None:
    rows = layer_rows(architecture_json(7))
    assert [row.part for row in rows] == ["stem", "block 1", "block 2", "block 3", "head"]
    assert rows[1].kind == "shuffle"
    assert rows[1].groups == 4
    assert dict(rows[1].precisions) == {"reduce": "ternary", "depthwise": "int8", "expand": "float"}
    assert rows[-1].width == 10
    assert count_precisions(architecture_json(7)).startswith("float \N{MULTIPLICATION SIGN}5, ")
    with pytest.raises(InvalidInput, match="architecture"):
        layer_rows("{}")


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("conv2d(batch=1,height=8,width=9,kernel=3,stride=2,padding=1,in_channels=1,out_channels=16,groups=4,"
         "weight=float,input=int8,relu=False)", "conv2d 3x3 /2 1→16 g4 @8x9 float/int8"),
        ("dense(batch=1,in_features=32,out_features=10,weight=float,input=float)", "dense 32→10 float/float"),
        ("concat(batch=1,pixels=64,channels=(16, 32))", "concat 16+32 @64"),
        ("quantize(batch=1,size=512,code=uint8)", "quantize 512 uint8"),
        ("another-plugin's kernel", "another-plugin's kernel"),
    ],
)  # fmt: skip
def test_workload_keys_in_short(key: str, label: str) -> None:
    assert workload_label(key).replace("\N{MULTIPLICATION SIGN}", "x") == label


def test_equal_workloads_are_one_bar() -> None:
    bars = workload_bars([("a", 1.0), ("b", 1.5), ("a", 2.0)])
    assert [(bar.workload, bar.uses, bar.milliseconds) for bar in bars] == [("a", 2, 3.0), ("b", 1, 1.5)]


def test_training_is_in_the_order_of_epochs() -> None:
    curve = training_curve([EpochRecord(2, 0.5, 0.9, 1.0), EpochRecord(1, 1.0, 0.8, 1.0)])
    assert curve == ((1, 2), (0.8, 0.9), (1.0, 0.5))
    by_name = traces(training_figure(curve))
    assert list(by_name["accuracy"].y) == [0.8, 0.9]
    assert list(by_name["training loss"].y) == [1.0, 0.5]


def test_numbers_keep_what_counts() -> None:
    told = [milliseconds(value) for value in (None, 0.0, 0.00412, 0.11, 12.34, 153.2, 1530.0, 0.000041)]
    assert told == ["—", "0.000000", "0.00412", "0.110", "12.3", "153", "1530", "0.000041"]
    assert [percent(value) for value in (None, 0.0, 0.9725, 1.0)] == ["—", "0.0%", "97.2%", "100.0%"]


def test_layers_are_named_whole_and_in_milliseconds() -> None:
    from nas.figures.latency import bars

    name = "stages_1_blocks_2_a_depthwise_convolution_of_long_name"
    rows = [{"layer": name, "milliseconds": 0.00045 * (i + 1), "how": "measured"} for i in range(40)]
    figure = bars(rows, "demo:19 on local")
    assert (figure.layout.yaxis.automargin, figure.layout.yaxis.dtick) == (True, 1)
    assert figure.layout.xaxis.exponentformat == "none"

"""A front in any objectives: its knee, its hypervolume and reference, its history, its figures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

import nas
from nas.analysis.pareto import Step, knee, pareto_of, shown_config
from nas.cli.main import cli
from nas.cli.pareto import told_steps
from nas.figures.data import axes_of, pareto_data
from nas.ledger import SearchConfig, TrialState
from nas.ledger.records import SearchRecord, TrialRecord, config_from_dict
from nas.objectives import objective
from search_spaces.errors import InvalidInput
from tests.cli.filled_ledger import fill

CONFIG = SearchConfig("tiny", "digits", "local", trials=9, epochs=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def trial(number: int, accuracy: float, latency: float, size: float, ended: int | None = None) -> TrialRecord:
    at = START + timedelta(seconds=number if ended is None else ended)
    return TrialRecord(
        "demo",
        number,
        TrialState.COMPLETE,
        accuracy=accuracy,
        latency_ms=latency,
        size_kb=size,
        finished_at=at,
    )


def in_plane(points: Sequence[tuple[float, float]]) -> list[TrialRecord]:
    """Trials of an accuracy and a latency."""
    return [trial(number, accuracy, latency, 1.0) for number, (accuracy, latency) in enumerate(points)]


PLANE = replace(CONFIG, objectives=("accuracy", "latency"))


def test_the_knee_is_farthest_from_the_line_through_the_extremes() -> None:
    bent = in_plane([(0.5, 1.0), (0.9, 2.0), (0.94, 3.0), (0.95, 5.0)])
    found = pareto_of(bent, PLANE).knee
    assert found is not None and found.number == 1
    scaled = [replace(t, latency_ms=1000 * (t.latency_ms or 0)) for t in bent]
    found = pareto_of(scaled, PLANE).knee
    assert found is not None and found.number == 1, "whatever the units are"


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0.9, 1.0)],
        [(0.5, 1.0), (0.9, 2.0)],
        [(0.5, 1.0), (0.6, 2.0), (0.7, 3.0)],
        [(0.5, 1.0), (0.55, 2.0), (0.9, 3.0)],
        [(0.5, 1.0), (0.5, 1.0), (0.5, 1.0)],
    ],
    ids=["none", "one", "two", "line", "outwards", "equal"],
)
def test_there_is_no_knee_where_none_stands_out(points: list[tuple[float, float]]) -> None:
    assert pareto_of(in_plane(points), PLANE).knee is None


def test_the_knee_of_three_objectives_is_farthest_from_the_plane() -> None:
    extremes = [trial(0, 0.9, 9.0, 9.0), trial(1, 0.5, 1.0, 9.0), trial(2, 0.5, 9.0, 1.0)]
    inside = [trial(3, 0.75, 5.0, 5.0), trial(4, 0.8, 3.0, 3.0)]
    named = [objective(name) for name in CONFIG.objectives]
    found = knee([*extremes, *inside], named)
    assert found is not None and found.number == 4
    both = trial(5, 0.45, 0.9, 0.9)  # the best in two objectives: the extremes give no plane
    found = knee([extremes[0], both, *inside], named)
    assert found is not None and found.number == 4


def test_the_hypervolume_is_what_the_front_dominates_up_to_the_reference() -> None:
    trials = in_plane([(0.5, 1.0), (0.9, 2.0), (0.4, 3.0)])
    found = pareto_of(trials, PLANE, {"accuracy": 0.4, "latency_ms": 3.0}).hypervolume
    assert found is not None
    assert found.value == pytest.approx(0.1 * 2.0 + 0.4 * 1.0)
    assert found.share == pytest.approx(found.value / (0.5 * 2.0))
    assert found.reference == {"accuracy": 0.4, "latency": 3.0}
    assert found.best == {"accuracy": 0.9, "latency": 1.0}
    usual = pareto_of(trials, PLANE).hypervolume
    assert usual is not None
    assert usual.reference == pytest.approx({"accuracy": 0.35, "latency": 3.2}), "a tenth beyond the worst"
    (alone,) = pareto_of(trials[:1], PLANE).history
    assert alone.share == pytest.approx(1.0)
    assert pareto_of([], PLANE).hypervolume is None


def test_the_history_goes_in_the_order_in_which_trials_ended() -> None:
    trials = [trial(0, 0.9, 2.0, 1.0, ended=7), trial(1, 0.5, 1.0, 1.0), trial(2, 0.4, 3.0, 1.0, ended=9)]
    found = pareto_of(trials, PLANE)
    assert [(step.trained, step.number) for step in found.history] == [(1, 1), (2, 0), (3, 2)]
    shares = [step.share for step in found.history]
    assert shares[0] < shares[1] == shares[2]
    assert found.hypervolume is not None and shares[-1] == pytest.approx(found.hypervolume.share)


def test_what_is_over_a_limit_counts_nowhere() -> None:
    trials = in_plane([(0.5, 1.0), (0.9, 2.0)])
    found = pareto_of(trials, replace(PLANE, max_latency_ms=1.5))
    assert [t.number for t in found.front] == [0]
    assert [step.number for step in found.history] == [0]


def test_a_front_is_shown_in_any_objectives_that_have_values() -> None:
    trials = [trial(0, 0.9, 2.0, 9.0), trial(1, 0.8, 1.0, 9.5)]

    def shown(config: SearchConfig, objectives: list[str]) -> SearchConfig:
        return shown_config(SearchRecord("demo", config, datetime.now(UTC), {}), objectives)

    assert [t.number for t in pareto_of(trials, shown(CONFIG, ["accuracy", "size_kb"])).front] == [0]
    with pytest.raises(InvalidInput, match="no complete trial of 'demo' has a value of latency@pi"):
        pareto_of(trials, shown(CONFIG, ["accuracy", "latency@pi"]))
    with pytest.raises(InvalidInput, match="objectives: unknown name 'speed'"):
        shown(CONFIG, ["speed"])
    with pytest.raises(InvalidInput, match="reference: 'size' is not shown; give one of accuracy, latency"):
        pareto_of(trials, PLANE, {"size": 1.0})
    of_plug_in = config_from_dict({**CONFIG.to_dict(), "objectives": ["accuracy", "blocks"]})
    with pytest.raises(InvalidInput, match="unknown name 'blocks'"):
        pareto_of(trials, of_plug_in)
    assert pareto_of(trials, shown(of_plug_in, ["accuracy", "size"])).front


def test_more_than_three_objectives_have_a_front_and_no_hypervolume() -> None:
    trials = [replace(trial(0, 0.9, 2.0, 9.0), costs={})]
    config = replace(CONFIG, objectives=("accuracy", "latency", "size", "latency@pi"))
    with pytest.raises(InvalidInput):
        pareto_of(trials, config)
    four = [replace(trials[0], costs={"latency@pi": objective("size").of(trials[0])})]  # type: ignore[dict-item]  # it has a size
    found = pareto_of(four, config)
    assert (len(found.front), found.hypervolume, found.history) == (1, None, ())


@pytest.mark.parametrize(
    ("objectives", "drawn"),
    [
        (("accuracy", "latency", "size"), ("latency", "accuracy", "size")),
        (("macs", "accuracy"), ("macs", "accuracy", "latency")),
        (("size", "macs"), ("macs", "size", "latency")),
        (("latency",), ("size", "latency", None)),
        (("accuracy",), ("latency", "accuracy", "size")),
    ],
)
def test_accuracy_is_drawn_upwards_wherever_it_is_named(
    objectives: tuple[str, ...], drawn: tuple[str | None, ...]
) -> None:
    axes = axes_of(replace(CONFIG, objectives=objectives))
    assert tuple(axis and axis.name for axis in axes) == drawn


def test_history_is_told_at_a_few_of_its_steps() -> None:
    steps = [Step(number + 1, number, 1.0) for number in range(250)]
    assert [s.trained for s in told_steps(steps)] == [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 250]
    assert len(told_steps([Step(n + 1, n, 1.0) for n in range(10_000)])) < 30
    assert [s.trained for s in told_steps(steps[:4])] == [1, 2, 3, 4]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill(tmp_path_factory.mktemp("pareto") / "nas.db")


def test_the_command_and_python_show_the_same(storage: str, tmp_path: Path) -> None:
    def run(*options: str, code: int = 0) -> tuple[str, str]:
        ran = CliRunner().invoke(cli, ["pareto", "demo", "--storage", storage, *options])
        assert ran.exit_code == code, ran.output
        return ran.stdout, ran.stderr

    pair = ["--objective", "size", "--objective", "accuracy"]
    data = json.loads(run(*pair, "--json")[0])
    result = nas.load(storage, "demo")
    found = result.pareto(["size", "accuracy"])
    assert sorted(t.number for t in found.front) == sorted(t["number"] for t in data["front"])
    assert (data["objectives"], data["knee"]) == (["size", "accuracy"], found.knee and found.knee.number)
    assert len(data["history"]) == len(result.trials("complete"))
    assert result.hypervolume(["size", "accuracy"]) == found.hypervolume
    assert result.knee == result.pareto().knee is not None

    target = tmp_path / "front.html"
    table, told = run(*pair, "--history", "--reference", "size=50kB", "--plot", str(target))
    (marked,) = [line for line in table.splitlines() if line.endswith("knee")]
    assert marked.split()[0] == str(data["knee"])
    assert "Hypervolume by trials trained" in table
    assert "from size 50.00 kB, accuracy" in told and "(reference)" in told
    page = target.read_text()
    assert page.count("Plotly.newPlot(") == 2 and page.rstrip().endswith("</html>")
    assert "demo: hypervolume" in page and "accuracy against size" in page

    four = [word for name in ("accuracy", "latency", "size", "macs") for word in ("--objective", name)]
    for asked in (["--history"], ["--reference", "size=50kB"]):
        told = run(*four, *asked)[1]
        assert told.startswith(
            "No hypervolume and no history of it: these are 4 objectives, and it is of 3 at"
        )
    assert "No hypervolume" not in run(*four)[1] + run(*pair, "--history")[1]

    for wrong, message in (
        ([*pair, "--objective", "size"], "Error: --objective: 'size' is given twice; give it once\n"),
        (["--objective", "speed"], "Error: --objective: unknown name 'speed'"),
        (["--objective", "latency@pi"], "Error: --objective: no complete trial of 'demo' has a value of"),
        (["--reference", "macs=3"], "Error: --reference: 'macs' is not shown; give one of accuracy, "),
    ):
        assert run(*wrong, code=2)[1].startswith(message)


def test_stairs_of_what_is_better_the_larger_it_is_go_leftwards() -> None:
    config = replace(CONFIG, objectives=("size", "accuracy"))
    record = SearchRecord("demo", config, START, {})
    trials = [trial(0, 0.9, 2.0, 9.0), trial(1, 0.8, 1.0, 9.5), trial(2, 0.7, 1.0, 3.0)]
    assert [p.number for p in pareto_data(record, trials, trials).best] == [2, 0]

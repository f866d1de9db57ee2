"""A search's figures by name: each draws what the ledger says, or says why it does not."""

from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest

import nas
from nas.analysis.search_figures import FIGURES
from nas.figures.importance import explained
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from search_spaces.errors import BitnasError, InvalidInput
from tests.cli.filled_ledger import COMPLETE, CONFIG, fill, propose

PAUSED = 0.31
"""The accuracy of the trial that is paused."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill(tmp_path_factory.mktemp("ledger") / "nas.db")


@pytest.fixture
def result(storage: str) -> nas.Result:
    return nas.load(storage, "demo")


def test_each_figure_is_titled_and_draws_the_trials(result: nas.Result) -> None:
    accuracies = sorted([PAUSED, *(row[0] for row in COMPLETE)])
    drawn = [name for name in FIGURES if name != "importance"]
    figures = {name: result.figure(name) for name in drawn}
    assert all(isinstance(figure, go.Figure) for figure in figures.values())
    assert all(figure.layout.title.text.startswith("demo: ") for figure in figures.values())
    assert figures["progress"].data[0].x[-1] == len(COMPLETE)
    assert len(figures["parallel"].data[0].dimensions[-1]["values"]) == len(accuracies)
    (box,) = figures["options"].data
    assert box.name == f"shuffle ({len(accuracies)})" and sorted(box.y) == accuracies
    ends = {trace.y[-1] for trace in figures["curves"].data if len(trace.y) == 3}
    assert ends == {row[0] for row in COMPLETE}
    bars = {trace.name: len(trace.x) for trace in figures["timeline"].data}
    assert bars == {"complete": len(COMPLETE), "infeasible": 6, "pruned": 1, "failed": 1}
    latencies = result.figure("options", of="latency", by="stage1.block")
    assert latencies.layout.yaxis.title.text == "Predicted latency (ms)" and len(latencies.data[0].y) > len(
        COMPLETE
    )


def test_what_cannot_be_drawn_says_why(result: nas.Result, storage: str) -> None:
    names = "front, progress, parallel, importance, options, curves, timeline"
    with pytest.raises(InvalidInput, match=rf"^name: 'frnt' is not known; give one of {names}$"):
        result.figure("frnt")
    with pytest.raises(
        InvalidInput, match=r"^of: the figure 'front' takes none; leave it out, or ask for imp"
    ):
        result.figure(of="latency")
    with pytest.raises(InvalidInput, match=r"^by: 'block' is not known; give one of stage1.block$"):
        result.figure("options", by="block")
    with pytest.raises(InvalidInput, match=r"^of: 'macs' is not known; give one of accuracy, latency, size"):
        result.figure("importance", of="macs")
    with pytest.raises(BitnasError, match="a choice with two options"):
        result.figure("importance")
    for name in FIGURES:
        with pytest.raises(BitnasError, match=r"^[a-z]+: .*(yet|wait|needed|takes)"):
            nas.load(storage, "empty").figure(name)


def test_where_all_trials_failed_that_is_said(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'nas.db'}"
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", replace(CONFIG, trials=1))
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        propose(claims, claim, 0.1, 5.0)
        claims.finish(claim, TrialState.FAILED, error="x")
    for name in ("importance", "options"):
        with pytest.raises(BitnasError, match=r"^figure: no trial has a value of accuracy yet; wait"):
            nas.load(storage, "demo").figure(name)


def test_importance_is_the_share_of_the_variance_between_options() -> None:
    frame = {
        "columns": {"accuracy": [0.1, 0.1, 0.9, 0.9, None]},
        "choices": [
            {"name": "noise", "options": ["a", "b"], "taken": [0, 1, 0, 1, 0]},
            {"name": "all", "options": ["a", "b"], "taken": [0, 0, 1, 1, 1]},
            {"name": "one", "options": ["a"], "taken": [0, 0, 0, 0, 0]},
        ],
    }
    assert explained(frame, "accuracy") == [("all", pytest.approx(1.0)), ("noise", pytest.approx(0.0))]
    frame["columns"]["accuracy"] = [0.5] * 5
    assert explained(frame, "accuracy") == []

"""What the views of a search show: columns that say what the ledger says, and nothing that JSON cannot."""

import json
from pathlib import Path

import pytest

from nas.analysis.pareto import pareto_of
from nas.analysis.search_data import SearchData
from nas.figures.frame import MEASURED, NO_OPTION
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from tests.cli.filled_ledger import fill, propose


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.open(fill(tmp_path / "nas.db")) as ledger:
        yield ledger


def test_columns_hold_what_the_trials_have(ledger: Ledger) -> None:
    frame = SearchData(ledger, "demo").frame()
    json.dumps(frame, allow_nan=False)
    columns, trials = frame["columns"], [t for t in ledger.trials("demo") if t.digest]
    assert columns["number"] == [trial.number for trial in trials]
    assert columns["state"] == [str(trial.state) for trial in trials]
    assert columns["accuracy"] == [trial.accuracy for trial in trials]
    assert columns["latency"] == [trial.latency_ms for trial in trials]
    assert columns[MEASURED] == [trial.measured_latency_ms for trial in trials]
    assert frame["front"] == [trial.number for trial in ledger.front("demo")]
    assert [axis["name"] for axis in frame["axes"]] == ["accuracy", "latency", "size", MEASURED]
    assert frame["begins"] == {"x": "latency", "y": "accuracy", "colour": "size"}
    limits = {axis["name"]: axis["limit"] for axis in frame["axes"]}
    assert limits["latency"] == 0.3 and limits["size"] is None
    assert frame["choices"] == [
        {"name": "stage1.block", "options": ["shuffle"], "taken": [0] * len(trials)},
    ]
    assert [frame["workers"][place] for place in columns["worker"] if place != NO_OPTION]
    assert any("disturbed" in note for note in columns["note"])


def test_a_search_without_trials_has_empty_columns(ledger: Ledger) -> None:
    data = SearchData(ledger, "empty")
    assert data.frame()["axes"] == [] and data.frame()["columns"]["number"] == []
    assert data.history()["steps"] == [] and data.history()["why"]
    assert data.curves()["curves"] == {} and data.drawings() == {"parts": [], "of": {}}


def test_the_tag_changes_with_the_trials_and_with_nothing_else(ledger: Ledger) -> None:
    data = SearchData(ledger, "demo")
    first, tag = data.frame(), data.tag
    assert data.frame() is first and data.tag == tag
    claims = Claims(ledger, "demo", Worker.this_process())
    claim = claims.claim()
    assert claim is not None
    propose(claims, claim, 0.15, 2.0)
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.999)
    assert claim.trial.number in data.frame()["front"] and data.tag != tag


def test_history_and_curves_are_those_of_the_ledger(ledger: Ledger) -> None:
    data = SearchData(ledger, "demo")
    found = pareto_of(ledger.trials("demo"), ledger.search("demo").config)
    assert data.history()["steps"] == [(step.number, round(step.share, 5)) for step in found.history]
    curves = data.curves()
    assert curves["of"] == len(curves["curves"])
    for number, curve in curves["curves"].items():
        assert curve == [(e.epoch, e.accuracy) for e in ledger.epochs("demo", number)]


def test_drawings_share_their_parts(ledger: Ledger) -> None:
    drawings = SearchData(ledger, "demo").drawings()
    used = [place for places in drawings["of"].values() for place in places]
    assert set(used) == set(range(len(drawings["parts"]))) and len(used) > len(drawings["parts"])
    first = [drawings["parts"][place] for place in drawings["of"][0]]
    assert (first[0]["short"], first[-1]["short"]) == ("stem", "head")
    assert [part["side"] for part in first] == [8, 8, 4, 1]
    json.dumps(drawings)


def test_a_password_is_on_no_page(ledger: Ledger) -> None:
    from nas.figures.frame import frame_of

    search, trials = ledger.search("demo"), ledger.trials("demo")
    told = frame_of(search, trials, [], "postgresql+psycopg://nas:secret@host/nas")["export"]
    assert "secret" not in told and told.startswith("nas export demo --trial NUMBER")

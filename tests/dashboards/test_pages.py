"""What the pages hold, without a browser: cards, problems, and reading afresh."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboards import trial_costs
from dashboards.app import create_app, render
from dashboards.command import dashboard
from dashboards.routes import (
    PATTERNS,
    Route,
    artifact_path,
    device_path,
    parse,
    search_path,
    searches_compared_path,
    trial_path,
    trials_compared_path,
)
from dashboards.titles import TITLES
from dashboards.views import View
from nas.hints import command
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.ledger.migrate import newest
from nas.objectives import ObjectiveValue, objectives
from nas.objectives.macs import Macs
from search_spaces.errors import BitnasError
from tests.cli.filled_ledger import CONFIG, architecture_json


def text(storage: str, path: str) -> str:
    """A page as the JSON that goes to the browser."""
    return json.dumps(json.loads(PlotlyJSONEncoder().encode(render(storage, path)[0])), ensure_ascii=False)


def test_list_of_searches(storage: str) -> None:
    page = text(storage, "/")
    assert '"href": "/search/demo"' in page
    assert "22 of 26" in page
    assert "98.1%" in page, "the best within the limits: that of trial 10 is over them"


def test_search_page(storage: str) -> None:
    page = text(storage, "/search/demo")
    for told in ("22 of 26 trials finished", "14 complete", "6 infeasible", "3 epochs"):
        assert told in page
    assert '"latency at most 0.300 ms"' in page
    assert '"id": "explorer"' in page and '"data-search": "demo"' in page and '"data-live": "yes"' in page
    assert '"id": "trials"' in page


def test_every_page_has_a_title_of_its_own(storage: str) -> None:
    assert TITLES.keys() == PATTERNS.keys()
    for path, title in (
        ("/search/demo", "demo"),
        ("/search/demo/trial/6", "Trial 6 of demo"),
        ("/nowhere", "No such page"),
    ):
        assert f'"data-title": "{title}"' in text(storage, path)


def test_trial_page(storage: str) -> None:
    page = text(storage, "/search/demo/trial/6")
    for told in ("97.4%", "0.152 ms", "0.149 ms", "11.30 kB", "separable", "depthwise ", "dithered"):
        assert told in page
    assert '"id": "workloads"' in page
    assert '"id": "training"' in page
    assert "/search/demo/trial/5" in page
    assert "/search/demo/trial/7" in page


OLD = Path(__file__).parents[1] / "nas" / "schemas" / "r0013.sql"
OTHER = "other"
"""A search whose objectives are not the usual ones."""


def _searched_for(storage: str, *more: str) -> None:
    """Add a search with further objectives, every kind of limit, and one complete trial."""
    config = replace(
        CONFIG,
        trials=2,
        max_memory_kb=20.0,
        max_macs=200_000.0,
        objectives=("accuracy", "memory", "latency@pi", *more),
        limits={"accuracy": 0.9, "latency@pi": 2.0, **dict.fromkeys(more, 9.0)},
    )
    pi = ObjectiveValue(0.5, 0.4, 0.7, estimated=1)
    costs = {"memory": ObjectiveValue.exact(11.97), "macs": ObjectiveValue.exact(149_568.0), "latency@pi": pi}
    costs |= {name: ObjectiveValue.exact(3.0) for name in more}
    with Ledger.open(storage) as ledger:
        ledger.create_search(OTHER, config)
        claims = Claims(ledger, OTHER, Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        claims.propose(claim, choices={}, architecture=architecture_json(0), digest="ab" * 32)
        cost = Cost(0.1, 9.5, [("a", 0.1)], estimated=["a"], latency_low_ms=0.08, latency_high_ms=0.13)
        claims.record_cost(claim, replace(cost, costs=costs))
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.95)


def test_limits_and_costs_are_named(own_storage: str) -> None:
    _searched_for(own_storage)
    page = text(own_storage, f"/search/{OTHER}")
    limits = ("accuracy at least 90.0%", "memory at most 20.00 kB", "MACs at most 200,000")
    for told in (*limits, "latency at most 0.300 ms", "latency on pi at most 2.00 ms"):
        assert f'"{told}"' in page


def test_a_trial_shows_all_of_its_costs(own_storage: str) -> None:
    _searched_for(own_storage)
    page = text(own_storage, f"/search/{OTHER}/trial/0")
    for told in ("Memory", "11.97 kB", "MACs", "149,568", "Latency on pi", "0.500 ms"):
        assert f'"{told}"' in page
    assert '"0.400 to 0.700, 1 kernel estimated"' in page
    assert '"0.0800 to 0.130 ms, 1 kernel estimated"' in page


def test_an_objective_that_is_not_here_is_told_and_takes_nothing_else(
    own_storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as plugin:
        blocks = Macs()
        blocks.name, blocks.limit = "blocks", ""
        plugin.setitem(objectives._things, "blocks", blocks)
        _searched_for(own_storage, "blocks")
    missing = "Objective 'blocks' is not known here"
    page = text(own_storage, "/")
    assert '"href": "/search/demo"' in page and f'"href": "/search/{OTHER}"' in page
    assert page.count(missing) == 1
    page = text(own_storage, f"/search/{OTHER}")
    assert missing in page and "1 of 2 trials finished" in page and "memory at most 20.00 kB" in page
    page = text(own_storage, f"/search/{OTHER}/trial/0")
    assert missing in page and '"id": "workloads"' in page and "11.97 kB" in page
    assert missing not in text(own_storage, "/search/demo")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (14, "over a limit, so never trained"),
        (20, "stopped early"),
        (22, "out of\\nmemory"),
        (23, "still running"),
        (25, "not started yet"),
        (25, "No architecture has been chosen yet (the trial is queued)."),
        (25, "Nothing has been timed yet (the trial is queued)."),
        (1, "only the front is measured"),
        (6, "0.147 to 0.151 ms by repeats"),
        (8, "machine disturbed: most samples were disturbed"),
    ],
)
def test_a_missing_figure_comes_with_its_reason(storage: str, number: int, told: str) -> None:
    page = text(storage, f"/search/demo/trial/{number}")
    assert told in page
    assert "This cannot be shown" not in page


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/search/nope", "there is no search 'nope'; the ledger holds: demo, empty"),
        ("/search/demo/trial/26", "'demo' has no trial 26; give a number in 0..25"),
        ("/search/demo/trial/-1", "Nothing lives at"),
        ("/nowhere", "Nothing lives at /nowhere."),
        ("/search/%3Cscript%3E", "there is no search '<script>'"),
    ],
)
def test_unknown_addresses_get_a_clear_page(storage: str, path: str, told: str) -> None:
    page = text(storage, path)
    assert told in page
    assert "All searches" in page


def test_a_ledger_that_does_not_open_gets_a_clear_page(tmp_path: Path) -> None:
    page = text(f"sqlite:///{tmp_path / 'none.db'}", "/")
    assert "The ledger cannot be read" in page
    assert "there is no database at" in page
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", [BitnasError("the disk is gone"), ZeroDivisionError("the disk is gone")])
def test_a_view_that_fails_takes_only_its_own_card(
    storage: str, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(_rows: object) -> None:
        raise fault

    monkeypatch.setattr(trial_costs, "whole_times", fail)
    page = text(storage, "/search/demo/trial/6")
    assert "the disk is gone" in page
    assert '"id": "workloads"' not in page
    assert '"id": "training"' in page


def test_view_does_not_draw_what_is_not_ready() -> None:
    drawn: list[int] = []
    view = View("T", lambda: 7, lambda data: f"{data} is too few", drawn.append)
    assert "7 is too few" in PlotlyJSONEncoder().encode(view.show())
    assert drawn == []


def test_the_ledger_is_read_afresh(own_storage: str) -> None:
    assert "22 of 26" in text(own_storage, "/search/demo")
    with Ledger.open(own_storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        claims.finish(claim, TrialState.FAILED, error="x")
    assert "23 of 26" in text(own_storage, "/search/demo")


def test_only_what_may_change_is_live(own_storage: str) -> None:
    assert render(own_storage, "/")[1]
    assert render(own_storage, "/search/demo/trial/1")[1]
    assert not render(own_storage, "/nowhere")[1]
    with Ledger.open(own_storage) as ledger:
        claims = Claims(ledger, "empty", Worker.this_process())
        while claim := claims.claim():
            claims.finish(claim, TrialState.FAILED, error="x")
    assert not render(own_storage, "/search/empty")[1]


def test_showing_writes_nothing(own_storage: str) -> None:
    def rows() -> object:
        with Ledger.open(own_storage) as ledger:
            return [(ledger.search(n), ledger.trials(n)) for n in ("demo", "empty")]

    before = rows()
    for path in ("/", "/search/demo", "/search/demo/trial/23", "/search/empty"):
        render(own_storage, path)
    assert rows() == before


def test_an_older_ledger_is_told_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "nas.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
    storage, before = f"sqlite:///{file}", file.read_bytes()
    upgrade = command("db", "upgrade", storage=storage)
    told = f"is of an older version of bitnas (0013, this one's is {newest()}); {upgrade} brings"
    assert told in text(storage, "/") and told in text(storage, "/search/demo")
    assert told in create_app(storage).server.test_client().get("/data/search/demo/frame.json").json["error"]
    with pytest.raises(BitnasError, match=re.escape(told)):
        dashboard.main(["--storage", storage], standalone_mode=False)
    assert file.read_bytes() == before and [*tmp_path.iterdir()] == [file]


def test_routes_are_their_own_inverse() -> None:
    for name in ("demo", "a.b-c_d", "übung 1/2%"):
        assert parse(search_path(name)) == Route("search", name)
        assert parse(trial_path(name, 12)) == Route("trial", name, 12)
        assert parse(device_path(name)) == Route("device", device=name)
        compared = Route("searches_compared", query={"search": [name, "b"]})
        assert parse(*searches_compared_path([name, "b"]).split("?")) == compared
    compared = Route("trials_compared", "demo", query={"trials": ["1,2"]})
    assert parse(*trials_compared_path("demo", [1, 2]).split("?")) == compared
    assert parse(artifact_path(3)) == Route("artifact", artifact=3)
    assert parse("/") == Route("searches")
    assert parse("/search/demo/") == Route("search", "demo")
    for path in ("/search", "/search/demo/trial", "/search/demo/trial/x", "/search/a/b", "/x"):
        assert parse(path) is None


def test_the_page_fetches_nothing_from_elsewhere(storage: str) -> None:
    app = create_app(storage)
    page = app.server.test_client().get("/").get_data(as_text=True)
    assert "http://" not in page
    assert "https://" not in page
    assert "/_dash-component-suites/" in page

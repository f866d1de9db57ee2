"""What is sent to a browser when the ledger has moved on: as little as shows the change."""

import json

from dash import Patch
from plotly.utils import PlotlyJSONEncoder

from dashboards.app import render
from dashboards.refresh import Changes, Shown, changes
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from tests.cli.filled_ledger import propose

PATH = "/search/demo"


def look(storage: str, shown: Shown | None, path: str = PATH) -> Changes:
    """One tick of a browser, with its state gone through JSON as it does."""
    return changes(render(storage, path)[0], path, json.loads(json.dumps(shown)))


def finish_one(storage: str, accuracy: float) -> None:
    """Let a worker complete a trial of the search ``demo``."""
    with Ledger.open(storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        propose(claims, claim, 0.15, 2.0)
        claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy)


def test_the_first_look_draws_the_page(storage: str) -> None:
    first = look(storage, None)
    assert first.redraw
    assert not first.parts


def test_nothing_new_sends_nothing(storage: str) -> None:
    first = look(storage, None)
    again = look(storage, first.shown)
    assert not again.redraw
    assert not again.parts
    assert again.shown == first.shown


def test_another_address_is_drawn(storage: str) -> None:
    assert look(storage, look(storage, None).shown, "/search/empty").redraw


def test_a_trial_within_the_axes_sends_points_only(own_storage: str) -> None:
    shown = look(own_storage, None).shown
    finish_one(own_storage, 0.95)
    told = look(own_storage, shown)
    assert not told.redraw
    assert set(told.parts) == {"progress", "merits", "pareto", "trials"}
    assert isinstance(told.parts["pareto"], Patch)
    sent = json.loads(PlotlyJSONEncoder().encode(told.parts["pareto"]))
    assert [operation["location"] for operation in sent["operations"]] == [["data"]]
    assert not look(own_storage, told.shown).parts


def test_a_trial_beyond_the_axes_sends_the_figure(own_storage: str) -> None:
    shown = look(own_storage, None).shown
    finish_one(own_storage, 0.9999)
    figure = look(own_storage, shown).parts["pareto"]
    assert figure.layout.yaxis.range[1] > 0.9999


def test_the_first_point_draws_the_page_anew(own_storage: str) -> None:
    shown = look(own_storage, None, "/search/empty").shown
    with Ledger.open(own_storage) as ledger:
        claims = Claims(ledger, "empty", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        propose(claims, claim, 0.15, 2.0)
    assert look(own_storage, shown, "/search/empty").redraw

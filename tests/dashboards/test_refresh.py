"""What is sent to a browser when the ledger has moved on: as little as shows the change."""

import json

import pytest
from sqlalchemy import select

from dashboards.app import render
from dashboards.refresh import Changes, Shown, changes
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.store import find_id
from nas.ledger.tables import Epoch, Trial
from tests.cli.filled_ledger import propose

pytestmark = pytest.mark.usefixtures("layers")
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


def test_a_trial_that_ends_sends_the_counts(own_storage: str) -> None:
    shown = look(own_storage, None).shown
    finish_one(own_storage, 0.95)
    told = look(own_storage, shown)
    assert not told.redraw
    assert set(told.parts) == {"progress"}
    assert not look(own_storage, told.shown).parts


def test_an_epoch_of_a_training_sends_points_only(own_storage: str) -> None:
    path = "/search/demo/trial/23"
    shown = look(own_storage, None, path).shown
    with Ledger.open(own_storage) as ledger:
        search_id = find_id(ledger, "demo")
        with ledger.writing() as session:
            which = Trial.search_id == search_id, Trial.number == 23
            trial = session.scalars(select(Trial).where(*which)).one()
            session.add(Epoch(trial_id=trial.id, epoch=2, train_loss=1.3, accuracy=0.71, seconds=2.0))
    told = look(own_storage, shown, path)
    assert not told.redraw
    assert set(told.parts) == {"training"}

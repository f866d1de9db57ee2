"""What a trial's page tells of its network's mistakes, with their images, and of its ancestors."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sqlalchemy import select, update

from dashboards import trial_errors
from dashboards.app import create_app
from nas.analysis.lineage import lineage_of
from nas.cli.main import cli
from nas.data import load
from nas.figures.mistakes import confusion_figure, confusion_of
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.mistakes import Mistake, Predictions
from nas.ledger.origin import Origin
from nas.ledger.tables import Search, Trial
from tests.cli.filled_ledger import CONFIG, architecture_json
from tests.dashboards.test_pages import text

LABELS = load("digits").validation.labels
FIRST_5 = int(np.flatnonzero(LABELS == 5)[0])
COUNTS = ((5, 5, 30), (5, 9, 3), (7, 7, 40), (9, 5, 1))
WORST = (Mistake(FIRST_5, 5, 9, 0.875), Mistake(0, int(LABELS[0] + 1) % 10, 3, 0.5))
FOUND = Predictions(10, 74, 70, COUNTS, WORST)
"""The second image is not of the class that it is to be."""
PARENTS = [(), (0,), (1, 0), (2,)]


@pytest.fixture(scope="module")
def bred(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger with searches whose trials were bred one from the other, and have predictions."""
    storage = f"sqlite:///{tmp_path_factory.mktemp('bred')}/nas.db"
    config = replace(CONFIG, trials=5)
    with Ledger.open(storage, create=True) as ledger:
        _fill(ledger, "bred", config)
        _fill(ledger, "elsewhere", replace(config, data="/data/photos"), digest="ab" * 32)
        _fill(ledger, "hub", replace(config, data="somebody/photos"))
        _fill(ledger, "single", config, parents=[()])
        _fill(ledger, "own", replace(config, data="", evaluator="mine"), predictions=None)
    return storage


def _fill(
    ledger: Ledger,
    name: str,
    config: SearchConfig,
    digest: str = "",
    predictions: Predictions | None = FOUND,
    parents: Sequence[tuple[int, ...]] = PARENTS,
) -> None:
    ledger.create_search(name, config, origin=Origin({}, digest, {}))
    claims = Claims(ledger, name, Worker.this_process())
    for number, its in enumerate(parents):
        claim = claims.claim()
        assert claim is not None
        choices = {"width": 8 * number, "block": "fire"} | ({"kernel": 5} if number > 1 else {"groups": 2})
        told = {"architecture": architecture_json(number), "digest": f"{number}ab"}
        claims.propose(claim, choices=choices, parents=its, **told)
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.9 + number / 100, predictions=predictions)


def test_the_card_of_mistakes(bred: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = text(bred, "/search/bred/trial/3")
    card = page[page.index("What it gets wrong") : page.index("Where it comes from")]
    assert "4 of 74 images got a wrong class. Each row is a true class" in card
    assert "3 of 33 images of <b>5</b> (9.1%) are taken for <b>9</b>" in card
    assert "3 of 33 (9.1%)" in card and "1 of 1 (100.0%)" in card
    assert card.index("3 of 33 (9.1%)") < card.index("1 of 1 (100.0%)"), "the most frequent first"
    assert "5, taken for 9" in card and f"87.5% sure, image {FIRST_5}" in card
    assert '"src": "/data/search/bred/trial/3/image/0.png"' in card
    assert "pairs of classes" not in card
    monkeypatch.setattr(trial_errors, "MOST_PAIRS", 1)
    assert "1 of 2 pairs of classes." in text(bred, "/search/bred/trial/3")
    assert f'"alt": "validation image {FIRST_5}: 5, taken for 9"' in card


@pytest.mark.parametrize(
    ("search", "number", "why"),
    [
        ("bred", 4, "trained to the end; this trial is queued"),
        ("own", 3, "Evaluator 'mine' tells no predictions"),
        ("elsewhere", 3, "data: '/data/photos' is not on this machine; show the search where it ran"),
        ("hub", 3, "data: 'somebody/photos' is of the hub or of a plug-in"),
    ],
)
def test_what_cannot_be_shown_says_why(bred: str, search: str, number: int, why: str) -> None:
    page = text(bred, f"/search/{search}/trial/{number}")
    assert why in page and ".png" not in page
    answer = create_app(bred).server.test_client().get(f"/data/search/{search}/trial/{number}/image/0.png")
    assert answer.status_code == 404 and json.loads(answer.data)["error"]


def test_images_come_one_by_one(bred: str) -> None:
    browser = create_app(bred).server.test_client()
    answer = browser.get("/data/search/bred/trial/3/image/0.png")
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    split = load("digits").validation
    shown = np.asarray(Image.open(BytesIO(answer.data)))
    assert (shown == (split.take(np.array([FIRST_5]))[0, :, :, 0] * 255.0 / 16).round()).all()
    tag = answer.headers["ETag"]
    assert browser.get(answer.request.path, headers={"If-None-Match": tag}).status_code == 304
    for place, told in ((1, "image 0 of 'digits' is not of class"), (2, "trial 3 has no image 2; it has 2")):
        answer = browser.get(f"/data/search/bred/trial/3/image/{place}.png")
        assert answer.status_code == 404 and told in json.loads(answer.data)["error"]


def test_the_card_of_ancestors(bred: str) -> None:
    page = text(bred, "/search/bred/trial/3")
    card = page[page.index("Where it comes from") :]
    places = [card.index(f"/search/bred/trial/{number}") for number in (3, 2, 1)]
    assert places == sorted(places) and "the first: drawn at random or by the sampler, with no" in card
    assert "width: 16 \N{RIGHTWARDS ARROW} 24" in card and "93.0%" in card
    assert "new: kernel 5" in card and "gone: groups" in card
    assert re.search(r'"crossed with ", .*?"trial 0"', card)
    page = text(bred, "/search/bred/trial/0")
    assert re.search(r'"Bred from it: ", .*?"trial 1".*?"trial 2"', page[page.index("Where it comes from") :])
    assert "It has no architecture yet." in text(bred, "/search/bred/trial/4")
    assert "It has no parents: it was drawn at random or by the sampler ('tpe')" in text(
        bred, "/search/single/trial/0"
    )


def test_a_long_way_back_is_cut_and_a_circle_is_left(bred: str) -> None:
    with Ledger.open(bred) as ledger:
        short = lineage_of(ledger, "bred", 3, most=1)
        assert [step.trial.number for step in short.steps] == [3, 2] and short.is_cut
        whole = lineage_of(ledger, "bred", 3)
        assert [step.parent for step in whole.steps] == [2, 1, 0, None] and not whole.is_cut
        assert lineage_of(ledger, "bred", 1).children == (2,)
        with ledger.writing() as session:
            of_search = select(Search.id).where(Search.name == "own").scalar_subquery()
            first = Trial.search_id == of_search, Trial.number == 0
            session.execute(update(Trial).where(*first).values(parents=[3]))
        assert [step.trial.number for step in lineage_of(ledger, "own", 3).steps] == [3, 2, 1, 0]


def test_of_many_classes_the_mistakes_are_listed_and_no_matrix_is_drawn() -> None:
    many = confusion_of(Predictions(1000, 5000, 4000, ((3, 4, 20), (8, 2, 50))), ())
    assert many.counts == () and [(p.true, p.images, p.of) for p in many.pairs] == [
        ("8", 50, None),
        ("3", 20, None),
    ]
    some = confusion_of(Predictions(30, 2, 1, ((0, 0, 1), (4, 3, 1))), [f"<b>{n}" for n in range(30)])
    figure = confusion_figure(some)
    assert not figure.layout.annotations and "&lt;b&gt;4" in figure.data[1].text[4][3]


def test_the_command_tells_both(bred: str) -> None:
    run = CliRunner().invoke(cli, ["trial", "bred", "2", "--storage", bred])
    assert "bred from  trials 1, 0\n" in run.stdout
    run = CliRunner().invoke(cli, ["trial", "bred", "2", "--json", "--storage", bred])
    told = json.loads(run.stdout)
    assert told["parents"] == [1, 0] and Predictions.from_dict(told["predictions"]) == FOUND

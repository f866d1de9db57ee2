"""The card ``What it gets wrong`` of a trial: its confusion matrix, and the images it is most wrong about."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import dash_mantine_components as dmc
from dash import html

from dashboards.parts import chart, notice
from dashboards.routes import NUMBER, search_path
from dashboards.views import View
from nas.analysis.images import class_names
from nas.figures.mistakes import Confusion, Pair, confusion_figure, confusion_of
from nas.formatting import counted, percent
from nas.ledger import Ledger, SearchConfig, TrialRecord
from nas.ledger.mistakes import Mistake, Predictions
from nas.ledger.predictions import predictions_of
from nas.ledger.records import TRAINING
from search_spaces.errors import InvalidInput

TITLE = "What it gets wrong"
IMAGE = f"/data/search/<name>/trial/<{NUMBER}:number>/image/<{NUMBER}:place>.png"
"""The addresses of the worst images, by their place among them."""
MOST_PAIRS = 10


class Shown(NamedTuple):
    """What the card shows; ``why_no_images`` is empty where this machine has them."""

    predictions: Predictions
    confusion: Confusion
    why_no_images: str


def errors_of(ledger: Ledger, trial: TrialRecord) -> View[Shown | None]:
    """The card."""
    return View(
        TITLE,
        lambda: _shown(ledger, trial),
        lambda shown: _why_not(ledger.search(trial.search).config, trial) if shown is None else None,
        lambda shown: _drawn(trial, shown),
        note=_note(trial),
    )


def _note(trial: TrialRecord) -> str:
    which = f", the first of {len(trial.accuracies)}" if len(trial.accuracies) > 1 else ""
    return f"The classes that the network gave the validation images at the end of its training{which}."


def _shown(ledger: Ledger, trial: TrialRecord) -> Shown | None:
    found = predictions_of(ledger, trial.search, trial.number)
    if found is None:
        return None
    names: Sequence[str] = ()
    why = ""
    try:
        names = class_names(ledger.search(trial.search))
    except InvalidInput as error:
        why = str(error)
    return Shown(found, confusion_of(found, names), why)


def _why_not(config: SearchConfig, trial: TrialRecord) -> str:
    if config.evaluator != TRAINING:
        return f"Evaluator '{config.evaluator}' tells no predictions: it may set them (report.predictions)."
    if trial.state != "complete":
        return f"Predictions are kept of networks that were trained to the end; this trial is {trial.state}."
    return "No predictions were kept: it ended before bitnas kept them, or its data has no validation images."


def _drawn(trial: TrialRecord, shown: Shown | None) -> Any:
    assert shown is not None  # noqa: S101 - `_why_not` says so
    found, confusion = shown.predictions, shown.confusion
    parts = [dmc.Text(_told(found))]
    if confusion.counts:
        parts.append(chart("confusion", confusion_figure(confusion)))
    if confusion.pairs:
        parts += [dmc.Title("Most frequent mistakes", order=4, size="h5"), _pairs(confusion.pairs)]
        if len(confusion.pairs) > MOST_PAIRS:
            told = f"{MOST_PAIRS} of {len(confusion.pairs):,} pairs of classes."
            parts.append(dmc.Text(told, size="sm", c="dimmed"))
    if found.worst:
        parts += [dmc.Title("Most certain mistakes", order=4, size="h5"), _images(trial, shown)]
    return dmc.Stack(parts, gap="sm")


def _told(found: Predictions) -> str:
    told = f"{found.wrong} of {counted(found.images, 'image')} got a wrong class."
    if found.is_whole:
        return f"{told} Each row is a true class, each column what the network said; the diagonal is right."
    return f"{told} Of {found.classes} classes only the most frequent mistakes were kept."


def _pairs(pairs: Sequence[Pair]) -> Any:
    head = dmc.TableThead(dmc.TableTr([dmc.TableTh(title) for title in ("Class", "Taken for", "Images")]))
    rows = [[pair.true, pair.predicted, _count(pair)] for pair in pairs[:MOST_PAIRS]]
    body = dmc.TableTbody([dmc.TableTr([dmc.TableTd(cell) for cell in row]) for row in rows])
    return dmc.TableScrollContainer(dmc.Table([head, body], verticalSpacing=4), minWidth=320)


def _count(pair: Pair) -> str:
    return f"{pair.images} of {pair.of} ({percent(pair.images / pair.of)})" if pair.of else str(pair.images)


def _images(trial: TrialRecord, shown: Shown) -> Any:
    """The images, or where they cannot be shown what is known of them, and why."""
    places = enumerate(shown.predictions.worst)
    tiles = [_tile(trial, shown, place, mistake) for place, mistake in places]
    grid = dmc.SimpleGrid(tiles, cols={"base": 2, "sm": 4, "lg": 6}, spacing="md")
    return dmc.Stack([notice(shown.why_no_images), grid] if shown.why_no_images else grid)


def _tile(trial: TrialRecord, shown: Shown, place: int, mistake: Mistake) -> Any:
    true, predicted = (shown.confusion.names[each] for each in (mistake.true, mistake.predicted))
    told = f"{true}, taken for {predicted}"
    source = f"/data{search_path(trial.search)}/trial/{trial.number}/image/{place}.png"
    image = html.Img(src=source, alt=f"validation image {mistake.image}: {told}", className="mistake")
    texts = [
        dmc.Text(told, size="sm", fw=600),
        dmc.Text(f"{percent(mistake.probability)} sure, image {mistake.image}", size="xs", c="dimmed"),
    ]
    return dmc.Stack(texts if shown.why_no_images else [image, *texts], gap=2)

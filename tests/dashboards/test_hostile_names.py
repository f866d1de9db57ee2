"""Names that hold HTML are drawn letter by letter: no figure of Python or of a page takes them for markup."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from plotly.utils import PlotlyJSONEncoder
from sqlalchemy import update

import nas
from dashboards.app import render
from dashboards.routes import search_path, searches_compared_path, trial_path, trials_compared_path
from nas.analysis.search_figures import FIGURES
from nas.ledger import EpochRecord, Ledger, TrialState, Worker
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import Cost
from nas.ledger.tables import Search
from tests.cli.filled_ledger import CONFIG, architecture_json

HOSTILE = '<b>bold</b><a href="https://evil.example">click</a>&amp;'
INERT = '&lt;b&gt;bold&lt;/b&gt;&lt;a href="https://evil.example"&gt;click&lt;/a&gt;&amp;amp;'
WORKER = Worker(HOSTILE, "elsewhere", 7, 0)


def _searched(storage: str) -> None:
    """Six trials of two options, with hostile names of all that a plug-in or another's ledger may name."""
    with Ledger.open(storage) as ledger:
        ledger.create_search("other", replace(CONFIG, trials=6))
        claims = Claims(ledger, "other", WORKER)
        while claim := claims.claim():
            _ended(claims, claim)
        with ledger.writing() as session:
            session.execute(update(Search).where(Search.name == "other").values(name=HOSTILE))


def _ended(claims: Claims, claim: Claim) -> None:
    number = claim.trial.number
    choices = {HOSTILE: f"{HOSTILE}{number % 2}", "plain": number % 3}
    claims.propose(claim, choices=choices, architecture=architecture_json(number), digest=f"{number:064d}")
    claims.record_cost(claim, Cost(0.1 + number / 100, 9.0 + number, [(HOSTILE, 0.1)], estimated=[HOSTILE]))
    claims.record_epoch(claim, EpochRecord(1, 1.0, 0.5, 2.0))
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.6 + 0.05 * number)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _drawn(figure: Any) -> Any:
    """A figure as JSON, without the ticks of parallel coordinates: these plotly draws letter by letter."""
    told = json.loads(PlotlyJSONEncoder().encode(figure))
    for trace in told.get("data", ()):
        for dimension in trace.get("dimensions", ()):
            dimension.pop("ticktext", None)
    return told


def _figures(node: Any) -> Iterator[Any]:
    """The figures of a page as JSON."""
    if isinstance(node, dict):
        if "figure" in node:
            yield node["figure"]
        else:
            yield from (found for inner in node.values() for found in _figures(inner))
    elif isinstance(node, list):
        yield from (found for inner in node for found in _figures(inner))


def _told(figure: Any) -> str:
    """All texts of a figure, none of which may have a live name."""
    told = "\n".join(_texts(_drawn(figure)))
    assert "<a" not in told and "<b>bold" not in told
    return told


def test_names_are_inert_in_every_figure(own_storage: str, layers: None) -> None:
    _searched(own_storage)
    result = nas.load(own_storage, HOSTILE)
    for name in FIGURES:
        assert INERT in _told(result.figure(name)), f"{name} tells the search's name at least"
    assert INERT in _told(result.figure("options", by=HOSTILE))
    paths = [
        searches_compared_path([HOSTILE, "demo"]),
        trials_compared_path(HOSTILE, [0, 1]),
        trial_path(HOSTILE, 2),
        search_path(HOSTILE),
        "/device/local",
    ]
    drawn = []
    for path in paths:
        page = json.loads(PlotlyJSONEncoder().encode(render(own_storage, *path.split("?"))[0]))
        drawn += list(_figures(page))
    told = "\n".join(map(_told, drawn))
    assert len(drawn) > len(paths) and told.count(INERT) > 2, "the fronts, their growth, the kernels"

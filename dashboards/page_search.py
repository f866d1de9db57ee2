"""The page of one search: its counts, the linked views, and the trials as a table."""

from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import (
    card,
    count_bar,
    crumbs,
    explorer,
    heading,
    notice,
    table,
    why_unknown,
)
from dashboards.routes import Route
from nas.analysis.searches_data import SearchState, goes_on
from nas.ledger import Ledger, SearchRecord
from nas.ledger.needs import unknown_objectives
from nas.ledger.records import TRAINING
from nas.objectives import objective

HOW_TO_READ = "The same trials as above, one a row: sorted and filtered here, and by what is selected there."


def page(ledger: Ledger, route: Route) -> Any:
    """The page of a search; InvalidInput when there is none."""
    name = route.search
    search = ledger.search(name)
    is_live = goes_on(ledger, [search])
    parts = [crumbs(("Searches", "/"), (name, "")), heading(name, *_settings(search))]
    parts.append(_progress(search, is_measured=is_live and search.finished))
    if unknown := unknown_objectives(search.config):
        parts += [card("Its trials cannot be compared", notice(why_unknown(unknown), failed=True))]
    else:
        parts += [explorer(name, is_live), card("Trials", table("trials"), HOW_TO_READ)]
    return dmc.Stack(parts, gap="lg")


def is_live(ledger: Ledger, route: Route) -> bool:
    """Whether it still has trials to run, or its front is being measured."""
    return goes_on(ledger, [ledger.search(route.search)])


def _settings(search: SearchRecord) -> list[Any]:
    config = search.config
    told = [
        search.drawn_from,
        "" if config.evaluator == TRAINING else config.evaluator,
        config.data,
        config.device,
        search.drawn_by,
        f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}",
        f"seed {config.seed}",
    ]
    unknown = unknown_objectives(config)  # whether more is better is not known then, nor the unit
    told += [_limit(name, limit) for name, limit in config.limited.items() if name not in unknown]
    return [dmc.Badge(text, variant="default", tt="none", fw=500) for text in told if text]


def _progress(search: SearchRecord, is_measured: bool) -> Any:
    counts = {str(state): count for state, count in search.counts.items()}
    finished = sum(count for state, count in search.counts.items() if state.finished)
    told = f"{finished} of {sum(counts.values())} trials finished"
    told += f", {SearchState.MEASURING}" if is_measured else ""
    bar = card(told, count_bar(counts))
    return dmc.Box(bar, id="progress")


def _limit(name: str, limit: float) -> str:
    of = objective(name)
    return f"{of.title} at {'least' if of.is_maximized else 'most'} {of.told(limit)}"

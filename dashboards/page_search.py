"""The page of one search: its counts, the ends of its front, the linked views, and the trials as a table."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import (
    card,
    count_bar,
    crumbs,
    explorer,
    figures_of_merit,
    heading,
    notice,
    table,
    why_unknown,
)
from dashboards.routes import Route
from nas.figures.data import shown_objectives
from nas.ledger import Ledger, SearchConfig, SearchRecord, TrialRecord
from nas.ledger.needs import unknown_objectives
from nas.ledger.records import TRAINING
from nas.objectives import DEFAULT, Objective, objective

HOW_TO_READ = "The same trials as above, one a row: sorted and filtered here, and by what is selected there."


def page(ledger: Ledger, route: Route) -> Any:
    """The page of a search; InvalidInput when there is none."""
    name = route.search
    search = ledger.search(name)
    parts = [crumbs(("Searches", "/"), (name, "")), heading(name, *_settings(search)), _progress(search)]
    if unknown := unknown_objectives(search.config):
        parts += [card("Its trials cannot be compared", notice(why_unknown(unknown), failed=True))]
    else:
        front = ledger.front(name)
        parts += [dmc.Box(_merits(search.config, front), id="merits")] if front else []
        parts += [explorer(name, is_live=not search.finished), card("Trials", table("trials"), HOW_TO_READ)]
    return dmc.Stack(parts, gap="lg")


def is_live(ledger: Ledger, route: Route) -> bool:
    """Whether it still has trials to run."""
    return not ledger.search(route.search).finished


def _settings(search: SearchRecord) -> list[Any]:
    config = search.config
    told = [
        config.space,
        "" if config.evaluator == TRAINING else config.evaluator,
        config.data,
        config.device,
        config.sampler,
        f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}",
        f"seed {config.seed}",
    ]
    unknown = unknown_objectives(config)  # whether more is better is not known then, nor the unit
    told += [_limit(name, limit) for name, limit in config.limited.items() if name not in unknown]
    return [dmc.Badge(text, variant="default", tt="none", fw=500) for text in told if text]


def _progress(search: SearchRecord) -> Any:
    counts = {str(state): count for state, count in search.counts.items()}
    finished = sum(count for state, count in search.counts.items() if state.finished)
    bar = card(f"{finished} of {sum(counts.values())} trials finished", count_bar(counts))
    return dmc.Box(bar, id="progress")


def _merits(config: SearchConfig, front: Sequence[TrialRecord]) -> Any:
    """The ends of the front: its best member within the limits in each objective."""
    kept = [t for t in front if not config.is_over(t.measured_latency_ms)]
    count, front = len(front), kept or front
    over = f", {count - len(kept)} of them over the limit" if len(kept) < count else ""
    ends = [_end(config, objective(name), front, is_over=not kept) for name in config.objectives]
    beaten = f"no trial beats them in all objectives{over}"
    return figures_of_merit([*ends, ("On the front", str(count), beaten)])


def _end(
    config: SearchConfig, of: Objective, front: Sequence[TrialRecord], is_over: bool
) -> tuple[str, str, str]:
    """Title, figure and trial of the front's best member in one objective."""
    values = {t.number: value.value for t in front if (value := of.of(t)) is not None}
    best = min(front, key=lambda t: of.loss(values.get(t.number, of.worst)))
    title = _BEST.get(of.name, f"Best {of.title}") + (", over the limit" if is_over else "")
    return title, of.told(values.get(best.number)), _costs(config, best)


_BEST = {
    "accuracy": "Most accurate",
    "latency": "Fastest of the front",
    "size": "Smallest of the front",
}


def _limit(name: str, limit: float) -> str:
    of = objective(name)
    return f"{of.title} at {'least' if of.is_maximized else 'most'} {of.told(limit)}"


def _costs(config: SearchConfig, trial: TrialRecord) -> str:
    values = ((objective(name), objective(name).of(trial)) for name in shown_objectives(config))
    told = (_named(of, value.value) for of, value in values if value is not None)
    return f"trial {trial.number}: {', '.join(told)}"


def _named(of: Objective, value: float) -> str:
    """The usual ones are known by their units."""
    return of.told(value) if of.name in DEFAULT else f"{of.title} {of.told(value)}"

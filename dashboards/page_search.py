"""The page of one search: its counts, the Pareto figure, and the same trials as a table."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import (
    NOTE,
    card,
    chart,
    count_bar,
    crumbs,
    figure_column,
    figures_of_merit,
    grid,
    heading,
    link_column,
    notice,
    state_column,
    why_unknown,
)
from dashboards.routes import trial_path
from dashboards.views import View
from nas.figures.data import (
    SHORT_DIGEST,
    axes_of,
    further_objectives,
    notes,
    pareto_data,
    shown_objectives,
    why_no_pareto,
)
from nas.figures.search import pareto_figure, title_of
from nas.formatting import MISSING
from nas.ledger import Ledger, SearchConfig, SearchRecord, TrialRecord, front_of
from nas.ledger.needs import unknown_objectives
from nas.ledger.records import TRAINING
from nas.objectives import DEFAULT, Objective, objective

COLUMNS = [
    link_column(
        "link",
        "Trial",
        width=90,
        minWidth=80,
        comparator={"function": "nodeA.data.number - nodeB.data.number"},
    ),
    state_column("state", "State"),
    {"field": "front", "headerName": "On the front"},
    figure_column("accuracy", "Accuracy", ".1%"),
    figure_column("latency_ms", "Predicted (ms)", ".3r"),
    figure_column("measured_latency_ms", "Measured (ms)", ".3r"),
    figure_column("size_kb", "Size (kB)", ".2f"),
]
OF_DEVICES = ("latency_ms", "measured_latency_ms", "size_kb")
"""Columns of no use to a search without a device."""
DIGEST = {
    "field": "digest",
    "headerName": "Digest",
    "cellStyle": {"fontFamily": "monospace"},
    "minWidth": 140,
}
HOW_TO_READ = (
    "Each dot is a trained network; the front is what no other beats in all objectives. "
    "Ticks below the plot are trials without an accuracy. Click any of them to open its page."
)


def page(ledger: Ledger, name: str) -> Any:
    """The page of search ``name``; InvalidInput when there is none."""
    search, trials = ledger.search(name), ledger.trials(name)
    parts = [crumbs(("Searches", "/"), (name, "")), heading(name, *_settings(search)), _progress(search)]
    if unknown := unknown_objectives(search.config):
        parts += [card("Its trials cannot be compared", notice(why_unknown(unknown), failed=True))]
    else:
        parts += _found(search, trials)
    return dmc.Stack(parts, gap="lg")


def _found(search: SearchRecord, trials: Sequence[TrialRecord]) -> list[Any]:
    """What the trials gave: the ends of the front, the figure and the table."""
    front = front_of(trials, search.config)
    pareto = View(
        _title(search.config),
        lambda: pareto_data(search, trials, front),
        lambda data: why_no_pareto(search, data),
        lambda data: chart("pareto", pareto_figure(data), height=560),
        note=HOW_TO_READ,
    )
    chosen = {trial.number for trial in front}
    further = further_objectives(search.config)
    columns = [c for c in COLUMNS if search.config.device or c["field"] not in OF_DEVICES]
    columns += [*(_column(o) for o in further), DIGEST]
    columns += [NOTE] if any(notes(search.config, trial) for trial in trials) else []
    table = View(
        "Trials",
        lambda: [_row(search.config, trial, trial.number in chosen) for trial in trials],
        lambda rows: None if rows else "This search has no trials.",
        lambda rows: grid("trials", columns, rows),
    )
    merits = [dmc.Box(_merits(search.config, front), id="merits")] if front else []
    return [*merits, pareto.show(), table.show()]


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


def _title(config: SearchConfig) -> str:
    x, y, _ = axes_of(config)
    title = title_of(x, y)
    return title[0].upper() + title[1:]


def _column(of: Objective) -> dict[str, Any]:
    heading = of.heading[0].upper() + of.heading[1:]
    return figure_column(_field(of.name), heading, ".4r")


def _field(name: str) -> str:
    """Of a row of the grid, which takes a dot for a path."""
    return name.replace(".", "_")


def _costs(config: SearchConfig, trial: TrialRecord) -> str:
    values = ((objective(name), objective(name).of(trial)) for name in shown_objectives(config))
    told = (_named(of, value.value) for of, value in values if value is not None)
    return f"trial {trial.number}: {', '.join(told)}"


def _named(of: Objective, value: float) -> str:
    """The usual ones are known by their units."""
    return of.told(value) if of.name in DEFAULT else f"{of.title} {of.told(value)}"


def _row(config: SearchConfig, trial: TrialRecord, on_front: bool) -> dict[str, Any]:
    return {
        "id": str(trial.number),
        "number": trial.number,
        "link": f"[{trial.number}]({trial_path(trial.search, trial.number)})",
        "state": str(trial.state),
        "front": "yes" if on_front else "",
        "accuracy": trial.accuracy,
        "latency_ms": trial.latency_ms,
        "measured_latency_ms": trial.measured_latency_ms,
        "size_kb": trial.size_kb,
        **{_field(name): cost.value for name, cost in trial.costs.items()},
        "digest": (trial.digest or MISSING)[:SHORT_DIGEST],
        "note": notes(config, trial),
    }

"""The page of one search: its counts, the Pareto figure, and the same trials as a table."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import (
    card,
    chart,
    count_bar,
    crumbs,
    figure_column,
    figures_of_merit,
    grid,
    heading,
    link_column,
    state_column,
)
from dashboards.routes import trial_path
from dashboards.views import View
from nas.figures.data import (
    MISSING,
    SHORT_DIGEST,
    kilobytes,
    milliseconds,
    notes,
    pareto_data,
    percent,
    why_no_pareto,
)
from nas.figures.search import pareto_figure
from nas.ledger import Ledger, SearchConfig, SearchRecord, TrialRecord, front_of

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
    {"field": "digest", "headerName": "Digest", "cellStyle": {"fontFamily": "monospace"}, "minWidth": 140},
]
NOTE = {"field": "note", "headerName": "Note", "minWidth": 150, "wrapText": True, "autoHeight": True}
HOW_TO_READ = (
    "Each dot is a trained network; up and to the left is better, green is smaller. "
    "Ticks below the plot are trials without an accuracy. Click any of them to open its page."
)


def page(ledger: Ledger, name: str) -> Any:
    """The page of search ``name``; InvalidInput when there is none."""
    search, trials = ledger.search(name), ledger.trials(name)
    front = front_of(trials, search.config)
    pareto = View(
        "Accuracy against latency",
        lambda: pareto_data(search, trials, front),
        lambda data: why_no_pareto(search, data),
        lambda data: chart("pareto", pareto_figure(data), height=560),
        note=HOW_TO_READ,
    )
    chosen = {trial.number for trial in front}
    columns = [*COLUMNS, NOTE] if any(notes(search.config, trial) for trial in trials) else COLUMNS
    table = View(
        "Trials",
        lambda: [_row(search.config, trial, trial.number in chosen) for trial in trials],
        lambda rows: None if rows else "This search has no trials.",
        lambda rows: grid("trials", columns, rows),
    )
    merits = [dmc.Box(_merits(search.config, front), id="merits")] if front else []
    top = [crumbs(("Searches", "/"), (name, "")), heading(name, *_settings(search))]
    return dmc.Stack(
        [*top, dmc.Box(_progress(search), id="progress"), *merits, pareto.show(), table.show()], gap="lg"
    )


def _settings(search: SearchRecord) -> list[Any]:
    config = search.config
    told = [
        config.space,
        config.data,
        config.device,
        config.sampler,
        f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}",
        f"seed {config.seed}",
    ]
    if config.max_latency_ms is not None:
        told.append(f"at most {milliseconds(config.max_latency_ms)} ms")
    if config.max_size_kb is not None:
        told.append(f"at most {kilobytes(config.max_size_kb)} kB")
    return [dmc.Badge(text, variant="default", tt="none", fw=500) for text in told]


def _progress(search: SearchRecord) -> Any:
    counts = {str(state): count for state, count in search.counts.items()}
    finished = sum(count for state, count in search.counts.items() if state.finished)
    return card(f"{finished} of {sum(counts.values())} trials finished", count_bar(counts))


def _merits(config: SearchConfig, front: Sequence[TrialRecord]) -> Any:
    """The ends of the front: its most accurate, fastest and smallest member within the limits."""
    kept = [t for t in front if not config.is_over(t.measured_latency_ms)]
    count, front = len(front), kept or front
    over = f", {count - len(kept)} of them over the limit" if len(kept) < count else ""
    best = max(front, key=lambda t: t.accuracy or 0.0)
    fastest = min(front, key=lambda t: t.latency_ms or 0.0)
    smallest = min(front, key=lambda t: t.size_kb or 0.0)
    return figures_of_merit(
        [
            (
                "Most accurate" if kept else "Most accurate, over the limit",
                percent(best.accuracy),
                _costs(best),
            ),
            ("Fastest of the front", f"{milliseconds(fastest.latency_ms)} ms", _costs(fastest)),
            ("Smallest of the front", f"{kilobytes(smallest.size_kb)} kB", _costs(smallest)),
            ("On the front", str(count), f"no trial beats them in all three{over}"),
        ]
    )


def _costs(trial: TrialRecord) -> str:
    costs = f"{percent(trial.accuracy)}, {milliseconds(trial.latency_ms)} ms, {kilobytes(trial.size_kb)} kB"
    return f"trial {trial.number}: {costs}"


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
        "digest": (trial.digest or MISSING)[:SHORT_DIGEST],
        "note": notes(config, trial),
    }

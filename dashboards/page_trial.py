"""The page of one trial: its figures, then cards: architecture, costs, training, record."""

from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import (
    card,
    chart,
    crumbs,
    figures_of_merit,
    heading,
    notice,
    state_badge,
    why_unknown,
)
from dashboards.routes import Route, search_path, trial_path, trials_compared_path
from dashboards.trial_architecture import architecture, choices
from dashboards.trial_costs import is_loading, memory_over_run, size_by_layer, time_by_layer
from dashboards.trial_errors import errors_of
from dashboards.trial_lineage import lineage_view
from dashboards.trial_record import export, record
from dashboards.views import View
from nas.analysis.searches_data import goes_on
from nas.figures.cost_figures import TimeUnit
from nas.figures.data import told_costs, training_curve
from nas.figures.network_costs import whole_times
from nas.figures.trial import training_figure
from nas.formatting import MISSING, counted, kilobytes, percent
from nas.ledger import Ledger, SearchConfig, TrialRecord
from nas.ledger.needs import unknown_objectives
from nas.ledger.records import TRAINING

# Why a figure is missing, by the state of the trial.
WHY_UNTRAINED = {
    "queued": "not started yet",
    "running": "still running",
    "paused": "paused after its first epochs",
    "infeasible": "over a limit, so never trained",
    "pruned": "stopped early",
    "failed": "failed",
}


def page(ledger: Ledger, route: Route) -> Any:
    """The page of a trial; InvalidInput when there is none."""
    name, number = route.search, route.trial
    trial = ledger.trial(name, number)
    config = ledger.search(name).config
    unknown = unknown_objectives(config)
    is_over = not unknown and config.breaks_limit(trial)
    parts = [
        crumbs(("Searches", "/"), (name, search_path(name)), (f"trial {number}", "")),
        dmc.Group(
            [heading(f"Trial {number}", state_badge(trial.state)), _neighbours(config, trial)],
            justify="space-between",
        ),
        card(_error_title(trial), notice(trial.error, failed=True)) if trial.error else None,
        card("Its limits cannot be checked", notice(why_unknown(unknown), failed=True)) if unknown else None,
        dmc.Box(_merits(trial, is_over, bool(config.device)), id="merits"),
        *_cards(ledger, config, trial),
    ]
    return dmc.Stack([part for part in parts if part is not None], gap="lg")


def is_live(ledger: Ledger, route: Route) -> bool:
    """Whether its search still goes on, or more can be told of the network in a moment."""
    trial = ledger.trial(route.search, route.trial)
    search = ledger.search(route.search)
    return goes_on(ledger, [search]) or (_is_network(search.config, trial) and is_loading(trial))


def _cards(ledger: Ledger, config: SearchConfig, trial: TrialRecord) -> list[Any]:
    """What the page shows below its figures, in order; None where there is nothing to say."""
    is_network = _is_network(config, trial)
    has_layers = is_network and trial.architecture is not None
    return [
        architecture(trial).show() if is_network else choices(trial),
        time_by_layer(trial).show() if is_network else None,
        size_by_layer(trial).show() if has_layers else None,
        memory_over_run(trial).show() if has_layers else None,
        _training(ledger, trial).show(),
        errors_of(ledger, trial).show(),
        lineage_view(ledger, trial).show(),
        record(config, trial),
        export(config, trial, ledger.url),
    ]


def _is_network(config: SearchConfig, trial: TrialRecord) -> bool:
    """Whether it is one that bitnas can build."""
    return config.evaluator == TRAINING or trial.size_kb is not None


def _neighbours(config: SearchConfig, trial: TrialRecord) -> Any:
    number, links = trial.number, []
    if number > 0:
        links.append(("Previous trial", trial_path(trial.search, number - 1)))
        links.append(("Compare with the previous", trials_compared_path(trial.search, [number - 1, number])))
    if number < config.trials - 1:
        links.append(("Next trial", trial_path(trial.search, number + 1)))
    links.append(("Compare with others", trials_compared_path(trial.search, [number])))
    return dmc.Group([dmc.Anchor(text, href=href, size="sm") for text, href in links])


def _error_title(trial: TrialRecord) -> str:
    # A complete trial was trained; what failed was timing it whole.
    return "Why it was not measured" if trial.state == "complete" else "What went wrong"


def _merits(trial: TrialRecord, is_over: bool, has_device: bool) -> Any:
    why = WHY_UNTRAINED.get(trial.state, "")
    measured = (
        "the whole network" if trial.measured_latency_ms is not None else why or "only the front is measured"
    )
    unit = TimeUnit.of([time.milliseconds for time in whole_times(trial)])  # as the bars of the whole network
    repeats = unit.told_interval(trial.measured_low_ms, trial.measured_high_ms)
    measured = f"{repeats} by repeats" if repeats else measured
    measured = f"machine disturbed: {trial.measured_disturbed}" if trial.measured_disturbed else measured
    measured = "over the limit, so never exported" if is_over else measured
    on_device = [
        ("Latency, predicted", unit.told(trial.latency_ms), _predicted(trial, unit)),
        ("Latency, measured", unit.told(trial.measured_latency_ms), measured),
        ("Size", _unit(kilobytes(trial.size_kb), "kB"), "1 kB is 1000 bytes"),
    ]
    return figures_of_merit(
        [
            ("Accuracy", percent(trial.accuracy), "validation split" if trial.accuracy is not None else why),
            *(on_device if has_device else []),
            *((title[0].upper() + title[1:], value, about) for title, value, about in told_costs(trial)),
        ]
    )


def _predicted(trial: TrialRecord, unit: TimeUnit) -> str:
    """The interval, and how many kernels were estimated, where so."""
    told = [unit.told_interval(trial.latency_low_ms, trial.latency_high_ms)]
    told += [f"{counted(len(trial.estimated), 'kernel')} estimated"] if trial.estimated else []
    return ", ".join(filter(None, told)) or "from its kernels"


def _training(ledger: Ledger, trial: TrialRecord) -> View[Any]:
    why = WHY_UNTRAINED.get(trial.state, "no epoch was recorded")
    return View(
        "Training",
        lambda: training_curve(ledger.epochs(trial.search, trial.number)),
        lambda curve: None if curve.epochs else f"There are no epochs: {why}.",
        lambda curve: chart("training", training_figure(curve)),
    )


def _unit(figure: str, unit: str) -> str:
    return figure if figure == MISSING else f"{figure} {unit}"

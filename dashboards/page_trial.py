"""The page of one trial: its figures, its architecture layer by layer, its time and its training."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import (
    card,
    chart,
    crumbs,
    figures_of_merit,
    heading,
    notice,
    precision_badge,
    state_badge,
    why_unknown,
)
from dashboards.routes import Route, search_path, trial_path
from dashboards.trial_errors import errors_of
from dashboards.trial_lineage import lineage_view
from dashboards.views import View
from nas.figures.data import (
    told_costs,
    training_curve,
    workload_bars,
)
from nas.figures.layers import LayerRow, layer_rows
from nas.figures.trial import training_figure, workload_figure
from nas.formatting import MISSING, counted, interval, kilobytes, milliseconds, percent
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
            [heading(f"Trial {number}", state_badge(trial.state)), _neighbours(ledger, trial)],
            justify="space-between",
        ),
        card(_error_title(trial), notice(trial.error, failed=True)) if trial.error else None,
        card("Its limits cannot be checked", notice(why_unknown(unknown), failed=True)) if unknown else None,
        dmc.Box(_merits(trial, is_over, bool(config.device)), id="merits"),
        *(
            _network(trial)
            if config.evaluator == TRAINING or trial.size_kb is not None
            else [_choices(trial)]
        ),
        _training(ledger, trial).show(),
        errors_of(ledger, trial).show(),
        lineage_view(ledger, trial).show(),
        card("Record", _facts(trial)),
    ]
    return dmc.Stack([part for part in parts if part is not None], gap="lg")


def is_live(ledger: Ledger, route: Route) -> bool:
    """Whether its search still has trials to run."""
    return not ledger.search(route.search).finished


def _neighbours(ledger: Ledger, trial: TrialRecord) -> Any:
    last = ledger.search(trial.search).config.trials - 1
    links = [(trial.number - 1, "Previous trial"), (trial.number + 1, "Next trial")]
    there = [(number, text) for number, text in links if 0 <= number <= last]
    return dmc.Group([dmc.Anchor(text, href=trial_path(trial.search, n), size="sm") for n, text in there])


def _error_title(trial: TrialRecord) -> str:
    # A complete trial was trained; what failed was timing it whole.
    return "Why it was not measured" if trial.state == "complete" else "What went wrong"


def _is_network(config: SearchConfig, trial: TrialRecord) -> bool:
    return config.evaluator == TRAINING or trial.size_kb is not None


def _network(trial: TrialRecord) -> list[Any]:
    """Of one that bitnas can build: its layers, and where its time goes."""
    return [_architecture(trial).show(), _workloads(trial).show()]


def _merits(trial: TrialRecord, is_over: bool, has_device: bool) -> Any:
    why = WHY_UNTRAINED.get(trial.state, "")
    measured = (
        "the whole network" if trial.measured_latency_ms is not None else why or "only the front is measured"
    )
    repeats = interval(trial.measured_low_ms, trial.measured_high_ms)
    measured = f"{repeats} ms by repeats" if repeats else measured
    measured = f"machine disturbed: {trial.measured_disturbed}" if trial.measured_disturbed else measured
    measured = "over the limit, so never exported" if is_over else measured
    on_device = [
        ("Latency, predicted", _unit(milliseconds(trial.latency_ms), "ms"), _predicted(trial)),
        ("Latency, measured", _unit(milliseconds(trial.measured_latency_ms), "ms"), measured),
        ("Size", _unit(kilobytes(trial.size_kb), "kB"), "1 kB is 1000 bytes"),
    ]
    return figures_of_merit(
        [
            ("Accuracy", percent(trial.accuracy), "validation split" if trial.accuracy is not None else why),
            *(on_device if has_device else []),
            *((title[0].upper() + title[1:], value, about) for title, value, about in told_costs(trial)),
        ]
    )


def _predicted(trial: TrialRecord) -> str:
    """The interval, and how many kernels were estimated, where so."""
    low_to_high = interval(trial.latency_low_ms, trial.latency_high_ms)
    told = [f"{low_to_high} ms"] if low_to_high else []
    told += [f"{counted(len(trial.estimated), 'kernel')} estimated"] if trial.estimated else []
    return ", ".join(told) or "from its kernels"


def _choices(trial: TrialRecord) -> Any:
    """What was chosen, for architectures that are not bitnas's."""
    rows = [[dmc.TableTh(name, w=160), dmc.TableTd(str(option))] for name, option in _chosen(trial)]
    table = dmc.Table(dmc.TableTbody([dmc.TableTr(row) for row in rows]), withRowBorders=False)
    return card("Architecture", table, note="What the space's choices were.")


def _chosen(trial: TrialRecord) -> list[tuple[str, str | int]]:
    return list((trial.choices or {}).items())


def _architecture(trial: TrialRecord) -> View[list[LayerRow]]:
    return View(
        "Architecture",
        lambda: layer_rows(trial.architecture) if trial.architecture else [],
        lambda rows: None if rows else f"No architecture has been chosen yet (the trial is {trial.state}).",
        _layer_table,
        note="From the image to the classes; each layer with the precision of its weights and activations.",
    )


def _workloads(trial: TrialRecord) -> View[Any]:
    return View(
        "Where the time goes",
        lambda: workload_bars(trial.latency_by_workload or []),
        lambda bars: None if bars else f"Nothing has been timed yet (the trial is {trial.state}).",
        lambda bars: chart("workloads", workload_figure(bars)),
        note="The predicted latency is the sum of these kernels, each timed alone on the device.",
    )


def _training(ledger: Ledger, trial: TrialRecord) -> View[Any]:
    why = WHY_UNTRAINED.get(trial.state, "no epoch was recorded")
    return View(
        "Training",
        lambda: training_curve(ledger.epochs(trial.search, trial.number)),
        lambda curve: None if curve.epochs else f"There are no epochs: {why}.",
        lambda curve: chart("training", training_figure(curve)),
    )


def _layer_table(rows: Sequence[LayerRow]) -> Any:
    titles = ("Part", "Kind", "Width", "Kernel", "Stride", "Groups", "Precision")
    head = dmc.TableThead(dmc.TableTr([dmc.TableTh(title) for title in titles]))
    body = dmc.TableTbody([dmc.TableTr([dmc.TableTd(cell) for cell in _cells(row)]) for row in rows])
    return dmc.TableScrollContainer(
        dmc.Table([head, body], verticalSpacing="xs", highlightOnHover=True, className="layers"), minWidth=640
    )


def _cells(row: LayerRow) -> list[Any]:
    kernel = MISSING if row.kernel is None else f"{row.kernel}\N{MULTIPLICATION SIGN}{row.kernel}"
    numbers = [MISSING if value is None else str(value) for value in (row.width, row.stride, row.groups)]
    badges = dmc.Group([precision_badge(layer, precision) for layer, precision in row.precisions], gap=6)
    return [dmc.Text(row.part, fw=600, size="sm"), row.kind, numbers[0], kernel, *numbers[1:], badges]


def _facts(trial: TrialRecord) -> Any:
    facts = [
        ("Digest", dmc.Code(trial.digest or MISSING)),
        ("Worker", trial.worker or MISSING),
        ("Started (UTC)", _time(trial.started_at)),
        ("Finished (UTC)", _time(trial.finished_at)),
    ]
    rows = [dmc.TableTr([dmc.TableTh(name, w=160), dmc.TableTd(value)]) for name, value in facts]
    return dmc.Table(dmc.TableTbody(rows), withRowBorders=False, verticalSpacing=4)


def _time(moment: datetime | None) -> str:
    return MISSING if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _unit(figure: str, unit: str) -> str:
    return figure if figure == MISSING else f"{figure} {unit}"

"""The page that puts trials of a search side by side: what differs, their curves, their times."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dash_mantine_components as dmc
from dash import html

from dashboards.parts import chart, crumbs, heading, notice
from dashboards.routes import Route, search_path, trial_path
from dashboards.trial_costs import LOADING, is_loading, times_of
from dashboards.trial_parts import drawing
from dashboards.views import View
from nas.figures.compared import (
    FEWEST,
    MOST,
    Compared,
    compare,
    merged,
    time_by_part,
)
from nas.figures.compared_figures import curves_figure, parts_figure
from nas.figures.drawing import Part, parts_of
from nas.formatting import MISSING, counted, numbered
from nas.ledger import Ledger, SearchConfig, TrialRecord
from nas.ledger.curves import curves_of
from search_spaces.errors import InvalidInput

TIME_NOTE = (
    "The time of each part of the networks, from the image to the classes: its kernels' added up, each "
    "measured alone on the device or estimated. Hatches tell the trials apart, too."
)
EXAMPLE = "?trials=3,5,9"


class _Times(NamedTuple):
    """The times of some networks by their parts, one mapping a trial."""

    parts: list[str]
    of: list[Mapping[str, float]]


def page(ledger: Ledger, route: Route) -> Any:
    """The page of the trials that the address names; a notice where it does not name two to eight of them."""
    name = route.search
    search, given = ledger.search(name), route.query.get("trials", [])
    top = [
        crumbs(("Searches", "/"), (name, search_path(name)), ("compare", "")),
        heading("Trials compared"),
        _chooser(name, given),
    ]
    try:
        numbers = numbers_of(given, search.trials)
    except InvalidInput as error:
        is_begun = len(_words(given)) < FEWEST  # one trial is what the page of a trial leads here with
        return dmc.Stack([*top, notice(str(error), failed=not is_begun)], gap="lg")
    trials = [ledger.trial(name, number) for number in numbers]
    cards = [
        _differences(search.config, trials).show(),
        _drawings(trials).show(),
        _curves(ledger, trials).show(),
        _times(trials).show(),
    ]
    return dmc.Stack([*top, *cards], gap="lg")


def is_live(ledger: Ledger, route: Route) -> bool:
    """Whether one of its trials may change soon, or more can be told of their networks in a moment."""
    search = ledger.search(route.search)
    try:
        numbers = numbers_of(route.query.get("trials", []), search.trials)
    except InvalidInput:
        return False
    trials = [ledger.trial(route.search, number) for number in numbers]
    return any(not trial.state.finished or (_is_timed(trial) and is_loading(trial)) for trial in trials)


def _chooser(search: str, given: Sequence[str]) -> Any:
    """A line to type other trials into; a form, so that the browser goes to the address that they make."""
    line = dmc.TextInput(
        label="Trials",
        description=f"Numbers of {FEWEST} to {MOST} trials with commas, as 3,5,9",
        name="trials",
        value=",".join(_words(given)),
        w=320,
    )
    look = {"border": 0, "cursor": "pointer"}
    send = html.Button("Compare", type="submit", className="as-button", style=look)
    path = f"{search_path(search)}/compare"
    return html.Form(dmc.Group([line, send], align="end"), action=path, method="get")


def _words(given: Sequence[str]) -> list[str]:
    return [word.strip() for text in given for word in text.split(",") if word.strip()]


def numbers_of(given: Sequence[str], count: int) -> list[int]:
    """The trials that an address names, as ``3,5,9``, of a search that has ``count``.

    Raises:
        InvalidInput: these are not two to eight different numbers of trials.
    """
    words = _words(given)
    wrong = [word for word in words if not (word.isascii() and word.isdigit() and len(word) < 10)]
    if wrong:
        raise _refused(f"{wrong[0][:40]!r} is no number of a trial", f"give numbers, as {EXAMPLE}")
    numbers = [int(word) for word in words]
    if repeated := [number for number in dict.fromkeys(numbers) if numbers.count(number) > 1]:
        raise _refused(f"{numbered('trial', repeated)} is there more than once", "name each once")
    if unknown := [number for number in numbers if number >= count]:
        raise _refused(f"there is no {numbered('trial', unknown)}", f"give numbers in 0..{count - 1}")
    if not FEWEST <= len(numbers) <= MOST:
        problem = f"the address names {counted(len(numbers), 'trial')}"
        raise _refused(problem, f"give {FEWEST} to {MOST}, as {EXAMPLE}")
    return numbers


def _refused(problem: str, fix: str) -> InvalidInput:
    return InvalidInput("trials", problem, fix)


def _differences(config: SearchConfig, trials: Sequence[TrialRecord]) -> View[Compared]:
    return View(
        "What differs",
        lambda: compare(config, trials),
        lambda found: None if found.rows else f"Nothing: all {found.equal} rows are equal.",
        lambda found: _difference_table(trials, found),
        note="Of the figures, choices, layers and the record what is not the same in all of these trials.",
    )


def _difference_table(trials: Sequence[TrialRecord], found: Compared) -> Any:
    heads = [dmc.TableTh("")]
    heads += [
        dmc.TableTh(dmc.Anchor(f"Trial {t.number}", href=trial_path(t.search, t.number))) for t in trials
    ]
    body, group = [], ""
    for row in found.rows:
        if row.group != group:
            group = row.group
            title = dmc.Text(group, fw=700, size="sm", mt="xs")
            body.append(dmc.TableTr(dmc.TableTd(title, tableProps={"colSpan": len(trials) + 1})))
        body.append(dmc.TableTr([dmc.TableTh(row.name, fw=500), *map(dmc.TableTd, row.values)]))
    table = dmc.Table(
        [dmc.TableThead(dmc.TableTr(heads)), dmc.TableTbody(body)], verticalSpacing=4, className="differences"
    )
    left_out = "row is" if found.equal == 1 else "rows are"
    told = dmc.Text(
        f"{found.equal} further {left_out} equal in all of them, and left out.", size="sm", c="dimmed"
    )
    return dmc.Stack([dmc.TableScrollContainer(table, minWidth=200 + 130 * len(trials)), told])


def _drawings(trials: Sequence[TrialRecord]) -> View[list[list[Part]]]:
    return View(
        "The architectures",
        lambda: [parts_of(trial.architecture) if trial.architecture else [] for trial in trials],
        lambda drawn: None if any(drawn) else "None of these trials has an architecture to draw.",
        lambda drawn: dmc.Group(
            [
                dmc.Stack(
                    [
                        dmc.Anchor(
                            f"Trial {trial.number}", href=trial_path(trial.search, trial.number), size="sm"
                        ),
                        drawing(parts) if parts else dmc.Text(MISSING),
                    ],
                    gap=2,
                )
                for trial, parts in zip(trials, drawn, strict=True)
            ],
            gap="xl",
            align="end",
        ),
        note="A box is a block, its height the width, its colours the layers' precisions.",
    )


def _curves(ledger: Ledger, trials: Sequence[TrialRecord]) -> View[Any]:
    numbers = [trial.number for trial in trials]
    return View(
        "Learning curves",
        lambda: curves_of(ledger, trials[0].search, numbers),
        lambda curves: None if curves else "None of these trials has been trained for an epoch yet.",
        lambda curves: dmc.Stack(
            [
                chart("compared-curves", curves_figure(curves, numbers)),
                *_without("epoch", [n for n in numbers if n not in curves]),
            ]
        ),
        note="The accuracy on the validation split after each epoch.",
    )


def _times(trials: Sequence[TrialRecord]) -> View[_Times]:
    return View(
        "Where the time goes",
        lambda: _times_of(trials),
        lambda times: None if times.parts else _why_no_times(trials),
        lambda times: _drawn_times(trials, times),
        note=TIME_NOTE,
    )


def _times_of(trials: Sequence[TrialRecord]) -> _Times:
    found = [time_by_part(times_of(trial).kernels) for trial in trials]
    return _Times(merged(found), found)


def _drawn_times(trials: Sequence[TrialRecord], times: _Times) -> Any:
    numbers = [trial.number for trial in trials]
    rows = [[part, *(mine.get(part) for mine in times.of)] for part in times.parts]
    rows.append(["all kernels", *(sum(mine.values()) if mine else None for mine in times.of)])
    table = ("Part", *(f"Trial {number} (ms)" for number in numbers)), rows
    return dmc.Stack(
        [
            chart("compared-times", parts_figure(times.of, times.parts, numbers), table=table),
            *_without("time", [n for n, mine in zip(numbers, times.of, strict=True) if not mine]),
        ]
    )


def _is_timed(trial: TrialRecord) -> bool:
    return bool(trial.latency_by_workload)


def _why_no_times(trials: Sequence[TrialRecord]) -> str:
    if not any(_is_timed(trial) for trial in trials):
        return "None of these trials has been timed yet."
    if any(is_loading(trial) for trial in trials):
        return LOADING
    return "Of none of these trials the parts that its kernels belong to are known here."


def _without(what: str, numbers: Sequence[int]) -> list[Any]:
    """Which trials a figure lacks."""
    if not numbers:
        return []
    return [dmc.Text(f"No {what} is known of {numbered('trial', numbers)}.", size="sm", c="dimmed")]

"""``nas pareto``: the front of a search in any objectives, its knee, its hypervolume, and the figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.options import LimitType, json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say
from nas.cli.reading import export_of, opened, print_trials, summary
from nas.figures.data import axes_of, describe_counts, pareto_data, why_no_pareto
from nas.hints import command
from nas.ledger.records import TRAINING
from nas.objectives import objective
from search_spaces.errors import BitnasError, Parameter

if TYPE_CHECKING:
    from nas.analysis.pareto import Hypervolume, Pareto, Step
    from nas.ledger import SearchConfig, SearchRecord, TrialRecord

HISTORY_ROWS = (1, 2, 3, 5, 10, 20, 30, 50)
"""After so many trained trials the history is told, and after 100, 200, ... and the last."""


@click.command()
@click.argument("search")
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="NAME",
    help="Show the front of these objectives instead of the search's own, once for each.",
)
@click.option("--history", is_flag=True, help="Also show how the hypervolume grew from trial to trial.")
@click.option(
    "--reference",
    "references",
    type=LimitType(),
    multiple=True,
    help="Measure the hypervolume from here, once for each objective: what is worse than all that counts.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Also write a figure of all trials; with --history a second one, of the hypervolume.",
)
@storage_option
@json_option
def pareto(
    search: str,
    objectives: tuple[str, ...],
    history: bool,
    references: tuple[tuple[str, float], ...],
    plot: Path | None,
    storage: str,
    as_json: bool,
) -> None:
    """Show the trials of SEARCH that no other beats in all objectives together."""
    from dataclasses import replace

    from nas.analysis.pareto import pareto_of, shown_config

    with opened(storage) as ledger:
        record = ledger.search(search)
        found = ledger.outlines(search, objectives=objectives) if plot is None else ledger.trials(search)
    record = replace(record, config=shown_config(record, objectives))
    shown = pareto_of(found, record.config, dict(references))
    if plot is not None:
        _plot(plot, record, found, shown, history)
    if history or references:
        _say_no_hypervolume(shown)
    front = _sorted(shown.front, record.config)
    if as_json:
        print_json({"front": [summary(record.config, trial) for trial in front], **shown.to_dict()})
        return
    if not front:
        is_any = any(t.state == "complete" for t in found)
        why = "complete trial of '{}' is within the limits" if is_any else "trial of '{}' is complete yet"
        say(f"No {why.format(search)} ({describe_counts(record)}).")
        return
    _print(record, front, shown, history)
    _say_next(record, front, storage)


def _print(record: "SearchRecord", front: "list[TrialRecord]", shown: "Pareto", history: bool) -> None:
    marks = {} if shown.knee is None else {shown.knee.number: "knee"}
    print_trials(record.config, front, marks)
    if history and shown.history:
        _print_history(shown.history)
    if shown.hypervolume is not None:
        say(told_hypervolume(shown.hypervolume))


def _say_no_hypervolume(shown: "Pareto") -> None:
    """Why something about the hypervolume that was asked for is missing, if it is."""
    from nas.analysis.pareto import MOST_OBJECTIVES

    if (count := len(shown.objectives)) > MOST_OBJECTIVES:
        told = f"No hypervolume and no history of it: these are {count} objectives"
        say(f"{told}, and it is of {MOST_OBJECTIVES} at most; choose some by --objective")


def told_hypervolume(found: "Hypervolume") -> str:
    """In a sentence, with the reference."""
    reference, best = (
        ", ".join(f"{objective(name).title} {objective(name).told(value)}" for name, value in ends.items())
        for ends in (found.reference, found.best)
    )
    return f"Hypervolume {found.share:.4f} of the box from {reference} (reference) to {best} (best)"


def _print_history(history: "Sequence[Step]") -> None:
    rows = [[str(step.trained), str(step.number), f"{step.share:.4f}"] for step in told_steps(history)]
    columns = [Column(title, right=True) for title in ("trained", "trial", "hypervolume")]
    print_table(columns, rows, title="Hypervolume by trials trained")


def told_steps(history: "Sequence[Step]") -> "list[Step]":
    """A few of many steps: after 1, 2, 3, 5, 10, 20, ... and the last."""
    last = len(history)
    wanted = {*HISTORY_ROWS, *range(100, last, max(100, last // 1000 * 100)), last}
    return [step for step in history if step.trained in wanted]


def _sorted(front: "list[TrialRecord]", config: "SearchConfig") -> "list[TrialRecord]":
    """From left to right in the figure."""
    x = objective(axes_of(config)[0].name)

    def place(trial: "TrialRecord") -> tuple[float, int]:
        value = x.of(trial)
        return (0.0 if value is None else value.value), trial.number

    return sorted(front, key=place)


def _say_next(record: "SearchRecord", front: "list[TrialRecord]", storage: str) -> None:
    one = command("trial", record.name, front[-1].number, storage=storage)
    fits = any(not record.config.breaks_limit(trial) for trial in front)
    fits = fits and record.config.evaluator == TRAINING
    say(f"Next: {one}" + (f", or {export_of(record.name, storage)}" if fits else ""))


def _plot(
    path: Path, search: "SearchRecord", trials: "list[TrialRecord]", shown: "Pareto", history: bool
) -> None:
    from nas.cli.writing import write_figures
    from nas.figures.hypervolume import hypervolume_figure
    from nas.figures.search import add_title, pareto_figure, title_of

    data = pareto_data(search, trials, shown.front)
    reason = why_no_pareto(search, data)
    if reason:
        raise BitnasError(Parameter("plot"), f": {reason[0].lower()}{reason[1:]}; wait for the first trials")
    title = f"{search.name}: {title_of(data.x, data.y)}"
    figures = [pareto_figure(data)]
    add_title(figures[0], title)
    if history and shown.history:
        figures.append(hypervolume_figure([(s.trained, s.number, s.share) for s in shown.history]))
        add_title(figures[1], f"{search.name}: hypervolume")
    write_figures("plot", path, figures, title)
    say(f"Wrote {path}")

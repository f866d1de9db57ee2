"""The commands that read a ledger: trials, trial."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_pairs, print_table, say
from nas.figures.data import (
    SHORT_DIGEST,
    describe_counts,
    further_objectives,
    notes,
    told_costs,
    told_results,
    workload_bars,
)
from nas.figures.layers import layer_rows
from nas.formatting import MISSING, counted, interval, kilobytes, milliseconds, numbered, percent
from nas.hints import command
from nas.ledger.needs import check_objectives, unknown_objectives
from nas.ledger.records import TRAINING
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from nas.analysis.searches_data import SearchRow
    from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialRecord
    from nas.ledger.mistakes import Predictions
    from nas.objectives import Objective

# The states of nas.ledger.TrialState, which is not imported here: it would load SQLAlchemy for --help.
STATES = ("queued", "running", "paused", "complete", "infeasible", "pruned", "failed")

TRIAL_COLUMNS = (
    Column("trial", right=True),
    Column("state"),
    Column("accuracy", right=True),
    Column("predicted ms", right=True),
    Column("measured ms", right=True),
    Column("size kB", right=True),
    Column("digest"),
)
NOTE = Column("note")


@click.command()
@click.argument("search")
@click.option("--state", type=click.Choice(STATES), help="Only the trials in this state.")
@storage_option
@json_option
def trials(search: str, state: str | None, storage: str, as_json: bool) -> None:
    """List the trials of SEARCH.

    Accuracy is that of the validation split. A figure that is missing is a dash: an infeasible trial was
    never trained, and only the trials of the front are measured whole.
    """
    from nas.ledger import TrialState

    with opened(storage) as ledger:
        record = ledger.search(search)
        check_objectives(search, record.config)
        found = ledger.outlines(search, None if state is None else TrialState(state))
    if as_json:
        print_json([summary(record.config, trial) for trial in found])
    elif not found:
        say(f"No trial of '{search}' is {state} ({describe_counts(record)}).")
    else:
        print_trials(record.config, found)
        one, best = command("trial", search, found[0].number, storage=storage), _pareto_of(search, storage)
        say(f"{describe_counts(record)}. Next: {one}, or {best}")


@click.command()
@click.argument("search")
@click.argument("number", type=click.IntRange(min=0))
@storage_option
@json_option
def trial(search: str, number: int, storage: str, as_json: bool) -> None:
    """Show trial NUMBER of SEARCH: its architecture, where its time goes, and its epochs.

    JSON has what its network gets wrong on the validation split, too: how many images of which class it takes
    for which, and the mistakes that it is most certain of, each by its place in the split.
    """
    from nas.ledger.predictions import predictions_of

    with opened(storage) as ledger:
        record = ledger.trial(search, number)
        epochs, config = ledger.epochs(search, number), ledger.search(search).config
        predictions = predictions_of(ledger, search, number)
    if as_json:
        print_json(_full(record, epochs, predictions))
        return
    print_pairs(_facts(record, told_results(config, record), notes(config, record)))
    if config.evaluator == TRAINING or record.size_kb is not None:
        _print_architecture(record)
    else:
        print_pairs([(name, str(option)) for name, option in (record.choices or {}).items()])
    _print_workloads(record)
    _print_epochs(epochs)
    if unknown := unknown_objectives(config):
        say(f"No unit and no title of {', '.join(unknown)}: nas --plugin FILE trial ... has those")
    if record.state == "complete" and config.evaluator == TRAINING:
        say(f"Next: {export_of(search, storage, '--trial', number)}")


def _pareto_of(search: str, storage: str) -> str:
    return command("pareto", search, storage=storage)


def export_of(search: str, storage: str, *options: object) -> str:
    """The command that exports of a search."""
    return command("export", search, *options, "-o", "winner/", storage=storage)


def opened(storage: str) -> "Ledger":
    """The ledger."""
    from nas.ledger import Ledger

    return Ledger.open(storage)


def search_row(row: "SearchRow") -> list[str]:
    """A search within a list: its settings, how it stands, and how many trials are in which state."""
    search, config = row.record, row.record.config
    counts = {str(state): count for state, count in search.counts.items()}
    names = [search.name, search.drawn_from, config.data, config.device, search.drawn_by or MISSING]
    names += [str(row.state), row.told_left]
    numbers = [row.told_best, str(sum(counts.values())), *(str(counts.get(state, 0)) for state in STATES)]
    return [*names, *numbers, f"{search.created_at:%Y-%m-%d %H:%M}"]


def _trial_row(trial: "TrialRecord", further: "Sequence[Objective]") -> list[str]:
    values = [(o, o.of(trial)) for o in further]
    return [
        str(trial.number),
        str(trial.state),
        percent(trial.accuracy),
        milliseconds(trial.latency_ms),
        milliseconds(trial.measured_latency_ms),
        kilobytes(trial.size_kb),
        *(o.show(None if value is None else value.value) for o, value in values),
        (trial.digest or MISSING)[:SHORT_DIGEST],
    ]


def print_trials(
    config: "SearchConfig", trials: "Sequence[TrialRecord]", marks: Mapping[int, str] | None = None
) -> None:
    """A table of trials; ``marks``, by number, and what to know of their latencies are in a last column."""
    marks = marks or {}
    told = [", ".join(filter(None, (marks.get(t.number), notes(config, t)))) for t in trials]
    further = further_objectives(config)
    *usual, digest = TRIAL_COLUMNS
    columns = [*usual, *(Column(f"{o.title} {o.unit}".rstrip(), right=True) for o in further), digest]
    rows = [_trial_row(trial, further) for trial in trials]
    if not config.device:  # and so no latencies, and no size of architectures of your own
        shown = [n for n in range(len(columns)) if n < 3 or any(row[n] != MISSING for row in rows)]
        columns = [columns[n] for n in shown]
        rows = [[row[n] for n in shown] for row in rows]
    if any(told):
        columns.append(NOTE)
        rows = [[*row, note] for row, note in zip(rows, told, strict=True)]
    print_table(columns, rows)


def summary(config: "SearchConfig", trial: "TrialRecord") -> dict[str, Any]:
    """A trial within a list: all but the long fields, which ``nas trial --json`` has."""
    long = ("architecture", "choices", "latency_by_workload", "parents")
    short = {name: value for name, value in trial.to_dict().items() if name not in long}
    return {**short, "is_over": config.breaks_limit(trial)}


def _full(
    trial: "TrialRecord", epochs: "list[EpochRecord]", predictions: "Predictions | None"
) -> dict[str, Any]:
    """All of a trial, its architecture as an object instead of text."""
    architecture = json.loads(trial.architecture) if trial.architecture else None
    return {
        **trial.to_dict(),
        "architecture": architecture,
        "epochs": [epoch.to_dict() for epoch in epochs],
        "predictions": None if predictions is None else predictions.to_dict(),
    }


def _facts(
    trial: "TrialRecord", results: "Sequence[tuple[str, str, str]]", note: str
) -> list[tuple[str, str]]:
    figures = [*results, *told_costs(trial)]
    facts = [
        ("trial", f"{trial.search} {trial.number}"),
        ("state", str(trial.state)),
        ("accuracy", f"{percent(trial.accuracy)} (validation)" if trial.accuracy is not None else MISSING),
        ("predicted", _predicted(trial)),
        ("measured", _measured(trial)),
        ("size", _with_unit(kilobytes(trial.size_kb), "kB")),
        *((title, f"{value} ({about})" if about else value) for title, value, about in figures),
        ("digest", trial.digest or MISSING),
        ("worker", trial.worker or MISSING),
    ]
    if trial.parents:
        facts.append(("bred from", numbered("trial", trial.parents)))
    if trial.passed_over:
        facts.append(("passed over", f"{trial.passed_over} before it, known or over a limit"))
    facts += [("note", note)] if note else []
    return [*facts, ("error", trial.error)] if trial.error else facts


def _predicted(trial: "TrialRecord") -> str:
    """The sum over the kernels, its interval, and whether some of them were estimated."""
    told = _with_unit(milliseconds(trial.latency_ms), "ms")
    told += f" ({found})" if (found := interval(trial.latency_low_ms, trial.latency_high_ms)) else ""
    return told + (f", {counted(len(trial.estimated), 'kernel')} estimated" if trial.estimated else "")


def _measured(trial: "TrialRecord") -> str:
    """The time of the whole network, its interval, and what made it worthless."""
    told = _with_unit(milliseconds(trial.measured_latency_ms), "ms")
    told += f" ({found})" if (found := interval(trial.measured_low_ms, trial.measured_high_ms)) else ""
    return told + (f", machine disturbed: {trial.measured_disturbed}" if trial.measured_disturbed else "")


def _with_unit(figure: str, unit: str) -> str:
    return figure if figure == MISSING else f"{figure} {unit}"


def _print_architecture(trial: "TrialRecord") -> None:
    if not trial.architecture:
        return
    try:
        rows = layer_rows(trial.architecture)
    except InvalidInput as error:
        say(f"The architecture cannot be read: {error}")
        return
    names = ("width", "kernel", "stride", "groups")
    columns = [
        Column("part"),
        Column("kind"),
        *(Column(name, right=True) for name in names),
        Column("precision"),
    ]
    table = []
    for row in rows:
        shape = (row.width, row.kernel, row.stride, row.groups)
        layers = ", ".join(f"{layer} {precision}" for layer, precision in row.precisions)
        table.append([row.part, row.kind, *(MISSING if n is None else str(n) for n in shape), layers])
    print_table(columns, table, title="Architecture")


def _print_workloads(trial: "TrialRecord") -> None:
    bars = workload_bars(trial.latency_by_workload or [])
    if bars:
        columns = (Column("workload"), Column("uses", right=True), Column("ms", right=True), Column("how"))
        how = dict.fromkeys(trial.estimated, "estimated")
        rows = [
            [bar.label, str(bar.uses), milliseconds(bar.milliseconds), how.get(bar.workload, "measured")]
            for bar in bars
        ]
        print_table(columns, rows, title="Predicted latency by workload")


def _print_epochs(epochs: "list[EpochRecord]") -> None:
    if epochs:
        columns = [Column(name, right=True) for name in ("epoch", "train loss", "accuracy", "seconds")]
        print_table(columns, [_epoch_row(epoch) for epoch in epochs], title="Epochs")


def _epoch_row(epoch: "EpochRecord") -> list[str]:
    loss = MISSING if epoch.train_loss is None else f"{epoch.train_loss:.4f}"
    return [str(epoch.epoch), loss, percent(epoch.accuracy), f"{epoch.seconds:.1f}"]

"""``nas search``: start a search or go on with one, show how it goes, and say what to type next."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nas.cli.options import Kilobytes, Milliseconds, json_option, storage_option
from nas.figure_data import milliseconds
from nas.hints import command
from nas.ledger.records import SearchConfig, SearchRecord, TrialRecord, TrialState
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from nas.ledger import Ledger

# What may be said anew when a search goes on; the rest was fixed when it was made.
_WITH_RESUME = {"resume", "storage", "workers", "as_json"}
_COLOURS = {
    TrialState.COMPLETE: "green",
    TrialState.INFEASIBLE: "yellow",
    TrialState.PRUNED: "cyan",
    TrialState.FAILED: "red",
}


@click.command()
@click.option("--name", metavar="NAME", help="What to call the search.")
@click.option("--resume", metavar="NAME", help="Go on with a search, with the settings it was made with.")
@click.option("--space", default="tiny", show_default=True, help="The search space.")
@click.option(
    "--data",
    default="digits",
    show_default=True,
    metavar="NAME_OR_PATH",
    help="The data set: digits, a folder, OWNER/NAME on the hub.",
)
@click.option("--image-size", type=int, help="Bring images to a square of this side.")
@click.option("--device", default="local", show_default=True, help="The device whose latency counts.")
@click.option("--trials", type=int, default=24, show_default=True, help="How many architectures to try.")
@click.option("--epochs", type=int, default=3, show_default=True, help="How long to train each.")
@click.option("--max-latency-ms", type=Milliseconds, help="Do not train what is predicted to be slower.")
@click.option("--max-size-kb", type=Kilobytes, help="Do not train what is larger (1 kB = 1000 bytes).")
@click.option("--sampler", default="tpe", show_default=True, help="Who proposes: tpe, nsga2 or random.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes a search repeatable.")
@click.option("--workers", type=int, default=1, show_default=True, help="How many processes run trials.")
@click.option("--pruner", default="none", show_default=True, help="Who stops hopeless trials: none, median.")
@click.option(
    "--when-away",
    type=click.Choice(["wait", "predict"]),
    default="wait",
    show_default=True,
    help="While the device does not answer: wait for it, or predict from what was measured.",
)
@storage_option
@json_option
@click.pass_context
def search(context: click.Context, /, **options: Any) -> None:
    """Search a space for the best trade-offs of accuracy, latency and size.

    Every trial is written to the ledger as it goes: a search that was stopped or killed loses nothing that
    was finished and goes on with --resume.
    """
    storage, workers = options["storage"], options["workers"]
    from nas import search as service

    service.check_workers(workers)
    if options["resume"] is not None:
        _refuse_settings(context)
        record = service.resume(storage, options["resume"])
    else:
        record = service.create(storage, _name(options), _config(options))
    _run(storage, record, workers)
    _report(storage, record.name, options["as_json"])


def _name(options: dict[str, Any]) -> str:
    name = options["name"]
    if name is None:
        raise InvalidInput("--name", "a new search needs a name", "give one, or --resume an old search")
    return str(name)


def _config(options: dict[str, Any]) -> SearchConfig:
    from nas.cli.train import decoding
    from nas.data import load
    from nas.data.opening import canonical

    with decoding() as progress:
        load(options["data"], options["image_size"], progress)
    options = {**options, "data": canonical(options["data"])}
    return SearchConfig(**{field.name: options[field.name] for field in fields(SearchConfig)})


def _refuse_settings(context: click.Context) -> None:
    for name in context.params:
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _WITH_RESUME:
            option = "--" + name.replace("_", "-")
            raise InvalidInput(option, "a search goes on with the settings it was made with", "leave it out")


def _run(storage: str, record: SearchRecord, workers: int) -> None:
    from nas import search as service
    from nas.ledger import Ledger
    from nas.worker import Job

    try:
        with Ledger.open(storage) as ledger, _progress(ledger, record) as show:
            service.run(Job(storage, record.name), workers, show)
    except KeyboardInterrupt:
        resume = command("search", "--resume", record.name, storage=storage)
        click.echo(f"\nWhat was finished is kept; go on with: {resume}", err=True)
        raise click.Abort from None


@contextmanager
def _progress(ledger: "Ledger", record: SearchRecord) -> Iterator[Callable[[SearchRecord], None]]:
    """Shows each trial that finishes and how far the search is, on a terminal; says nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda now: None
        return
    shown = {trial.number for trial in ledger.trials(record.name) if trial.state.finished}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(record.name, total=record.config.trials, completed=len(shown))

        def show(now: SearchRecord) -> None:
            for trial in ledger.trials(now.name):
                if trial.state.finished and trial.number not in shown:
                    shown.add(trial.number)
                    console.print(_line(trial), highlight=False)
            timing = ", timing the front" if now.finished else ""
            if any(t.state is TrialState.QUEUED and t.error for t in ledger.trials(now.name)):
                timing = ", waiting for the device"
            progress.update(task, completed=len(shown), description=f"{now.name}{timing}")

        yield show


def _line(trial: TrialRecord) -> str:
    from rich.markup import escape

    colour = _COLOURS[trial.state]
    parts = [f"trial {trial.number:>4}  [{colour}]{trial.state:<10}[/{colour}]"]
    parts.append("accuracy  -   " if trial.accuracy is None else f"accuracy {trial.accuracy:.3f}")
    parts.append("" if trial.latency_ms is None else f"latency {milliseconds(trial.latency_ms)} ms")
    parts.append("" if trial.size_kb is None else f"size {trial.size_kb:.1f} kB")
    if trial.state is TrialState.FAILED:
        parts.append(escape(trial.error or ""))
    return "  ".join(parts)


def _report(storage: str, name: str, as_json: bool) -> None:
    from nas.ledger import Ledger, Worker
    from nas.ledger.claims import Claims

    with Ledger.open(storage) as ledger:
        record, front = ledger.search(name), ledger.front(name)
        others = Claims(ledger, name, Worker.this_process()).at_work()
    if as_json:
        click.echo(json.dumps({**record.to_dict(), "front": [trial.to_dict() for trial in front]}))
    else:
        counts = ", ".join(f"{count} {state}" for state, count in record.counts.items() if count)
        click.echo(f"{name}: {record.config.trials} trials ({counts}), {len(front)} on the front")
    if record.counts[TrialState.FAILED] == record.config.trials:
        raise BitnasError(
            f"search: every trial failed; see why with: {command('trial', name, 0, storage=storage)}"
        )
    if as_json:
        return
    if over := [str(t.number) for t in front if record.config.is_over(t.measured_latency_ms)]:
        click.echo(f"Over the limit when measured, so never exported: {', '.join(over)}", err=True)
    click.echo(_next(record, front, others, storage), err=True)


def _next(record: SearchRecord, front: list[TrialRecord], others: list[str], storage: str) -> str:
    def next_command(*words: str) -> str:
        return command(*words, record.name, storage=storage)

    if not front and record.counts[TrialState.INFEASIBLE]:
        return f"Nothing was within the limits; see by how much: {next_command('trials')}"
    if any(trial.measured_latency_ms is None and trial.error is None for trial in front):
        if others:
            return f"The front is being timed by {', '.join(others)}; once it is: {next_command('pareto')}"
        return f"The front is not measured; when the device answers: {next_command('latency', 'verify')}"
    if any(trial.measured_disturbed for trial in front):
        noisy = ", ".join(str(trial.number) for trial in front if trial.measured_disturbed)
        again, pareto = next_command("latency", "verify"), next_command("pareto")
        return f"Timed on a disturbed machine: {noisy}; when it is quiet: {again}\nNext: {pareto}"
    return f"Next: {next_command('pareto')}"

"""``nas search``: start a search or go on with one, show how it goes, and say what to type next."""

import json
from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from nas.cli.options import Kilobytes, LatencyLimitType, LimitType, Milliseconds, json_option, storage_option
from nas.formatting import counted, milliseconds, numbered
from nas.hints import command
from nas.ledger.records import SearchConfig, SearchRecord, TrialRecord, TrialState
from nas.objectives import DEFAULT
from search_spaces.errors import BitnasError, InvalidInput

# What may be said again when a search goes on; the rest was fixed when it was made.
_WITH_RESUME = {"resume", "storage", "workers", "executor", "as_json", "verbose"}


@click.command()
@click.option("--name", metavar="NAME", help="The name of the search.")
@click.option("--resume", metavar="NAME", help="Continue a search with its own settings.")
@click.option("--space", default="tiny", show_default=True, help="The search space.")
@click.option(
    "--data",
    default="",
    metavar="NAME_OR_PATH",
    help="The data set: digits, a folder, OWNER/NAME on the hub.  [default: digits]",
)
@click.option(
    "--evaluator",
    default="training",
    show_default=True,
    metavar="NAME",
    help="What a trial runs: training, or one of a plug-in.",
)
@click.option("--image-size", type=int, help="Crop and scale images to a square of this side.")
@click.option("--device", default="local", show_default=True, help="The device whose latency counts.")
@click.option("--trials", type=int, default=24, show_default=True, help="How many architectures to try.")
@click.option("--epochs", type=int, default=3, show_default=True, help="How many epochs to train each.")
@click.option(
    "--repeats", type=int, default=1, show_default=True, help="How often to train each, with other seeds."
)
@click.option("--batch-size", type=int, help="Images per step; chosen by the number of images if not given.")
@click.option("--learning-rate", type=float, help="The highest rate of a training.")
@click.option(
    "--max-latency",
    type=LatencyLimitType(),
    help="Do not train networks predicted to be slower: 0.4ms, 400us, or 0.5x of the space's median.",
)
@click.option("--max-latency-ms", type=Milliseconds, help="The same limit in milliseconds.")
@click.option(
    "--max-size-kb", type=Kilobytes, help="Do not train networks that are larger (1 kB = 1000 bytes)."
)
@click.option(
    "--max-memory-kb", type=Kilobytes, help="Do not train networks whose activations need more memory."
)
@click.option("--max-macs", type=float, help="Do not train networks of more multiply-accumulates.")
@click.option(
    "--limit",
    "limits",
    type=LimitType(),
    multiple=True,
    help="The same for any other objective, such as latency@pi=3.",
)
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="NAME",
    default=DEFAULT,
    show_default=True,
    help="What to trade off, once for each: accuracy, latency, size, memory, macs, latency@DEVICE.",
)
@click.option(
    "--sampler",
    default="tpe",
    show_default=True,
    help="The sampler that proposes trials: tpe, nsga2 or random.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The random seed; the same seed repeats a search."
)
@click.option("--workers", type=int, default=1, show_default=True, help="How many trials run at once.")
@click.option("--executor", default="local", show_default=True, metavar="NAME", help="Where they run: local.")
@click.option(
    "--pruner",
    default="none",
    show_default=True,
    help="The pruner that stops unpromising trials early: none or median.",
)
@click.option(
    "--when-away",
    type=click.Choice(["wait", "predict"]),
    default="wait",
    show_default=True,
    help="While the device does not answer: wait for it, or predict from what was measured.",
)
@click.option(
    "--measure",
    type=click.Choice(["front", "all"]),
    default="front",
    show_default=True,
    help="Measure the kernels of what may be on the front, or of every trial.",
)
@click.option("--verbose", is_flag=True, help="Say when the device was disturbed.")
@storage_option
@json_option
@click.pass_context
def search(context: click.Context, /, **options: Any) -> None:
    """Search a space for the best trade-offs of accuracy, latency and size.

    Every trial is written to the database as it runs. A search that was stopped or killed keeps what was
    finished; continue it with --resume.
    """
    from nas.bars import decoding
    from nas.searching import search as service

    storage = options["storage"]
    service.check_run(options["workers"], options["executor"])
    if options["resume"] is not None:
        _refuse_settings(context)
        record = service.resume(storage, options["resume"])
    else:
        name, config = _name(options), _config(options)
        with decoding() as progress:
            record = service.create(storage, name, config, progress)
    _run(record.name, options)
    _report(storage, record.name, options["as_json"])


def _name(options: dict[str, Any]) -> str:
    name = options["name"]
    if name is None:
        raise InvalidInput("name", "a new search needs a name", "give one, or --resume an old search")
    return str(name)


def _config(options: dict[str, Any]) -> SearchConfig:
    options = {**options, **_latency_limit(options)}
    options["limits"] = dict(options["limits"])
    return SearchConfig(**{f.name: options[f.name] for f in fields(SearchConfig) if f.name in options})


def _latency_limit(options: dict[str, Any]) -> dict[str, float | None]:
    limit, in_ms = options["max_latency"], options["max_latency_ms"]
    if limit is None:
        return {"max_latency_ms": in_ms}
    if in_ms is not None:
        raise InvalidInput("max_latency", "--max-latency-ms limits the same", "give one of the two")
    return {"max_latency_ms": limit.milliseconds, "max_latency_share": limit.share}


def _refuse_settings(context: click.Context) -> None:
    for name in context.params:
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _WITH_RESUME:
            raise InvalidInput(name, "a search goes on with the settings it was made with", "leave it out")


def _run(name: str, options: dict[str, Any]) -> None:
    from nas.searching.shown import run_shown

    settings = {setting: options[setting] for setting in ("storage", "workers", "executor", "verbose")}
    try:
        spent = run_shown(name=name, progress=True, **settings)
    except KeyboardInterrupt:
        resume = command("search", resume=name, storage=options["storage"])
        click.echo(f"\nFinished trials are kept; continue with: {resume}", err=True)
        raise click.Abort from None
    for sentence in spent.sentences("--verbose"):
        click.echo(sentence, err=True)


def _report(storage: str, name: str, as_json: bool) -> None:
    from nas.ledger import Ledger, Worker
    from nas.ledger.claims import Claims
    from nas.result import Result

    with Ledger.open(storage) as ledger:
        record, front = ledger.search(name), ledger.front(name)
        others = Claims(ledger, name, Worker.this_process()).at_work()
    if as_json:
        click.echo(json.dumps(Result(storage, name).to_dict()))
    else:
        counts = ", ".join(f"{count} {state}" for state, count in record.counts.items() if count)
        click.echo(f"{name}: {counted(record.config.trials, 'trial')} ({counts}), {len(front)} on the front")
        _tell_limit(record)
    if record.counts[TrialState.FAILED] == record.config.trials:
        raise BitnasError(
            f"search: every trial failed; see why with: {command('trial', name, 0, storage=storage)}"
        )
    if as_json:
        return
    if over := [t.number for t in front if record.config.is_over(t.measured_latency_ms)]:
        click.echo(f"Over the limit when measured, so never exported: {numbered('trial', over)}", err=True)
    _verdict(record, front[0].accuracy if front else None)
    click.echo(_next(record, front, others, storage), err=True)


def _tell_limit(record: SearchRecord) -> None:
    """What the limit was, where it was relative."""
    config = record.config
    if config.median_latency_ms is not None and config.max_latency_ms is not None:
        limit, middle = milliseconds(config.max_latency_ms), milliseconds(config.median_latency_ms)
        click.echo(
            f"The limit was {limit} ms: {config.max_latency_share:g}x the median, {middle} ms", err=True
        )


def _verdict(record: SearchRecord, best: float | None) -> None:
    """Say so where the best network is no better than chance or than a linear classifier."""
    from nas.data import load
    from nas.training.baseline import Baselines

    if best is None or not record.config.data:
        return
    verdict = Baselines.of(load(record.config.data, record.config.image_size)).verdict(best)
    if verdict is not None:
        click.echo(verdict, err=True)


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
        noisy = numbered("trial", (trial.number for trial in front if trial.measured_disturbed))
        again, pareto = next_command("latency", "verify"), next_command("pareto")
        return f"Timed on a disturbed machine: {noisy}; when it is quiet: {again}\nNext: {pareto}"
    return f"Next: {next_command('pareto')}"

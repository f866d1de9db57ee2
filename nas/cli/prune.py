"""``nas prune``: a trained network made faster: fewer channels and blocks, then trained on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nas.bars import show_progress
from nas.cli.options import Milliseconds, json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say, tell_epoch
from nas.formatting import counted, kilobytes, milliseconds
from nas.hints import command
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from nas.pruning.run import Request
    from nas.pruning.source import Source
    from nas.steps.beginning import Command
    from nas.steps.networks import Step

_FIELDS = (
    "by",
    "target_latency_ms",
    "target_share",
    "rounds",
    "epochs",
    "rate",
    "distillation",
    "seed",
)


@click.command()
@click.argument("run")
@click.option(
    "--trial", "number", type=click.IntRange(min=0), help="Of a search: this trial; else its most accurate."
)
@click.option(
    "--by", default="taylor", show_default=True, metavar="NAME", help="What matters: taylor, magnitude or bn."
)
@click.option("--target-latency-ms", type=Milliseconds, help="What the network may take on the device.")
@click.option("--target-share", type=float, help="The same as a share of what it takes now, such as 0.5.")
@click.option(
    "--rounds", type=int, default=1, show_default=True, help="In how many steps, with a training after each."
)
@click.option("--epochs", type=int, default=10, show_default=True, help="How many epochs each trains.")
@click.option("--rate", type=float, help="Their highest learning rate. [default: the network's]")
@click.option(
    "--distillation",
    type=float,
    default=0.5,
    show_default=True,
    help="The share of the loss that the unpruned network teaches; 0: none.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the trainings repeatable.")
@click.option(
    "--name",
    metavar="NAME",
    help="The search that is made. [default: RUN-pruned, of a search RUN-NUMBER-pruned]",
)
@click.option("--device", metavar="NAME", help="Of a training: what it is to be fast on. [default: local]")
@storage_option
@json_option
@click.pass_context
def prune(context: click.Context, /, run: str, **options: Any) -> None:
    """Make the network of RUN faster by taking out channels and blocks, and train what is left.

    RUN is the folder of a finished training, or a search. Which channels, and how many, is chosen by the
    measured time of the kernels that are left. What comes out is a search: trial 0 is the network as it was,
    each round one more. A command that was interrupted goes on when it is typed again.
    """
    from nas.cli.again import goes_on
    from nas.export.trainings import is_training
    from nas.pruning.run import Request

    request = Request(**{name: options[name] for name in _FIELDS})
    _refuse(context, run, is_training(run))
    with goes_on(context):
        name, found = _pruned(run, request, options)
    if options["as_json"]:
        print_json(_to_dict(name, found))
        return
    print_table(COLUMNS, list(_rows(found)))
    words = ("export", name, "-o", "pruned")
    say(f"Next: {command(*words, trial=found[-1].number, storage=options['storage'])}")


def _pruned(run: str, request: "Request", options: dict[str, Any]) -> "tuple[str, list[Step]]":
    """The name of the search, and its steps."""
    from nas.cli.latency_model import open_model
    from nas.export.trainings import is_training
    from nas.ledger import Ledger
    from nas.pruning.run import prune
    from nas.pruning.source import of_trial
    from nas.steps.beginning import begin, check_name
    from nas.steps.steps import Steps

    storage, is_folder = options["storage"], is_training(run)
    trained = _of_training(run, options["device"]) if is_folder else None  # before a ledger is made
    with Ledger.open(storage, create=is_folder) as ledger:
        source = trained or of_trial(ledger, run, options["number"])
        name = options["name"] or _usual_name(run, source)
        this = _command(run, request, source)
        check_name(ledger, name, this)
        with open_model(storage, source.config.device, brief=True) as model:
            config = replace(
                source.config, trials=1 + request.rounds, epochs=request.epochs, seed=request.seed
            )
            begin(ledger, name, config, this)
            steps = Steps(ledger, name, source.data, say)
            found = prune(source, request, model, steps, say, tell_epoch, show_progress)
    return name, found


def _usual_name(run: str, source: "Source") -> str:
    """Of the search that is made."""
    return f"{_of(run, source).replace('/', '-')}-pruned"


def _of(run: str, source: "Source") -> str:
    """What users call the network."""
    return source.same_as or Path(run).resolve().name


def _command(run: str, request: "Request", source: "Source") -> "Command":
    from nas.steps.beginning import Command

    which = source.same_as or str(Path(run).resolve())
    settings = {"run": which, "device": source.config.device, **request.settings(source)}
    return Command("prune", settings, source.digest, source.data.digest, _of(run, source))


def _refuse(context: click.Context, run: str, is_folder: bool) -> None:
    """Refuse options that are about the other kind of RUN."""
    of_other, told = (("number",), "a training") if is_folder else (("device",), "a search")
    for name in of_other:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InvalidInput(name, f"'{run}' is {told}, which has none to choose", "leave it out")


def _of_training(run: str, device: str | None) -> "Source":
    from nas.pruning.source import of_training

    try:
        return of_training(Path(run), device or "local")
    except InvalidInput as error:
        if error.parameter != "search":
            raise
        raise error.of("run") from error


def _rows(found: "list[Step]") -> Iterator[list[str]]:
    from search_spaces.sizing import size

    before = found[0].milliseconds
    for each in found:
        left = each.before_training
        yield [
            str(each.number),
            milliseconds(each.milliseconds) + (" (disturbed)" if each.trial.measured_disturbed else ""),
            f"x{before / each.milliseconds:.2f}",
            "" if left is None else f"{left:.2%}",
            f"{each.accuracy:.2%}",
            kilobytes(size(each.architecture).kilobytes),
            counted(len(each.architecture.without), "block"),
            each.architecture.digest[:12],
        ]


def _to_dict(search: str, found: "list[Step]") -> dict[str, Any]:
    return {
        "search": search,
        "trials": [
            {
                "number": each.number,
                "measured_latency_ms": each.milliseconds,
                "disturbed": each.trial.measured_disturbed,
                "accuracy": each.accuracy,
                "accuracy_before_training": each.before_training,
                "digest": each.architecture.digest,
                "architecture": each.architecture.model_dump(mode="json"),
            }
            for each in found
        ],
    }


COLUMNS = (
    Column("trial", right=True),
    Column("latency ms", right=True),
    Column("speed-up", right=True),
    Column("before training", right=True),
    Column("accuracy", right=True),
    Column("size kB", right=True),
    Column("left out", right=True),
    Column("digest"),
)

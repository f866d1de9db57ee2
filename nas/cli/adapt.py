"""``nas adapt``: a trained network becomes one for your own images, within a budget."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.bars import decoding, show_progress
from nas.cli.options import Kilobytes, Milliseconds, NamesType, json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say, tell_epoch
from nas.formatting import kilobytes, milliseconds
from nas.hints import command

if TYPE_CHECKING:
    from nas.adapting.run import Request
    from nas.adapting.source import Given
    from nas.data import DataSet
    from nas.ledger.records import SearchConfig
    from nas.steps.beginning import Command
    from nas.steps.networks import Step

    Done = list[tuple[str, Step]]

_FIELDS = "epochs", "precisions", "rate", "distillation", "seed", "validation"
SPACE = "cifar"
"""The space that the search names; its trials come from none."""


@click.command()
@click.argument("weights")
@click.option(
    "--data", required=True, metavar="NAME_OR_PATH", help="Your images: a folder with one for each class."
)
@click.option("--network", metavar="NAME", help="Whose weights these are, where the file does not show it.")
@click.option("--max-latency-ms", type=Milliseconds, help="What one image may take on the device.")
@click.option("--max-size-kb", type=Kilobytes, help="What the parameters may take.")
@click.option(
    "--device", default="local", show_default=True, metavar="NAME", help="What it is to be fast on."
)
@click.option(
    "--image-size", type=int, help="Cut and scale images to a square of this side. [default: the network's]"
)
@click.option(
    "--precisions",
    type=NamesType(),
    default="int8,ternary-int8",
    show_default=True,
    help="What layers are tried in beside float.",
)
@click.option(
    "--epochs",
    type=int,
    default=30,
    show_default=True,
    help="How many the float network trains, and the last.",
)
@click.option("--rate", type=float, help="The highest learning rate of the new head. [default: the data's]")
@click.option(
    "--distillation",
    type=float,
    default=0.5,
    show_default=True,
    help="The share of the loss that the float network teaches; 0: none.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the trainings repeatable.")
@click.option(
    "--validation",
    type=float,
    metavar="SHARE",
    help="The share of your images held back to judge each epoch by. [default: 200 images, 0.1 to 0.25]",
)
@click.option("--name", metavar="NAME", help="Of the search that is made. [default: the data's name-adapted]")
@storage_option
@json_option
@click.pass_context
def adapt(context: click.Context, /, weights: str, **options: Any) -> None:
    """Make a trained network one for your images that is fast and small enough.

    WEIGHTS is a folder of `nas train` or `nas export`, a trial as SEARCH/NUMBER, or a file of torchvision or
    timm. The network gets a new head, which is trained, then all of it. Then channels are pruned and
    precisions lowered, layer by layer, until it is within the budget; the float network teaches what is left.
    Each of these is a trial of one search. A command that was interrupted goes on when it is typed again.
    """
    from nas.adapting.budget import Budget
    from nas.adapting.run import Request, best
    from nas.cli.again import goes_on

    budget = Budget(options["max_latency_ms"], options["max_size_kb"])
    request = Request(budget, **{name: options[name] for name in _FIELDS})
    with goes_on(context):
        name, done, images = _adapted(weights, request, options)
    chosen = best(done, budget, images).number
    if options["as_json"]:
        print_json(_to_dict(name, done, chosen))
        return
    print_table(COLUMNS, list(_rows(done)))
    words = ("export", name, "-o", "adapted")
    say(f"Next: {command(*words, trial=chosen, storage=options['storage'])}")


def _adapted(weights: str, request: "Request", options: dict[str, Any]) -> "tuple[str, Done, int]":
    """The name of the search, its steps, and how many images judge them."""
    from nas.adapting.holding import held_back
    from nas.adapting.run import Adapting
    from nas.cli.latency_model import open_model
    from nas.data import load
    from nas.ledger import Ledger
    from nas.ledger.records import check_search_name
    from nas.steps.beginning import begin, check_name
    from nas.steps.steps import Steps
    from nas.training.presets import recipe_for

    if options["name"] is not None:
        check_search_name(options["name"])
    given = _given(weights, options)
    request.check(given)
    with decoding() as on_data:
        data = load(options["data"], _size(given, options), on_data)
    given.form_for(data.input_shape, data.classes)  # refuses other images before a ledger is made
    data = held_back(data, request.validation)
    recipe = recipe_for(data)
    storage = options["storage"]
    name = check_search_name(options["name"] or _usual_name(data))
    this = _command(weights, given, data, request, options)
    with Ledger.open(storage, create=True) as ledger:
        check_name(ledger, name, this)
        with open_model(storage, options["device"], brief=True) as model:
            begin(ledger, name, _config(given, data, request, options), this)
            say(f"training on {len(data.train):,} images, judging by {len(data.validation):,}")
            steps = Steps(ledger, name, data, say)
            done = Adapting(given, data, recipe, request, model, steps, say, tell_epoch, show_progress).run()
    return name, done, len(data.validation)


def _size(given: "Given", options: dict[str, Any]) -> int | None:
    """The side that images are brought to."""
    size: int | None = options["image_size"]
    return given.size_for(options["data"]) if size is None else size


def _share(data: "DataSet") -> float | None:
    """The share of the images that is held back; None where they come with a validation split."""
    return None if data.has_validation else data.validation_share


def _usual_name(data: "DataSet") -> str:
    """Of the search that is made: what is no name of a search becomes one."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data.name).name).strip("._-")[:40]
    return f"{found or 'images'}-adapted"


def _given(weights: str, options: dict[str, Any]) -> "Given":
    from nas.adapting.source import given_of_trial, read_given
    from nas.ledger import Ledger
    from search_spaces.networks import networks

    search, _, number = weights.rpartition("/")
    if options["network"] is not None:
        networks.get(options["network"])
    if Path(weights).exists() or not (search and number.isdecimal()):
        return read_given(Path(weights), options["network"])
    with Ledger.open(options["storage"], read_only=True) as ledger:
        return given_of_trial(ledger, search, int(number))


def _config(given: "Given", data: "DataSet", request: "Request", options: dict[str, Any]) -> "SearchConfig":
    from nas.data.opening import canonical
    from nas.ledger.records import SearchConfig

    budget = request.budget
    return SearchConfig(
        SPACE,
        canonical(options["data"]),
        options["device"],
        trials=1,
        epochs=request.epochs,
        seed=request.seed,
        max_latency_ms=budget.max_latency_ms,
        max_size_kb=budget.max_size_kb,
        image_size=_size(given, options),
        validation=_share(data),
    )


def _command(
    weights: str, given: "Given", data: "DataSet", request: "Request", options: dict[str, Any]
) -> "Command":
    from dataclasses import asdict

    from nas.steps.beginning import Command

    settings = {name: getattr(request, name) for name in _FIELDS}
    settings |= {"precisions": list(request.precisions), "validation": _share(data), **asdict(request.budget)}
    settings |= {name: options[name] for name in ("network", "device", "image_size")}
    of = Path(weights).resolve().name if Path(weights).exists() else weights
    return Command("adapt", settings, given.digest, data.digest, of)


COLUMNS = (
    Column("trial", right=True),
    Column("what"),
    Column("latency ms", right=True),
    Column("size kB", right=True),
    Column("accuracy", right=True),
    Column("epochs", right=True),
)


def _rows(done: "Done") -> Iterator[list[str]]:
    for what, step in done:
        yield [
            str(step.number),
            what,
            milliseconds(step.milliseconds),
            kilobytes(step.trial.size_kb or 0.0),
            f"{step.accuracy:.2%}",
            str(len(step.history)),
        ]


def _to_dict(name: str, done: "Done", chosen: int) -> dict[str, Any]:
    return {
        "search": name,
        "best": chosen,
        "trials": [
            {
                "number": step.number,
                "what": what,
                "measured_latency_ms": step.milliseconds,
                "size_kb": step.trial.size_kb,
                "accuracy": step.accuracy,
                "epochs": len(step.history),
                "digest": step.architecture.digest,
                "architecture": step.architecture.model_dump(mode="json"),
            }
            for what, step in done
        ],
    }

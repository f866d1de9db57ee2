"""``nas train``: train a published network, watch it, and go on after a kill."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nas.bars import decoding
from nas.cli.networks import classifier_option, precision_option
from nas.cli.options import json_option
from nas.cli.output import print_json, print_pairs, printable, say
from nas.hints import command
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from nas.training.job import TrainJob
    from nas.training.loop import Epoch
    from nas.training.recipe import Recipe
    from nas.training.run import Progress

_WITH_RESUME = {"resume", "as_json"}
_RECIPE = (
    "optimizer",
    "schedule",
    "batch_size",
    "peak_rate",
    "weight_decay",
    "label_smoothing",
    "average",
    "bf16",
    "threads",
    "distillation",
    "temperature",
)
"""Options that are fields of a recipe; what is not given is the data's usual."""


_OF_A_TEACHER = "distillation", "temperature"


@click.command()
@click.argument("network", required=False)
@click.option("--data", metavar="NAME_OR_PATH", help="The data set: digits, a folder, OWNER/NAME on the hub.")
@click.option("--image-size", type=int, help="Cut and scale images to a square of this side.")
@precision_option
@classifier_option
@click.option("--epochs", type=int, default=30, show_default=True, help="How many epochs to train.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes a training repeatable.")
@click.option(
    "--validation",
    type=float,
    help="The share of training images held back to judge each epoch by; 0 trains on all. [default: 0.1]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder to write, new or empty.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Continue the training in this folder.",
)
@click.option("--from", "start", metavar="FILE", help="Start from these weights, of any precision.")
@click.option(
    "--teacher", metavar="FILE", help="Also learn from the network of these weights (distillation)."
)
@click.option("--optimizer", metavar="NAME", help="adamw, adam or sgd.")
@click.option("--schedule", metavar="NAME", help="Of the learning rate: one-cycle, cosine, step or rungs.")
@click.option("--batch-size", type=int, help="Images per step.")
@click.option("--rate", "peak_rate", type=float, help="The highest learning rate.")
@click.option("--weight-decay", type=float, help="The decay of weights, except latent binary ones.")
@click.option("--label-smoothing", type=float, help="The share of a target spread over all classes.")
@click.option("--average", type=float, help="The decay per step of a moving average of the weights; 0: none.")
@click.option("--bf16/--no-bf16", default=None, help="Multiply in bfloat16.")
@click.option("--threads", type=int, help="CPU threads; 0, the default here: one for each core.")
@click.option("--distillation", type=float, help="The teacher's share of the loss.")
@click.option("--temperature", type=float, help="The temperature of the teacher's logits.")
@click.option("--crop", type=int, help="Shift training images by up to this many pixels.")
@click.option("--flip/--no-flip", default=None, help="Mirror half of the training images.")
@click.option("--cutout", type=int, help="Cut a square of this side out of each training image; 0: none.")
@json_option
@click.pass_context
def train(context: click.Context, /, **options: Any) -> None:
    """Train a published network (see `nas networks`) and write it to a folder.

    The folder gets a checkpoint after every epoch, and at the end the weights and a result with the accuracy
    on the test images. Continue a training that was killed with --resume.
    """
    from nas.training import checkpoint
    from nas.training import job as train_job
    from nas.training import run as train_run
    from nas.training.baseline import Baselines

    loaded = None
    if options["resume"] is not None:
        _refuse_settings(context)
        folder = options["resume"]
        if not (folder / train_job.CHECKPOINT).is_file():
            raise InvalidInput("resume", f"'{folder}' has no checkpoint", "name the folder of a training")
        loaded = checkpoint.read(folder / train_job.CHECKPOINT)
        job = train_job.job_of(loaded)
    else:
        folder = _folder(options["output"])
        job = _job(options)
    started = time.monotonic()
    try:
        with _shown(job) as progress:
            result = train_run.run(job, folder, progress, loaded)
    except KeyboardInterrupt:
        kept = (folder / train_job.CHECKPOINT).exists()
        click.echo(
            f"\nGo on with: {command('train', '--resume', folder)}" if kept else "\nNothing is kept.",
            err=True,
        )
        raise click.Abort from None
    if options["as_json"]:
        print_json(result)
        return
    accuracy = f"{result['test_accuracy']:.2%} of {result['test_images']:,} images"
    print_pairs(
        [
            ("test accuracy", accuracy),
            ("weights", f"{result['weight_kb']:.3f} kB"),
            ("all that is stored", f"{result['size_kb']:.3f} kB"),
            ("took", f"{(time.monotonic() - started) / 60:.1f} min"),
            ("written", f"{folder / train_job.WEIGHTS}, {folder / train_job.RESULT}"),
        ]
    )
    if result["baselines"] is not None:
        verdict = Baselines(**result["baselines"]).verdict(result["validation_accuracy"])
        if verdict is not None:
            say(verdict)
    say(f"Next: {command('export', folder, '-o', 'winner')}")


def _folder(output: Path | None) -> Path:
    from nas.export.outputs import check_output
    from nas.training.run import halves_in

    if output is None:
        raise InvalidInput("output", "a training needs a folder", "give -o FOLDER")
    check_output("output", output, halves_in(output))
    return output


def _job(options: dict[str, Any]) -> "TrainJob":
    from nas.data import load
    from nas.data.opening import canonical
    from nas.training.job import TrainJob
    from nas.training.presets import recipe_for
    from search_spaces.networks import networks

    if options["network"] is None:
        raise InvalidInput("network", "none is named", f"choose one of {', '.join(networks)}")
    if options["data"] is None:
        raise InvalidInput("data", "a training needs images", "give digits, a folder, or OWNER/NAME")
    for name in _OF_A_TEACHER:
        if options["teacher"] is None and options[name] is not None:
            raise InvalidInput(name, "there is no teacher", "give --teacher FILE, or leave it out")
    networks.get(options["network"])
    with decoding() as on_data:
        data = load(options["data"], options["image_size"], on_data)
    data.check_share(options["validation"])
    fields = ("network", "precision", "classifier", "image_size", "epochs", "seed", "validation")
    given = {name: options[name] for name in fields if options[name] is not None}
    job = TrainJob(
        **given,
        start=_absolute("start", options["start"]),
        teacher=_absolute("teacher", options["teacher"]),
        data=canonical(options["data"]),
    )
    data = replace(data, validation_share=job.validation)
    usual = recipe_for(data, 0, batch_size=options["batch_size"], learning_rate=options["peak_rate"])
    return replace(job, recipe=_recipe(options, usual))


def _absolute(parameter: str, name: str | None) -> str | None:
    if name is None:
        return None
    if not os.path.isfile(name):  # noqa: PTH113 - which takes names that are too long
        raise InvalidInput(
            parameter, f"there is no file '{name}'", "name the weights.safetensors of a training"
        )
    return str(Path(name).resolve())


def _recipe(options: dict[str, Any], usual: "Recipe") -> "Recipe":
    from nas.training.presets import with_optimizer

    cores = os.cpu_count() or 1
    if (options["threads"] or 0) > cores:
        problem = f"{options['threads']} are more than this machine's {cores} cores"
        raise InvalidInput("threads", problem, "give 0 for as many as there are")
    if options["optimizer"] is not None:
        usual = with_optimizer(usual, options["optimizer"])
    given = {name: options[name] for name in _RECIPE if options[name] is not None}
    varied = {name: options[name] for name in ("crop", "flip", "cutout") if options[name] is not None}
    return replace(usual, **given, augmentation=replace(usual.augmentation, **varied))


def _refuse_settings(context: click.Context) -> None:
    for name in context.params:
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _WITH_RESUME:
            problem = "a training goes on with the settings it was begun with"
            raise InvalidInput(name, problem, "leave it out")


@contextmanager
def _shown(job: "TrainJob") -> "Iterator[Progress]":
    """A bar with images a second and a line for each epoch on a terminal; silence elsewhere."""
    from nas.training.run import Progress

    if not sys.stderr.isatty():
        yield Progress(on_transfer=_tell_what_is_new, on_teacher=_tell_of_other_data)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"))
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(job.network, total=None, speed="")
        begun = time.monotonic()
        done = 0

        def on_start(epoch: int, batches: int) -> None:
            bar.update(task, total=job.epochs * batches, completed=(epoch - 1) * batches)

        def on_batch() -> None:
            nonlocal done
            done += 1
            speed = done * job.recipe.batch_size / (time.monotonic() - begun)
            bar.update(task, advance=1, speed=f"{speed:,.0f} images/s")

        yield Progress(
            on_start=on_start,
            on_batch=on_batch,
            on_epoch=lambda e: console.print(_line(e)),
            on_transfer=_tell_what_is_new,
            on_teacher=_tell_of_other_data,
        )


def _tell_what_is_new(names: list[str]) -> None:
    """Say which weights a training does not start from, scales and ranges of codes apart."""
    new = [name for name in names if name.endswith(("weight", "bias"))]
    if new:
        say(f"New, not from the given weights: {', '.join(new)}")


def _tell_of_other_data(teachers: str, students: str) -> None:
    say(printable(f"The teacher was trained on {teachers}, the student is on {students}."))


def _line(epoch: "Epoch") -> str:
    right = "" if epoch.accuracy is None else f"  accuracy {epoch.accuracy:.4f}"
    return f"epoch {epoch.epoch:>4}  loss {epoch.train_loss:.4f}{right}  {epoch.seconds:.1f} s"

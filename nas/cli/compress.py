"""``nas compress``: a trained network as one small file, by the three stages of Deep Compression."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_table, quoted, say
from nas.formatting import percent
from nas.hints import command
from search_spaces.errors import InvalidInput, Parameter

if TYPE_CHECKING:
    from nas.compression.settings import Settings
    from nas.compression.source import Source
    from nas.compression.stages import Report, Stage

NEAR = 0.001
"""By what share of the weights fewer may be zero than was asked for, and nothing is said."""


@click.command()
@click.argument("source")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option("--trial", "number", type=click.IntRange(min=0), help="Compress this trial and no other.")
@click.option("--sparsity", type=float, metavar="SHARE", help="Prune this share of the weights, such as 0.9.")
@click.option(
    "--steps", type=int, default=3, show_default=True, help="Prune in so many steps, and train after each."
)
@click.option("--cluster", type=int, metavar="BITS", help="Let the weights of a layer share 2^BITS numbers.")
@click.option(
    "--epochs",
    type=int,
    default=3,
    show_default=True,
    help="How many epochs to train after each step, and what is shared.",
)
@click.option("--rate", type=float, help="The highest learning rate; a tenth of the usual if not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes it repeatable.")
@click.option("--coding", default="range", show_default=True, metavar="NAME", help="range or huffman.")
@click.option(
    "--float16-scales",
    is_flag=True,
    help="Store scales, biases and norms in 16 bits, if no test image changes its class by it.",
)
@storage_option
@json_option
@click.pass_context
def compress(
    context: click.Context, /, source: str, output: Path, number: int | None, **options: Any
) -> None:
    """Write the trained network of SOURCE as one small file, network.bnz.

    SOURCE is a search, whose most accurate trial within its limits is taken, or the folder of a training.
    Weights are pruned and shared if you say so, and trained on; their codes are entropy coded. A command that
    was interrupted goes on when it is typed again.
    """
    from nas.cli.again import goes_on
    from nas.compression.settings import Settings
    from nas.compression.stages import compress as run
    from runtime.formats.coding import coders

    coders.get(options["coding"])
    storage, as_json = options.pop("storage"), options.pop("as_json")
    settings = Settings(**options)
    _refuse_options_of_training(context, settings)
    found = _source(storage, source, number)
    with goes_on(context):
        report = run(found, output, settings, say)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)
    if report.changed:
        images = f"{report.changed} test image{'s' if report.changed > 1 else ''}"
        say(f"Scales stay in 32 bits: 16 bits would change the class of {images}.")
    say(f"It is in {output / 'network.bnz'}: runtime.load() compiles it, and so does the next command.")
    say(f"Next: {command('export', output, '-o', quoted(f'{output}-winner'))}")


def _refuse_options_of_training(context: click.Context, settings: "Settings") -> None:
    """Refuse what is told of trainings where none is asked for."""
    if settings.sparsity is not None or settings.cluster is not None:
        return
    for name in ("steps", "epochs", "rate"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            problem = "nothing is trained where weights are neither pruned nor shared"
            fix = ("leave it out, or give ", Parameter("sparsity"), " or ", Parameter("cluster"))
            raise InvalidInput(name, problem, fix)


def _source(storage: str, source: str, number: int | None) -> "Source":
    from nas.compression.source import of_search, of_training
    from nas.export.trainings import is_training
    from nas.ledger import Ledger

    if is_training(source):
        if number is not None:
            problem = f"it is about the trials of a search, and '{source}' is a training"
            raise InvalidInput("number", problem, "leave it out")
        return of_training(Path(source))
    with Ledger.open(storage) as ledger:
        return of_search(ledger, source, number)


def _print(report: "Report") -> None:
    titles = ("stage", "weights kept", "bits per weight", "size", "of the first", "validation", "test")
    first, wanted = report.stages[0].size_kb, report.settings.sparsity
    rows = [_row(stage, first) for stage in report.stages]
    print_table([Column(title, right=i > 0) for i, title in enumerate(titles)], rows)
    pruned = next((stage.kept for stage in report.stages if stage.name == "pruned"), None)
    if wanted is not None and pruned is not None and pruned - (1 - wanted) > NEAR:
        told = "weights that are signs or odd numbers cannot be zero, and every layer keeps one"
        say(f"{percent(pruned)} of the weights are left, not {percent(1 - wanted)}: {told}.")
    if report.entropy_kb > 0:
        over = report.codes_kb / report.entropy_kb - 1
        say(f"Codes take {report.codes_kb:.2f} kB, {over:.1%} more than their entropy.")


def _row(stage: "Stage", first: float) -> tuple[str, ...]:
    return (
        stage.name,
        percent(stage.kept),
        f"{stage.bits_per_weight:.2f}",
        f"{stage.size_kb:.2f} kB",
        f"1/{first / stage.size_kb:.1f}",
        percent(stage.validation_accuracy),
        percent(stage.test_accuracy),
    )

"""The commands that use what was exported: predict classifies image files, benchmark times the forms."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.options import json_option
from nas.cli.output import Column, print_json, print_table, say
from nas.formatting import interval, milliseconds
from nas.hints import command

if TYPE_CHECKING:
    from nas.export.timing import FormTime


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", metavar="NAME", help="The form to run, instead of the first that runs here."
)
@json_option
def predict(folder: Path, images: tuple[Path, ...], form: str | None, as_json: bool) -> None:
    """Classify image files, and those in folders, with the exported network in FOLDER.

    Images are brought to the network's size and scaled as in training. The probability is what the network
    gives the class; nobody has calibrated it.
    """
    from nas.export.predicting import predict as run

    found = [*run(folder, images, form, lambda text: say(f"Warning: {text}"))]
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        columns = [Column("path"), Column("class"), Column("probability", right=True)]
        print_table(columns, [(each.path, each.name, f"{each.probability:.1%}") for each in found])
        if form is None:
            say(f"Run in the form {found[0].form}.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seconds", type=float, default=5.0, show_default=True, help="How long to time, about.")
@json_option
def benchmark(folder: Path, seconds: float, as_json: bool) -> None:
    """Time the forms of the exported network in FOLDER beside one another, on one thread.

    All take turns in one run. Each time holds the call from Python, of a microsecond or so.
    """
    from nas.export.timing import benchmark as run

    found = run(folder, seconds)
    first = found.times[0].name
    if as_json:
        print_json(asdict(found))
    else:
        columns = [
            Column("format"), Column("one image", right=True), Column("quartiles"),
            Column(f"times {first}", right=True), Column("quartiles"),
        ]  # fmt: skip
        print_table(columns, [_row(each) for each in found.times])
    for name, why in found.missing.items():
        say(f"{name}: not timed: {why}")
    if "onnx" not in {*found.missing, *(each.name for each in found.times)}:
        again = command("export", "SEARCH", output="DIR", format=f"{first},onnx")
        say(f"Not beside onnxruntime: the folder has no network.onnx; export it so: {again}")


def _row(each: "FormTime") -> tuple[str, ...]:
    low, middle, high = each.milliseconds
    least, ratio, most = each.ratio
    times = f"{milliseconds(middle)} ms", interval(low, high)
    return each.name, *times, f"{ratio:.2f}", f"{least:.2f} to {most:.2f}"

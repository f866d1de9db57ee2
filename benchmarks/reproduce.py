"""``python -m benchmarks.reproduce``: trains the rows of docs/results.md; goes on where it was stopped."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from nas.training.job import CHECKPOINT, RESULT, WEIGHTS

PLAIN = ("--epochs", "24", "--crop", "0", "--no-flip")
"""Without augmentation, as the paper has it."""

SHORT = ("--epochs", "6", "--crop", "0", "--no-flip")
"""The same in less time, for networks whose layers are wide."""

AUGMENTED = ("--epochs", "24")
"""With the usual augmentation of colour images: shifted and mirrored."""

BITS = ("float", *(f"dorefa{bits}" for bits in (16, 8, 4, 2, 1)))
"""Of figure 3 of Roth et al., *Resource-Efficient Neural Networks for Embedded Systems*."""

LEARNED = (
    "float",
    *(code for n in (1, 2, 3) for code in (f"lq{n}", f"lq{n}-float", f"float-lq{n}")),
)
"""LQ-Net's rows of its figure 4: of both, of weights alone, of inputs alone. The paper has CIFAR-100."""


@dataclass(frozen=True)
class Row:
    """A training.

    Attributes:
        name: of its folder.
        network: what is trained.
        precision: of its layers.
        options: of ``nas train``.
        paper: the accuracy in % that the paper states, where it does.
        start: the row, further up, whose weights it starts from, where it does.
        teacher: the row, further up, that it learns from, too, where it does.
    """

    name: str
    network: str
    precision: str
    options: tuple[str, ...]
    paper: float | None = None
    start: str | None = None
    teacher: str | None = None


ROWS = (
    Row(
        "pooled-resnet12-binaryconnect",
        "pooled-resnet12",
        "binaryconnect",
        ("--epochs", "76", "--rate", "0.02"),
    ),
    Row(
        "pooled-resnet12-binaryconnect-on",
        "pooled-resnet12",
        "binaryconnect",
        ("--epochs", "45", "--rate", "0.01", "--cutout", "8"),
        start="pooled-resnet12-binaryconnect",
    ),
    Row("pooled-resnet12-float", "pooled-resnet12", "float", AUGMENTED),
    Row(
        "pooled-resnet12-binaryconnect-taught",
        "pooled-resnet12",
        "binaryconnect",
        ("--epochs", "50", "--rate", "0.01", "--cutout", "8"),
        start="pooled-resnet12-binaryconnect-on",
        teacher="pooled-resnet12-float",
    ),
    Row("resnet18-cifar-binaryconnect", "resnet18-cifar", "binaryconnect", ("--epochs", "100")),
    Row("resnet20-float", "resnet20", "float", PLAIN, 86.00),
    Row("resnet20-ternary", "resnet20", "ternary", PLAIN, 86.72),
    Row("resnet20-dw-float", "resnet20-dw", "float", PLAIN, 85.87),
    Row("resnet20-dw-ternary", "resnet20-dw", "ternary", PLAIN, 78.70),
    Row("resnet20-dw-ternary-1x1", "resnet20-dw", "ternary-1x1", PLAIN, 83.70),
    Row("resnet20-float-augmented", "resnet20", "float", AUGMENTED),
    Row("resnet20-ternary-augmented", "resnet20", "ternary", AUGMENTED),
    Row("resnet20-dw-float-augmented", "resnet20-dw", "float", AUGMENTED),
    Row("resnet20-dw-ternary-1x1-augmented", "resnet20-dw", "ternary-1x1", AUGMENTED),
    Row("bcnn-quarter-binary", "bcnn-quarter", "binary", SHORT),
    Row("bcnn-quarter-dithered", "bcnn-quarter", "dithered-binary", SHORT),
    Row("bcnn-half-binary", "bcnn-half", "binary", PLAIN),
    Row("bcnn-half-dithered", "bcnn-half", "dithered-binary", PLAIN),
    *(Row(f"resnet32-{code}", "resnet32", code, AUGMENTED) for code in BITS),
    *(Row(f"densenet-bc-100-{code}", "densenet-bc-100", code, AUGMENTED) for code in LEARNED),
)


def command(row: Row, folder: Path, data: str) -> list[str]:
    """The ``nas train`` that makes a row, or goes on with it."""
    if (folder / CHECKPOINT).exists():
        return ["--resume", str(folder)]
    common = ["--data", data, "--validation", "0", "--threads", "1", "-o", str(folder)]
    if row.start is not None:
        common += ["--from", str(folder.parent / row.start / WEIGHTS)]
    if row.teacher is not None:
        common += ["--teacher", str(folder.parent / row.teacher / WEIGHTS)]
    return [row.network, "--precision", row.precision, *common, *row.options]


def line(row: Row, result: Path) -> str:
    """A row of the table, in Markdown."""
    paper = "" if row.paper is None else f"{row.paper:.2f} %"
    if not result.exists():
        return f"| `{row.name}` | | | {paper} | not run | |"
    found = json.loads(result.read_text(encoding="utf-8"))
    sizes = f"{found['weight_kb']:.3f} | {found['size_kb']:.3f}"
    minutes = sum(epoch["seconds"] for epoch in found["epochs"]) / 60
    return f"| `{row.name}` | {sizes} | {paper} | {found['test_accuracy']:.2%} | {minutes:.0f} |"


@click.command()
@click.option("--data", required=True, help="CIFAR-10, as `nas train` takes it.")
@click.option("--only", help="Rows whose name holds this.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default="reproduction", help="Where trainings lie."
)
def main(data: str, only: str | None, output: Path) -> None:
    """Train rows one after the other on one thread each, then print the table."""
    output.mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        folder = output / row.name
        if (only or "") in row.name and not (folder / RESULT).exists():
            nas = [sys.executable, "-m", "nas.cli.main", "train"]
            subprocess.run([*nas, *command(row, folder, data)], check=True)
    print("| row | weights, kB | all, kB | paper | here | minutes |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in ROWS:
        print(line(row, output / row.name / RESULT))


if __name__ == "__main__":
    main()

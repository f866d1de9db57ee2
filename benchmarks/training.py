"""``python -m benchmarks.training``: a step of training of each kind of block, beside a plain network's.

The judge is torch by its own defaults: for each convolution of ours a 3x3 convolution, batch norm and ReLU at
the same resolution, all of one width, chosen so that the multiplications are as many. Both run on one thread,
in turn; the processor's time counts, which a busy machine changes least.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import thread_time
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.command import Command, NewFile
from nas.data import DataSet, Source, Split
from nas.data.data_set import Scaling
from nas.training.loop import Training
from nas.training.presets import RECIPE
from search_spaces.architecture import Architecture, Block, Head, Stem
from search_spaces.block import blocks
from search_spaces.builder import build
from search_spaces.search_space import USER_PRECISIONS
from search_spaces.sizing import LayerSize, layers

CLASSES, IMAGES, SHAPE = 10, 32, (3, 32, 32)
MOST = 3.0
"""How many times the plain network's time a step may take."""

VARIANTS: dict[str, dict[str, Any]] = {
    "inverted": {"expansion": 3},
    "inverted+squeeze": {"kind": "inverted", "expansion": 3, "squeeze": 0.25},
    "shuffle": {"groups": 2},
}
"""What kinds of blocks need beside a width, a kernel and precisions; one more than there are kinds."""


@dataclass(frozen=True)
class Row:
    """What was found for one network of two blocks; seconds are of the fastest step.

    Attributes:
        kind: of the blocks.
        width: of the first block; the second one halves the image and doubles the width.
        precision: of the blocks' layers.
        macs: multiply-accumulates for one image, forward.
        seconds: of a step of ours: batch, forward, backward, optimizer.
        plain_seconds: of a plain network's, brought to the same ``macs``.
    """

    kind: str
    width: int
    precision: str
    macs: int
    seconds: float
    plain_seconds: float

    @property
    def ratio(self) -> float:
        """How many times the plain network's time ours takes."""
        return self.seconds / self.plain_seconds


def architecture(name: str, width: int, precision: str, kernel: int) -> Architecture:
    """A stem, two blocks, of which the second subsamples and widens, and a head."""
    options = {"kind": name, "skip": True, "kernel": kernel, **VARIANTS.get(name, {})}
    codes = dict.fromkeys(blocks.get(options["kind"]).roles, precision)
    shapes = ((width, 1), (2 * width, 2))
    return Architecture(
        space="benchmark",
        input_shape=SHAPE,
        classes=CLASSES,
        stem=Stem(width=width, kernel=3, stride=1, precision="float"),
        blocks=tuple(Block(width=w, stride=s, precisions=codes, **options) for w, s in shapes),
        head=Head(precision="float"),
    )


def convolutions(found: Architecture) -> list[LayerSize]:
    """Its convolutions, but for those of squeeze-and-excitation, which see one pixel."""
    return [layer for layer in layers(build(found), SHAPE) if layer.macs > layer.weights]


def output_sides(convs: list[LayerSize]) -> list[int]:
    """Rows of what each convolution gives."""
    return [math.isqrt(layer.macs // layer.weights) for layer in convs]


def plain_network(sides: list[int], width: int) -> nn.Sequential:
    """A 3x3 convolution, batch norm and ReLU for each side of an output, then means and a classifier."""
    parts: list[nn.Module] = []
    channels, before = SHAPE[0], SHAPE[1]
    for side in sides:
        parts += [
            nn.Conv2d(channels, width, 3, before // side, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels, before = width, side
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


def equal_width(sides: list[int], macs: int) -> int:
    """The width whose plain network comes nearest to so many multiplications."""

    def of(width: int) -> int:
        return sum(9 * width * (SHAPE[0] if first else width) * side**2 for first, side in _numbered(sides))

    width = next(width for width in range(1, macs) if of(width) >= macs)
    return min((max(1, width - 1), width), key=lambda w: abs(of(w) - macs))


def _numbered(sides: list[int]) -> Iterator[tuple[bool, int]]:
    return ((index == 0, side) for index, side in enumerate(sides))


def our_steps(found: Architecture, steps: int) -> Iterator[float]:
    """Seconds of each step of a training by ``nas.training.loop``: an epoch is one batch of random images."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (IMAGES, SHAPE[1], SHAPE[2], SHAPE[0]), np.uint8)
    split = Split.whole(pixels, np.arange(IMAGES) % CLASSES, Scaling((128.0,) * 3, (64.0,) * 3))
    none = split.at(np.arange(0))
    data = DataSet("random", CLASSES, SHAPE, lambda: Source(split, none, none))
    torch.manual_seed(0)
    epochs = Training(build(found), data, steps, 0, RECIPE).run()
    for _ in range(steps):
        started = thread_time()
        next(epochs)
        yield thread_time() - started


def plain_step(module: nn.Module) -> Callable[[], float]:
    """A function that makes a step as torch's tutorials do, and gives its seconds."""
    optimizer = torch.optim.AdamW(module.parameters())
    images, labels = torch.randn(IMAGES, *SHAPE), torch.arange(IMAGES) % CLASSES

    def step() -> float:
        started = thread_time()
        optimizer.zero_grad()
        F.cross_entropy(module(images), labels).backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        return thread_time() - started

    return step


def compared(name: str, width: int, precision: str, kernel: int, rounds: int) -> Row:
    """Both networks' steps in turn, after one that does not count."""
    found = architecture(name, width, precision, kernel)
    convs = convolutions(found)
    macs = sum(layer.macs for layer in convs)
    sides = output_sides(convs)
    plain = plain_network(sides, equal_width(sides, macs))
    plain_macs = sum(layer.macs for layer in layers(plain, SHAPE) if layer.macs > layer.weights)
    step = plain_step(plain.train())
    both = [(ours, step()) for ours in our_steps(found, rounds + 1)][1:]
    seconds, plain_seconds = (min(times) for times in zip(*both, strict=True))
    return Row(name, width, precision, macs, seconds, plain_seconds * macs / plain_macs)


@click.command(cls=Command)
@click.option("--only", multiple=True, help="A kind of block; may be given again. All if not given.")
@click.option("--width", multiple=True, type=click.IntRange(8), help="Likewise. [default: 32, 96]")
@click.option("--precision", multiple=True, help="Likewise. [default: the users' five]")
@click.option("--kernel", type=int, default=3, show_default=True, help="Of the blocks.")
@click.option("--rounds", type=click.IntRange(1), default=4, show_default=True, help="Steps of each.")
@click.option("--json", "path", type=NewFile(), help="Write what was found.")
def main(
    only: tuple[str, ...],
    width: tuple[int, ...],
    precision: tuple[str, ...],
    kernel: int,
    rounds: int,
    path: Path | None,
) -> None:
    """Time training steps of every kind of block; exit code 1 where one takes over 3 times the judge's."""
    codes, rows = precision or USER_PRECISIONS, []
    print(f"a step of {IMAGES} images of {SHAPE[1]} pixels, in times a plain network's of as many MACs")
    print(f"{'block':18}{'width':>6}{'plain ms':>10}" + "".join(f"{code:>10}" for code in codes), flush=True)
    for name in only or sorted({*blocks, *VARIANTS}):
        for channels in width or (32, 96):
            found = [compared(name, channels, code, kernel, rounds) for code in codes]
            rows += found
            milliseconds = 1e3 * min(row.plain_seconds for row in found)
            ratios = "".join(f"{row.ratio:10.2f}" for row in found)
            print(f"{name:18}{channels:6}{milliseconds:10.1f}{ratios}", flush=True)
    if path is not None:
        found_rows = [asdict(row) | {"ratio": row.ratio} for row in rows]
        path.write_text(json.dumps({"torch": torch.__version__, "rows": found_rows}, indent=1) + "\n")
    over = [f"{row.kind} {row.width} {row.precision} ({row.ratio:.1f})" for row in rows if row.ratio > MOST]
    if over:
        print(f"Over {MOST:g} times: {', '.join(over)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""``python -m benchmarks.search.train_cifar``: curves of small networks on a part of CIFAR-10."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np

from benchmarks.command import Command
from benchmarks.search.tables import FOLDER, Network, Writer, build, costs, read
from benchmarks.search.train_digits import machine
from nas import seeds
from nas.algorithms.base import Choices
from nas.data import DataSet, Source, load
from search_spaces.search_space import CIFAR, Option, Staged

TABLE = FOLDER / "cifar.csv"
SEED = 19
SIDE, IMAGES, JUDGED = 12, 4096, 2000
"""Pixels of a side, images trained on, and images judged by; both are of CIFAR-10's training images."""
EPOCHS, BATCH, RATE = 27, 128, 0.02
SCHEDULES = ("one-cycle", "rungs")
SMALL_CIFAR = replace(CIFAR, stages=((8, 12), (16, 24), (32, 48)), stem_widths=(4, 8), repeats=(1, 2)).fitted(
    (3, SIDE, SIDE), 10
)


@click.command(cls=Command)
@click.option("--data", required=True, help="CIFAR-10, as `nas train` takes it.")
@click.option("--networks", default=150, help="How many, drawn by the seed.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=TABLE)
def main(data: str, networks: int, output: Path) -> None:
    """Train on one thread, by each schedule, what OUTPUT does not have yet."""
    images = subset(load(data, SIDE))
    known = (
        {key(row.choices, row.schedule) for row in read(output, SMALL_CIFAR)} if output.exists() else set()
    )
    writer = Writer(output, all_names(SMALL_CIFAR), about())
    for place, choices in enumerate(drawn(networks)):
        for schedule in SCHEDULES:
            if key(choices, schedule) not in known:
                writer.write(trained(choices, images, place, schedule))


def key(choices: Mapping[str, Option], schedule: str) -> tuple[object, ...]:
    """What a line of the table is known by."""
    return schedule, *choices.items()


def subset(data: DataSet) -> DataSet:
    """The first training images of a data set, and those after them to judge by."""
    source = data.read()
    train, judged = (source.train.at(np.arange(*ends)) for ends in ((IMAGES,), (IMAGES, IMAGES + JUDGED)))
    return replace(data, read=lambda: Source(train, judged, judged))


def drawn(count: int) -> Iterator[Choices]:
    """The choices of different networks of the space, drawn uniformly."""
    found: set[str] = set()
    seed = 0
    while len(found) < count:
        choices = choices_of(SMALL_CIFAR, seeds.derive(SEED, seed))
        digest, seed = build(SMALL_CIFAR, choices).digest, seed + 1
        if digest not in found:
            found.add(digest)
            yield choices


def choices_of(space: Staged, seed: int) -> Choices:
    """Uniform choices."""
    generator = np.random.default_rng(seed)
    choices: Choices = {}

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        choices[name] = options[int(generator.integers(len(options)))]
        return choices[name]

    space.propose(choose)
    return choices


def all_names(space: Staged) -> tuple[str, ...]:
    """The names of all choices that ever come up."""
    return tuple(sorted({name for seed in range(1000) for name in choices_of(space, seed)}))


def trained(choices: Choices, data: DataSet, place: int, schedule: str) -> Network:
    """A network by a schedule; both of a place start from the same weights."""
    import torch

    from nas.training.loop import train
    from nas.training.presets import recipe_for
    from search_spaces.builder import build as module_of

    architecture, seed = build(SMALL_CIFAR, choices), seeds.training_seed(SEED, place)
    torch.manual_seed(seed)
    recipe = replace(recipe_for(data, batch_size=BATCH, learning_rate=RATE), schedule=schedule)
    epochs = train(module_of(architecture), data, epochs=EPOCHS, seed=seed, recipe=recipe)
    curve = tuple(epoch.accuracy or 0.0 for epoch in epochs)
    return Network(choices, schedule, *costs(architecture), curve)


def about() -> tuple[str, ...]:
    """The head of the table."""
    return (
        f"Networks of the space 'cifar' with narrow stages on CIFAR-10 in JPEG, cut to {SIDE}x{SIDE}: "
        f"{IMAGES} images, {EPOCHS} epochs",
        f"in batches of {BATCH}, rate {RATE}; accuracy on {JUDGED} other images. Seed {SEED}. "
        "The schedule 'rungs' comes down at epochs 1, 3, 9, 27.",
        f"python -m benchmarks.search.train_cifar --data CIFAR10, {datetime.now(UTC):%Y-%m-%d}, {machine()}",
    )


if __name__ == "__main__":
    main()

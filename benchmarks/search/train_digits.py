"""``python -m benchmarks.search.train_digits``: train the 2,000 networks of the space ``bench`` on digits."""

import platform
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.search.space import BENCH
from benchmarks.search.tables import FOLDER, Network, Writer, build, costs, names_of, read
from nas import seeds
from nas.data import DataSet, load
from search_spaces.search_space import Option, every

TABLE = FOLDER / "digits.csv"
SEED = 19
EPOCHS, BATCH, RATE = 6, 64, 0.05
VALIDATION = 0.5
"""Of the images: judged by 899 instead of 360, networks are told apart; trained on 538, they differ."""


@click.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=TABLE)
def main(output: Path) -> None:
    """Train on one thread what OUTPUT does not have yet; the seed of each follows from its place."""
    data = replace(load("digits"), validation_share=VALIDATION)
    networks = list(every(BENCH))
    known = {tuple(row.choices.items()) for row in read(output, BENCH)} if output.exists() else set()
    writer = Writer(output, names_of(networks), about())
    for place, choices in enumerate(networks):
        if tuple(choices.items()) not in known:
            writer.write(trained(choices, data, place))


def trained(choices: Mapping[str, Option], data: DataSet, place: int) -> Network:
    """The network at a place of the table."""
    from nas.training.loop import train_architecture

    architecture = build(BENCH, choices)
    _, epochs = train_architecture(
        architecture,
        data,
        epochs=EPOCHS,
        seed=seeds.training_seed(SEED, place),
        batch_size=BATCH,
        learning_rate=RATE,
    )
    curve = tuple(epoch.accuracy or 0.0 for epoch in epochs)
    return Network(dict(choices), "one-cycle", *costs(architecture), curve)


def about() -> tuple[str, ...]:
    """The head of the table."""
    return (
        f"All networks of the space 'bench', trained once on digits: {EPOCHS} epochs in batches of {BATCH}, "
        f"one-cycle to {RATE},",
        f"the seeds derived from {SEED}; validation accuracy on {VALIDATION:.0%} of the images.",
        f"python -m benchmarks.search.train_digits, {datetime.now(UTC):%Y-%m-%d}, {machine()}",
    )


def machine() -> str:
    """The processor and the versions that decide about sums of floats."""
    from importlib.metadata import version

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"one thread of {(models or [platform.machine()])[0]}, torch {version('torch')}"


if __name__ == "__main__":
    main()

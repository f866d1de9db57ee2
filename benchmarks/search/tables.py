"""Tables of trained networks: choices, costs, and the accuracy after every epoch, one line each."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import IO

from nas.algorithms.base import Choices
from search_spaces.architecture import Architecture
from search_spaces.search_space import Option, SearchSpace

FOLDER = Path(__file__).parent
FIGURES = ("schedule", "size_kb", "macs", "curve")
"""The columns beside the choices; the accuracies of a curve stand with a space between them."""


@dataclass(frozen=True)
class Network:
    """One network of a table.

    Attributes:
        choices: that lead to it in the table's space.
        schedule: of the learning rate that it was trained with.
        size_kb: of its parameters, in kB of 1000 bytes.
        macs: multiply-accumulates for an image.
        curve: validation accuracy, 0..1, after each epoch.
    """

    choices: Choices
    schedule: str
    size_kb: float
    macs: float
    curve: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """After the last epoch."""
        return self.curve[-1]


def build(space: SearchSpace, choices: Mapping[str, Option]) -> Architecture:
    """The architecture that choices lead to; KeyError where one is missing."""
    return space.propose(lambda name, _: choices[name])


def costs(architecture: Architecture) -> tuple[float, float]:
    """Size in kB and multiply-accumulates, as a search tells them before training."""
    from nas.objectives import objective
    from search_spaces.sizing import size

    macs = objective("macs").cost(architecture)
    assert macs is not None
    return size(architecture).kilobytes, macs


def read(path: Path, space: SearchSpace) -> list[Network]:
    """All networks of a table, whose choices the space still offers."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [_network(space, row) for row in rows]


def _network(space: SearchSpace, row: Mapping[str, str]) -> Network:
    choices: Choices = {}

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        choices[name] = next(option for option in options if str(option) == row[name])
        return choices[name]

    space.propose(choose)
    curve = tuple(map(float, row["curve"].split()))
    return Network(choices, row["schedule"], float(row["size_kb"]), float(row["macs"]), curve)


@dataclass
class Writer:
    """Appends networks to a table, so that a training of hours can be interrupted.

    Attributes:
        path: of the table.
        names: of all choices of the space, in the order of its columns.
        about: lines of the head: what it is of, by which command, when and where.
    """

    path: Path
    names: tuple[str, ...]
    about: tuple[str, ...] = field(default=())

    def write(self, network: Network) -> None:
        """One line more; the first brings the head."""
        is_new = not self.path.exists()
        with self.path.open("a", encoding="utf-8") as file:
            if is_new:
                file.writelines(f"# {line}\n" for line in self.about)
                _write(file, [*self.names, *FIGURES])
            chosen = [network.choices.get(name, "") for name in self.names]
            curve = " ".join(f"{accuracy:.4f}" for accuracy in network.curve)
            _write(file, [*chosen, network.schedule, f"{network.size_kb:.4f}", f"{network.macs:.0f}", curve])


def _write(file: IO[str], fields: Iterable[object]) -> None:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    file.write(text.getvalue())


def names_of(networks: Iterable[Mapping[str, Option]]) -> tuple[str, ...]:
    """The names of all choices that come up, in alphabetical order."""
    return tuple(sorted({name for choices in networks for name in choices}))

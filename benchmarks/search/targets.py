"""What the benchmark searches: spaces whose networks all have their figures in a table."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.space import BENCH
from benchmarks.search.synthetic import SYNTHETIC, choices_of_layers, synthetic_figures
from benchmarks.search.tables import build, read
from benchmarks.search.train_digits import TABLE as DIGITS_TABLE
from nas.algorithms.base import Choices, Screened
from nas.algorithms.hypervolume import hypervolume, hypervolume_history
from nas.ledger.entries import Cost
from nas.ledger.records import TrialRecord, TrialState
from nas.objectives import ObjectiveValue, objective
from search_spaces.search_space import Candidate, Option, SearchSpace

TOP_SHARE = 0.001
"""Of all networks: what counts as the best in accuracy."""

Key = frozenset[tuple[str, Option]]
"""The choices of a network."""

Figures = Mapping[str, float]
"""Of a network, by objective."""


@dataclass(frozen=True)
class Network:
    """A network of a table: its figures were known all along."""

    figures: Figures
    digest: str
    architecture: str


@dataclass(frozen=True)
class Target:
    """A space, the objectives, and what is known of every network of the space.

    Architectures are built when they are first met, as the digests of all would take half a minute.
    """

    name: str
    space: SearchSpace
    objectives: tuple[str, ...]
    figures: Mapping[Key, Figures]
    _met: dict[Key, Network] = field(default_factory=dict)

    def __getitem__(self, choices: Choices) -> Network:
        key = frozenset(choices.items())
        if key not in self._met:
            architecture = build(self.space, choices)
            self._met[key] = Network(self.figures[key], architecture.digest, architecture.to_json())
        return self._met[key]

    def screen(self, choices: Choices) -> Screened:
        """What a search may know before training: all but the accuracy."""
        known = self[choices]
        costs = {name: value for name, value in known.figures.items() if name != "accuracy"}
        return Screened(known.digest, costs)

    def estimated(self, candidate: Candidate) -> Cost:
        """As a search asks for it; there are no limits that costs could be over."""
        return Cost()

    before_training = estimated

    def record(self, number: int, choices: Choices, state: TrialState) -> TrialRecord:
        """A trial of a network; its accuracy is there once the trial is complete."""
        known = self[choices]
        macs = ObjectiveValue.exact(known.figures["macs"])
        return TrialRecord(
            self.name,
            number,
            state,
            accuracy=known.figures["accuracy"] if state is TrialState.COMPLETE else None,
            size_kb=known.figures["size"],
            digest=known.digest,
            architecture=known.architecture,
            choices=dict(choices),
            costs={"macs": macs},
        )

    def losses(self, networks: Iterable[Figures]) -> NDArray[np.float64]:
        """Networks by objectives (n, d): 0 is the best and 1 the worst of the whole space."""
        low, high = self._range
        return (self._raw(networks) - low) / (high - low)

    def shares(self, networks: Iterable[Figures]) -> NDArray[np.float64]:
        """The share of the whole space's hypervolume that the first, the first two, ... have: (n,)."""
        return hypervolume_history(self.losses(networks), np.ones(len(self.objectives))) / self._full

    def is_top(self, figures: Figures) -> bool:
        """Whether hardly any network of the space is more accurate."""
        return figures["accuracy"] >= self._top

    def _raw(self, networks: Iterable[Figures]) -> NDArray[np.float64]:
        named = [objective(name) for name in self.objectives]
        return np.array([[o.loss(figures[o.name]) for o in named] for figures in networks])

    @cached_property
    def _range(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raw = self._raw(self.figures.values())
        return raw.min(axis=0), raw.max(axis=0)

    @cached_property
    def _full(self) -> float:
        return hypervolume(self.losses(self.figures.values()), np.ones(len(self.objectives)))

    @cached_property
    def _top(self) -> float:
        accuracies = sorted((figures["accuracy"] for figures in self.figures.values()), reverse=True)
        return accuracies[max(1, round(TOP_SHARE * len(accuracies))) - 1]


def digits() -> dict[Key, Figures]:
    """The trained networks of ``bench``."""
    return {
        frozenset(row.choices.items()): {"accuracy": row.accuracy, "size": row.size_kb, "macs": row.macs}
        for row in read(DIGITS_TABLE, BENCH)
    }


def synthetic() -> dict[Key, Figures]:
    """The made-up networks of eight layers."""
    return {frozenset(choices.items()): synthetic_figures(choices) for choices in choices_of_layers()}


@dataclass(frozen=True)
class Table:
    """A space with its networks' figures, and the sets of objectives that it is searched with."""

    space: SearchSpace
    figures: Callable[[], dict[Key, Figures]]
    objectives: tuple[tuple[str, ...], ...]


tables = {
    "digits": Table(BENCH, digits, (("accuracy", "size"), ("accuracy", "size", "macs"))),
    "synthetic": Table(SYNTHETIC, synthetic, (("accuracy", "macs"), ("accuracy", "macs", "size"))),
}


def targets(name: str) -> list[Target]:
    """A table with each of its sets of objectives."""
    table = tables[name]
    figures, met = table.figures(), dict[Key, Network]()
    return [Target(name, table.space, objectives, figures, met) for objectives in table.objectives]

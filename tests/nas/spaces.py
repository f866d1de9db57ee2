"""A space and evaluators of the user's own kind, for searches that train and compile nothing."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import nas
from nas.evaluators import evaluators
from nas.ledger.mistakes import Predictions
from nas.objectives import objectives
from search_spaces.search_space import Choose, SearchSpace, spaces

SIZES = (1, 2, 3)


@dataclass(frozen=True)
class Toy:
    """A network of some layers, each of a size; the second half is there only in deep ones."""

    layers: tuple[int, ...]

    def to_json(self) -> str:
        return json.dumps(self.layers)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()


class ToySpace(SearchSpace):
    """Shallow: 3 x 3 networks; deep: 3 x 3 x 3 x 3."""

    name = "toy"

    def propose(self, choose: Choose) -> Toy:
        layers = 2 if choose("depth", ("shallow", "deep")) == "shallow" else 4
        return Toy(tuple(int(choose(f"layer{n}", SIZES)) for n in range(layers)))


class Two(SearchSpace):
    """Four networks."""

    name = "two"

    def propose(self, choose: Choose) -> Toy:
        return Toy((int(choose("first", (1, 2))), int(choose("second", (1, 2)))))


def cost(network: Toy) -> Mapping[str, float]:
    return {"work": float(sum(network.layers))}


def picky_cost(network: Toy) -> Mapping[str, float]:
    if sum(network.layers) % 2:
        raise ValueError("an odd network has no costs")
    return cost(network)


def accuracy(network: Toy) -> float:
    return 1.0 - 1.0 / (1.0 + sum(size * (n + 1) for n, size in enumerate(network.layers)))


@contextmanager
def known() -> Iterator[None]:
    """For the tests of one file alone: others ask for all spaces and evaluators that there are."""
    before = [dict(registry._things) for registry in (spaces, evaluators, objectives) if list(registry)]
    spaces.add("toy", ToySpace())
    spaces.add("two", Two())
    _add_evaluators()
    yield
    for registry, things in zip((spaces, evaluators, objectives), before, strict=True):
        registry._things = things


def _add_evaluators() -> None:
    @nas.evaluator("toy", objectives=[nas.Objective("work", before_training=True)], costs=cost)
    def evaluate(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        for epoch in range(1, budget + 1):
            report(epoch, {"accuracy": accuracy(network) * epoch / budget, "margin": 0.5})
        return {"accuracy": accuracy(network), **cost(network)}

    @nas.evaluator("late", objectives=["work"])
    def evaluate_late(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        report(0, cost(network))
        return {"accuracy": accuracy(network)}

    @nas.evaluator("seeded", objectives=["work"], costs=cost)
    def evaluate_seeded(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        right = report.seed % 1000
        report.predictions = Predictions(1001, 1000, right, ((0, 1, 1000 - right),))
        return {"accuracy": right / 1000}

    @nas.evaluator("unfounded", objectives=["work"], costs=cost)
    def evaluate_unfounded(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        report.predictions = {"right": 1}  # type: ignore[assignment]  # as somebody may
        return {"accuracy": 1.0}

    @nas.evaluator("broken", objectives=["work"])
    def evaluate_broken(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        if sum(network.layers) % 2:
            return {"accuracy": float("nan"), "work": 1.0}
        return {"accuracy": 0.5}

    @nas.evaluator("fickle", objectives=["work"], costs=cost)
    def evaluate_fickle(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        """Says of its work the same but for rounding, or at a step, or in the end, something else."""
        work = float(sum(network.layers))
        first = network.layers[0]
        report(1, {"work": work + 1.0 if first == 1 else work * (1 + 1e-12)})
        return {"accuracy": 0.5, "work": work * 2 if first == 2 else work}

    @nas.evaluator("picky", objectives=["work"], costs=picky_cost)
    def evaluate_picky(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        return {"accuracy": accuracy(network)}

    @nas.evaluator("stubborn", objectives=["work"], costs=cost)
    def evaluate_stubborn(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        try:
            report(1, {"accuracy": float("inf")})
        except ValueError:
            report(1, {"accuracy": 0.25})
        return {"accuracy": 0.5}

    @nas.evaluator("tireless", objectives=["work"], costs=cost)
    def evaluate_tireless(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        for step in range(1, budget + 3):
            report(step, {"accuracy": 0.5})
        return {"accuracy": 0.5}

    @nas.evaluator("wobbly", objectives=["work"], costs=cost)
    def evaluate_wobbly(network: Toy, budget: int, report: nas.Report) -> Mapping[str, float]:
        """Early epochs rank the other way round; the seed adds a little."""
        best = accuracy(network) + report.seed % 100 / 1e4
        for epoch in range(1, budget):
            report(epoch, {"accuracy": 1.0 - best})
        return {"accuracy": best, **cost(network)}

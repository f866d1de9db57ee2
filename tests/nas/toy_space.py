"""A space of choices that depend on each other, without a network behind it, and made-up results in it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from nas.algorithms.base import Algorithm, Choices
from nas.algorithms.choosing import algorithm
from nas.ledger import SearchConfig, TrialRecord, TrialState
from search_spaces.search_space import Choose, SearchSpace

LAYERS = 5
CONFIG = SearchConfig(
    "toy", "digits", "local", trials=60, epochs=1, objectives=("accuracy", "latency"), sampler="random"
)


@dataclass(frozen=True)
class Plain:
    """What was chosen."""

    choices: tuple[tuple[str, str | int], ...]

    def to_json(self) -> str:
        return json.dumps(self.choices)

    @property
    def digest(self) -> str:
        return sha256(self.to_json().encode()).hexdigest()


class Toy(SearchSpace):
    """So many layers: a wide one has a precision, a deep one a kernel and perhaps a bias."""

    name = "toy"
    description = "layers that are skipped, wide or deep"
    input_shape = (1, 1, 1)
    classes = 2

    def __init__(self, layers: int = LAYERS) -> None:
        self._layers = layers

    def propose(self, choose: Choose) -> Plain:
        found: list[tuple[str, str | int]] = []

        def take(name: str, options: tuple[str | int, ...]) -> str | int:
            found.append((name, choose(name, options)))
            return found[-1][1]

        for layer in range(self._layers):
            kind = take(f"{layer}.kind", ("skip", "wide", "deep"))
            if kind == "wide":
                take(f"{layer}.precision", ("float", "int8", "ternary", "binary"))
            elif kind == "deep" and take(f"{layer}.kernel", (3, 5)) == 5:
                take(f"{layer}.bias", ("no", "yes"))
        return Plain(tuple(found))

    def size(self) -> int:
        return 8**self._layers


def ended(number: int, choices: Choices, space: SearchSpace | None = None) -> TrialRecord:
    """A complete trial: ternary layers are accurate, wide and deep ones are slow, and float ones very."""
    values = list(choices.values())
    found = (space or Toy()).propose(lambda name, _: choices[name])
    return TrialRecord(
        "toy",
        number,
        TrialState.COMPLETE,
        accuracy=(1 + 2 * values.count("ternary") + values.count("yes")) / (3 + 2 * LAYERS),
        latency_ms=1.0 + len(values) - LAYERS + 4 * values.count("float"),
        size_kb=10.0,
        digest=found.digest,
        choices=choices,
    )


def run(
    name: str,
    trials: int,
    *,
    space: SearchSpace | None = None,
    change: Callable[[TrialRecord], TrialRecord] = lambda trial: trial,
    make: Callable[[SearchSpace, SearchConfig], Algorithm] = algorithm,
    **settings: object,
) -> list[TrialRecord]:
    """A search by one worker; ``change`` makes something else of each trial."""
    space = space or Toy()
    config = replace(CONFIG, sampler=name, **settings)  # type: ignore[arg-type]  # of several types
    by, done = make(space, config), list[TrialRecord]()
    for number in range(trials):
        proposal = by.ask(number, done)
        done.append(change(replace(ended(number, proposal.choices, space), parents=proposal.parents)))
    return done


def digests(trials: Sequence[TrialRecord]) -> list[str | None]:
    """Of each trial."""
    return [trial.digest for trial in trials]

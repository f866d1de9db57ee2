"""A ledger full of made-up trials of ``cifar``, as a search of thousands leaves it."""

from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
from sqlalchemy import update

from benchmarks.search.train_cifar import choices_of
from nas import seeds
from nas.algorithms.base import Choices, Screened
from nas.ledger.entries import Cost
from nas.ledger.records import SearchConfig, TrialState
from nas.ledger.rows import find_search
from nas.ledger.store import Ledger
from nas.ledger.tables import Search, Trial
from nas.objectives import ObjectiveValue
from search_spaces.architecture import Architecture
from search_spaces.search_space import CIFAR, Candidate

CONFIG = SearchConfig("cifar", "digits", "local", trials=1, epochs=10)
WORKLOADS = 20
"""Kernels of each network, whose times stand in the ledger with the trial."""
MS, KB = 0.02, 3.0
"""What a kernel takes and what a layer stores, about."""


def proposed(choices: Choices) -> Architecture:
    """The architecture of choices."""
    return CIFAR.propose(lambda name, _: choices[name])


def cost(choices: Choices) -> Cost:
    """More for wide, long and precise networks."""
    values = list(choices.values())
    numbers = sum(value for value in values if isinstance(value, int))
    layers = 1 + values.count("float") * 4 + values.count("int8")
    kernels = [(f"kernel {n} of {numbers % 97}", MS * (1 + numbers / 200)) for n in range(WORKLOADS)]
    macs = ObjectiveValue.exact(1e4 * numbers)
    return Cost(sum(ms for _, ms in kernels), KB * layers, kernels, costs={"macs": macs})


def screen(choices: Choices) -> Screened:
    """What is known before training; an architecture's digest is most of the time that it takes."""
    found = cost(choices)
    values = {"latency": found.latency_ms, "size": found.size_kb}
    return Screened(proposed(choices).digest, values)


class MadeUpCosting:
    """Stands for the costing of a search, whose limits nothing is over."""

    def estimated(self, candidate: Candidate) -> Cost:
        """Nothing is limited, so nothing needs to be known."""
        return Cost()

    before_training = estimated


@lru_cache(maxsize=16_384)
def _network(seed: int) -> tuple[Choices, Architecture]:
    choices = choices_of(CIFAR, seed)
    return choices, proposed(choices)


def fill(ledger: Ledger, search: str, config: SearchConfig, count: int) -> None:
    """A search whose first ``count`` trials have ended, and the others are queued."""
    ledger.create_search(search, config)
    draw, now = np.random.default_rng(0), datetime.now(UTC)
    with ledger.writing() as session:
        row = find_search(session, search)
        for number in range(count):
            choices, network = _network(seeds.derive(0, number))
            found = cost(choices)
            values = {
                **vars(found),
                "costs": {name: value._asdict() for name, value in found.costs.items()},
                "state": TrialState.COMPLETE,
                "choices": choices,
                "architecture": network.to_json(),
                "digest": network.digest,
                "accuracy": float(1 - np.exp(-found.size_kb / 50) * 0.5 + draw.normal(0, 0.01)) / 1.2,
                "started_at": now,
                "finished_at": now,
                "revision": number + 1,
            }
            its = (Trial.search_id == row.id, Trial.number == number)
            session.execute(update(Trial).where(*its).values(**values))
        session.execute(update(Search).where(Search.id == row.id).values(revision=count))

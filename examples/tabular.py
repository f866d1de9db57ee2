"""A search of your own space by your own evaluator, without training: a benchmark that is a table.

    nas --plugin examples/tabular.py search --name macro --space macro --evaluator table \
        --objective accuracy --objective flops --trials 200

Ten layers, each of which is one of three operations: 59,049 networks. The table is made up: an accuracy that
grows with the operations, a little by pairs, and saturates, and the operations in giga.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import nas
from search_spaces.search_space import Choose, SearchSpace, spaces

LAYERS, OPERATIONS = 10, ("skip", "conv3", "conv5")
GIGA = {"skip": 0.0, "conv3": 0.3, "conv5": 0.8}


@dataclass(frozen=True)
class Macro:
    """An architecture of one's own: anything that has JSON, and a digest of it."""

    layers: tuple[str, ...]

    def to_json(self) -> str:
        """The same text for the same network."""
        return json.dumps({"layers": self.layers})

    @property
    def digest(self) -> str:
        """Its identity."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


class MacroSpace(SearchSpace):
    """One operation a layer."""

    name = "macro"
    description = "ten layers of one in three operations"

    def propose(self, choose: Choose) -> Macro:
        """Choose for each layer."""
        return Macro(tuple(str(choose(f"layer{n}", OPERATIONS)) for n in range(LAYERS)))

    def size(self) -> int:
        """All combinations."""
        return len(OPERATIONS) ** LAYERS


spaces.add("macro", MacroSpace())


def flops(network: Macro) -> Mapping[str, float]:
    """What is known without training: operations, in giga."""
    return {"flops": 0.1 + sum(GIGA[layer] for layer in network.layers)}


def table() -> tuple[np.ndarray, np.ndarray]:
    """The effects of operations, layer by layer, and of pairs of neighbours."""
    generator = np.random.default_rng(1)
    own = np.sort(generator.exponential(1.0, (LAYERS, len(OPERATIONS))), axis=1)
    return own, generator.normal(0.0, 0.3, (LAYERS - 1, len(OPERATIONS), len(OPERATIONS)))


OWN, PAIRS = table()


@nas.evaluator(
    "table",
    objectives=[nas.Objective("flops", unit="G", direction="minimize", before_training=True)],
    costs=flops,
)
def evaluate(network: Macro, budget: int, report: nas.Report) -> Mapping[str, float]:
    """Look the accuracy up, as if it had been trained for ``budget`` epochs."""
    chosen = [OPERATIONS.index(layer) for layer in network.layers]
    worth = sum(OWN[n, c] for n, c in enumerate(chosen))
    worth += sum(PAIRS[n, a, b] for n, (a, b) in enumerate(pairwise(chosen)))
    best = 0.95 * (1.0 - np.exp(-worth / 8.0))
    for epoch in range(1, budget + 1):
        report(epoch, {"accuracy": float(best * (1.0 - 0.5**epoch))})
    return {"accuracy": float(best * (1.0 - 0.5**budget)), **flops(network)}

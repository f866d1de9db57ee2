"""A made-up space: 8 layers of 3 operations, 6,561 networks, whose accuracy follows a seeded model."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from nas import seeds
from nas.algorithms.base import Choices
from search_spaces.architecture import Architecture, Block, Head, Stem
from search_spaces.search_space import Choose, Option, SearchSpace, text

SEED = 19
LAYERS, KINDS = 8, ("shuffle", "separable", "fire")
"""The operations, from the cheapest to the dearest."""
COST = np.array([0.1, 1.0, 2.2])
"""Of the operations, in the unit of a layer."""
GAIN = np.array([0.0, 0.28, 0.38])
"""What they bring to a network's quality in a layer of weight 1: less the more is there already."""
PAIRS, NOISE = 0.04, 0.0015
"""How strongly two layers' operations depend on each other, and what a training differs by from the model."""
WORST, BEST = 0.72, 0.94


@dataclass(frozen=True)
class Layered(SearchSpace):
    """Eight blocks of one width, each of one of three kinds; what they cost and reach is made up."""

    name: str = "layers"
    description: str = "eight blocks, each of one of three kinds; nothing is trained"
    input_shape: tuple[int, int, int] = (1, 8, 8)
    classes: int = 10

    def propose(self, choose: Choose) -> Architecture:
        kinds = [text(choose, f"layer{layer}.block", KINDS) for layer in range(1, LAYERS + 1)]
        blocks = [Block(kind=kind, width=16, kernel=3, stride=1, groups=1, precisions={}) for kind in kinds]
        return Architecture(
            space=self.name,
            input_shape=self.input_shape,
            classes=self.classes,
            stem=Stem(width=16, kernel=3, stride=1, precision="float"),
            blocks=tuple(blocks),
            head=Head(precision="float"),
        )

    def size(self) -> int:
        """Three to the eighth."""
        return len(KINDS) ** LAYERS


SYNTHETIC = Layered()

_draw = np.random.default_rng(seeds.derive(SEED, 0))
WEIGHTS = _draw.uniform(0.4, 1.6, LAYERS)
"""What a layer counts for in a network's quality."""
OPERATIONS = _draw.uniform(0.5, 2.0, LAYERS)
PARAMETERS = np.sort(_draw.uniform(0.2, 3.0, LAYERS))
"""The unit of each layer: operations in millions, parameters in kB, more of these in later layers."""
_PAIR = _draw.normal(0.0, PAIRS, (LAYERS, LAYERS, len(KINDS), len(KINDS)))


def choices_of_layers() -> Iterator[Choices]:
    """The choices of each network; no architecture is built, as thousands take their time."""
    names = [f"layer{layer}.block" for layer in range(1, LAYERS + 1)]
    return (dict(zip(names, kinds, strict=True)) for kinds in product(KINDS, repeat=LAYERS))


def synthetic_figures(choices: Mapping[str, Option]) -> dict[str, float]:
    """Accuracy, operations and size of the network that choices lead to; the latter two are exact."""
    chosen = [KINDS.index(str(choices[f"layer{layer}.block"])) for layer in range(1, LAYERS + 1)]
    alone = float(WEIGHTS @ GAIN[chosen])
    pairs = sum(_PAIR[a, b, chosen[a], chosen[b]] for a in range(LAYERS) for b in range(a))
    noise = np.random.default_rng(seeds.derive(SEED, 1, *chosen)).normal(0.0, NOISE)
    accuracy = BEST - (BEST - WORST) * math.exp(-max(alone + float(pairs), 0.0)) + float(noise)
    return {
        "accuracy": accuracy,
        "macs": float(1e6 * OPERATIONS @ COST[chosen]),
        "size": float(PARAMETERS @ (COST[chosen] ** 0.7)),
    }

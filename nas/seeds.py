"""Seeds for the parts of a search, all derived from the one that the user gives."""

import numpy as np

# What a seed is for, so that no two uses share a stream.
PROPOSE, TRAIN = 0, 1


def derive(seed: int, *path: int) -> int:
    """A seed of 32 bits for the use named by ``path``; different paths give unrelated ones."""
    return int(np.random.SeedSequence((seed, *path)).generate_state(1)[0])


def training_seed(seed: int, number: int, repeat: int = 0) -> int:
    """What trial ``number`` of a search with ``seed`` is built and trained with, the first time or again."""
    return derive(seed, TRAIN, number, *([repeat] if repeat else []))

"""Memory planning: every buffer of a network gets a fixed place in one workspace, reused as soon as free."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

ALIGNMENT = 64  # bytes; the kernels' vector loads assume it
ACCEPTED_RATIO = 1.1  # a plan within this factor of what no plan can beat is good enough
RANDOM_ORDERS = 200


@dataclass(frozen=True)
class Lifetime:
    """A buffer of ``nbytes`` that is written in step ``first`` and read for the last time in ``last``."""

    nbytes: int
    first: int
    last: int


def aligned(nbytes: int) -> int:
    """``nbytes`` rounded up to the alignment."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def plan(lifetimes: list[Lifetime]) -> tuple[list[int], int]:
    """Offsets of the buffers and the size of the workspace, in bytes: the smallest of a few plans.

    The first, largest buffers first, is nearly always within a few percent of what no plan can beat; where it
    is not, others and then random orders are tried.
    """
    least = largest_live_set(lifetimes)
    best: tuple[list[int], int] | None = None
    for order in _orders(lifetimes):
        offsets = _place(lifetimes, order)
        total = max((o + aligned(b.nbytes) for o, b in zip(offsets, lifetimes, strict=True)), default=0)
        if best is None or total < best[1]:
            best = offsets, total
        if best[1] <= ACCEPTED_RATIO * least:
            break
    return best or ([], 0)


def _orders(lifetimes: list[Lifetime]) -> Iterator[list[int]]:
    """Orders in which buffers may be placed."""
    every = range(len(lifetimes))
    yield sorted(every, key=lambda i: (-lifetimes[i].nbytes, lifetimes[i].first))
    yield sorted(every, key=lambda i: (lifetimes[i].first - lifetimes[i].last, -lifetimes[i].nbytes))
    yield sorted(every, key=lambda i: (lifetimes[i].first, -lifetimes[i].nbytes))
    yield sorted(every, key=lambda i: (-lifetimes[i].last, -lifetimes[i].nbytes))
    shuffled, generator = list(every), random.Random(0)  # noqa: S311 - the same plan every time
    for _ in range(RANDOM_ORDERS):
        generator.shuffle(shuffled)
        yield list(shuffled)


def _place(lifetimes: list[Lifetime], order: list[int]) -> list[int]:
    """Each buffer in turn at the lowest offset that no buffer alive at the same time covers."""
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    for index in order:
        own = lifetimes[index]
        alive = (i for i in placed if lifetimes[i].first <= own.last and own.first <= lifetimes[i].last)
        offset = 0
        for start, end in sorted((offsets[i], offsets[i] + aligned(lifetimes[i].nbytes)) for i in alive):
            if offset + aligned(own.nbytes) <= start:
                break
            offset = max(offset, end)
        offsets[index] = offset
        placed.append(index)
    return offsets


def largest_live_set(lifetimes: list[Lifetime]) -> int:
    """The most bytes that are alive in one step: no plan can do with less."""
    last = max((b.last for b in lifetimes), default=-1)
    alive = ([b for b in lifetimes if b.first <= step <= b.last] for step in range(last + 1))
    return max((sum(aligned(b.nbytes) for b in step) for step in alive), default=0)

"""Memory planning: every buffer of a network gets a fixed place in one workspace, reused as soon as free."""

from dataclasses import dataclass

ALIGNMENT = 64  # bytes; the kernels' vector loads assume it


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
    """Offsets of the buffers and the size of the workspace, in bytes.

    Largest buffers first, each at the lowest offset that no buffer alive at the same time covers.
    """
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    for index in sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].nbytes, lifetimes[i].first)):
        own = lifetimes[index]
        alive = (i for i in placed if lifetimes[i].first <= own.last and own.first <= lifetimes[i].last)
        offset = 0
        for start, end in sorted((offsets[i], offsets[i] + aligned(lifetimes[i].nbytes)) for i in alive):
            if offset + aligned(own.nbytes) <= start:
                break
            offset = max(offset, end)
        offsets[index] = offset
        placed.append(index)
    total = max((o + aligned(b.nbytes) for o, b in zip(offsets, lifetimes, strict=True)), default=0)
    return offsets, total


def largest_live_set(lifetimes: list[Lifetime]) -> int:
    """The most bytes that are alive in one step: no plan can do with less."""
    last = max((b.last for b in lifetimes), default=-1)
    alive = ([b for b in lifetimes if b.first <= step <= b.last] for step in range(last + 1))
    return max((sum(aligned(b.nbytes) for b in step) for step in alive), default=0)

"""Which choices tell the trials of a search apart: the share of a column's variance that each explains."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

LEAST = 3
"""Trials with a value that a variance makes any sense of."""


def explained(frame: Mapping[str, Any], of: str) -> list[tuple[str, float]]:
    """Each choice with its η², the largest first: how far its options' means differ, as a share of all.

    Args:
        frame: of ``nas.figures.frame``.
        of: the name of an axis of it.

    Returns:
        None of the choices where fewer than three trials have a value, or all have the same.
    """
    values: Sequence[float | None] = frame["columns"][of]
    known = [value for value in values if value is not None]
    if len(known) < LEAST:
        return []
    mean = fmean(known)
    total = sum((value - mean) ** 2 for value in known)
    if not total:
        return []
    found = []
    for choice in frame["choices"]:
        groups: dict[int, list[float]] = {}
        for value, option in zip(values, choice["taken"], strict=True):
            if value is not None:
                groups.setdefault(option, []).append(value)
        if len(groups) > 1:
            between = sum(len(group) * (fmean(group) - mean) ** 2 for group in groups.values())
            found.append((choice["name"], between / total))
    return sorted(found, key=lambda each: -each[1])

"""Where a trial comes from: the trials that it was bred from, back to the first, and what was changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nas.ledger import Ledger, TrialRecord
from nas.ledger.lineage import parents_of

MOST_STEPS = 20
Choice = str | int | None
"""An option; None where the choice does not come up."""


class Change(NamedTuple):
    """A choice that differs between a parent and its child."""

    name: str
    before: Choice
    after: Choice


@dataclass(frozen=True)
class Step:
    """A trial on the way back.

    Attributes:
        trial: as the ledger has it.
        parent: the parent that the way goes on with: the one that differs in the fewest choices,
            of such the latest.
        others: its further parents.
        changes: what differs from ``parent``.
    """

    trial: TrialRecord
    parent: int | None = None
    others: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """Where a trial comes from, and what was bred from it.

    Attributes:
        steps: the trial itself, its parent, and so on.
        is_cut: whether there are more steps than are told.
        children: the numbers of the trials that were bred from it.
    """

    steps: tuple[Step, ...]
    is_cut: bool
    children: tuple[int, ...]


def lineage_of(ledger: Ledger, search: str, number: int, most: int = MOST_STEPS) -> Lineage:
    """The way back from a trial, at most so many steps; InvalidInput where there is no such trial."""
    parents = parents_of(ledger, search)
    steps = list[Step]()
    way: int | None = number
    met = set[int]()
    while way is not None and len(steps) <= most:
        met.add(way)
        trial = ledger.trial(search, way)
        step = _step(ledger, trial, [each for each in parents.get(way, ()) if each not in met])
        steps.append(step)
        way = step.parent
    children = tuple(child for child, its in sorted(parents.items()) if number in its)
    return Lineage(tuple(steps), way is not None, children)


def _step(ledger: Ledger, trial: TrialRecord, parents: Sequence[int]) -> Step:
    if not parents:
        return Step(trial)
    found = {number: changes(ledger.trial(trial.search, number), trial) for number in parents}
    nearest = min(parents, key=lambda number: (len(found[number]), -number))
    others = tuple(number for number in parents if number != nearest)
    return Step(trial, nearest, others, found[nearest])


def changes(parent: TrialRecord, child: TrialRecord) -> tuple[Change, ...]:
    """The choices that differ, in the order in which the child made them."""
    return tuple(_changes(parent.choices or {}, child.choices or {}))


def _changes(before: dict[str, str | int], after: dict[str, str | int]) -> Iterator[Change]:
    for name in dict.fromkeys((*after, *before)):
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))

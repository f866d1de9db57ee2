"""Chooses what to take out: step by step what costs least importance for each millisecond that it saves."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from nas.pruning.importance import Scores
from search_spaces.architecture import Buildable
from search_spaces.errors import InvalidInput
from search_spaces.pruning.couplings import Block, Couplings, Dimension

MULTIPLES = (32, 16, 8, 4)
"""Widths that kernels may like: whole vectors of numbers, and words of bits. Which they do is measured."""
LEAST = 4
"""Channels that are left of a layer, or all that it had."""
AT_ONCE = 8
"""So many leading steps are looked at anew together."""
LEAST_SAVED = 2e-3
"""The share of the latency that a step saves at least; less is noise."""

LatenciesOf = Callable[[Sequence[Buildable]], list[float]]
"""What architectures take by their measured kernels, in milliseconds; those of all are measured in one go."""
Check = Callable[[Buildable, frozenset[int]], None]
"""Raises InvalidInput where an architecture cannot be cut out of the network without these channels."""


@dataclass(frozen=True)
class Cut:
    """What is left of a network.

    Attributes:
        architecture: of what is left.
        milliseconds: that it takes by its kernels.
        gone: the coupled sets of channels that are taken out.
        without: the blocks that are left out, by name.
        lost: the importance of all that is gone.
    """

    architecture: Buildable
    milliseconds: float
    gone: frozenset[int] = frozenset()
    without: tuple[str, ...] = ()
    lost: float = 0.0


@dataclass
class _Step:
    """Something that may be taken out, and what that loses for each millisecond.

    Attributes:
        take: what.
        units: of a dimension.
        rate: when it was last looked at; below 0 where it never was, infinite where nothing was saved.
        is_seen: whether it was looked at since the last step.
        cut: what it then led to.
    """

    take: Dimension | Block
    units: int
    rate: float = -1.0
    is_seen: bool = False
    cut: Cut | None = field(default=None, repr=False)


class Chooser:
    """Cuts a network down to a latency, greedily (Yang et al., *NetAdapt*, 2018, with importances for its
    short trainings). A step that is not faster by its measured kernels is never taken."""

    def __init__(
        self,
        architecture: Buildable,
        couplings: Couplings,
        scores: Scores,
        latencies_of: LatenciesOf,
        check: Check,
    ) -> None:
        """Of a network.

        Args:
            architecture: of it.
            couplings: its channels.
            scores: how much they matter.
            latencies_of: what architectures take.
            check: whether one can be cut out.
        """
        self._architecture, self._couplings, self._scores = architecture, couplings, scores
        self._latencies_of, self._check = latencies_of, check
        scored = {one for name, ids in couplings.made.items() if name in scores for one in ids}
        self._dimensions = [d for d in couplings.dimensions if all(i in scored for c in d.cells for i in c)]
        self.cut = Cut(architecture, latencies_of([architecture])[0])

    def down_to(self, target: float) -> bool:
        """Cut until what is left takes no more than ``target`` milliseconds by its kernels; False where it
        does not come there: nothing that could be taken out makes it faster."""
        waiting = self._steps()
        while self.cut.milliseconds > target:
            found = self._best(waiting)
            if found is None:
                return False
            self.cut = found
            waiting = self._steps(waiting)
        return True

    def _best(self, steps: Sequence[_Step]) -> Cut | None:
        """The cut after the best step. Earlier rates are a guess: only what leads is looked at anew."""
        waiting = sorted(steps, key=lambda step: step.rate)
        self._look([step for step in waiting if step.rate < 0])
        while waiting:
            waiting.sort(key=lambda step: step.rate)
            first = waiting[0]
            if first.cut is None and not first.is_seen:
                self._look([step for step in waiting if not step.is_seen][:AT_ONCE])
            elif first.cut is not None and self._is_possible(first.cut):
                return first.cut
            else:
                waiting.remove(first)
        return None

    def _is_possible(self, cut: Cut) -> bool:
        try:
            self._check(cut.architecture, cut.gone)
        except InvalidInput:
            return False
        return True

    def _look(self, steps: Sequence[_Step]) -> None:
        """Find out what steps lead to, and which make the network faster."""
        found = [(step, cut) for step in steps if (cut := self._after(step)) is not None]
        for step in steps:
            step.is_seen, step.rate = True, math.inf
        latencies = self._latencies_of([cut.architecture for _, cut in found])
        for (step, cut), taken in zip(found, latencies, strict=True):
            saved = self.cut.milliseconds - taken
            if saved >= self.cut.milliseconds * LEAST_SAVED:
                step.cut = replace(cut, milliseconds=taken)
                step.rate = (cut.lost - self.cut.lost) / saved

    def _after(self, step: _Step) -> Cut | None:
        """What is left after a step, in a time yet unknown; None where too little of a layer would be."""
        now, take = self.cut, step.take
        gone, without = now.gone, now.without
        if isinstance(take, Block):
            without = (*without, take.name)
            gone = gone | self._within(take.name)
        else:
            gone = gone.union(take.chosen(step.units, self._importance(without)))
        widths = self._couplings.widths(gone, without)
        if any(self._is_too_few(name, width) for name, width in widths.items()):
            return None
        every = {**self._architecture.widths, **widths}
        kept = {name: width for name, width in every.items() if not name.startswith(_inside(without))}
        architecture = self._architecture.pruned(kept, without)
        return Cut(architecture, math.nan, gone, without, self._lost(gone, without))

    def _is_too_few(self, name: str, width: int) -> bool:
        return name in self._scores and width < min(LEAST, len(self._couplings.made[name]))

    def _within(self, block: str) -> set[int]:
        """Channels of which every layer is in a block."""
        inside: set[int] = set()
        outside: set[int] = set()
        for name, ids in self._couplings.made.items():
            (inside if name.startswith(f"{block}.") else outside).update(ids)
        return inside - outside

    def _importance(self, without: Sequence[str] = ()) -> dict[int, float]:
        """Of every coupled set: of its channels in all layers that are left."""
        left_out = _inside(without)
        found: dict[int, float] = dict.fromkeys(
            (i for ids in self._couplings.made.values() for i in ids), 0.0
        )
        for name, scores in self._scores.items():
            if not name.startswith(left_out):
                for one, score in zip(self._couplings.made[name], scores.tolist(), strict=True):
                    found[one] += score
        return found

    def _lost(self, gone: frozenset[int], without: Sequence[str]) -> float:
        """The importance of channels that are gone, and of what blocks that are left out have added."""
        importance = self._importance(without)
        adds = {block.name: block.adds for block in self._couplings.blocks}
        blocks = 0.0
        for name in without:
            for maker in adds[name]:
                scores = self._scores.get(maker)
                blocks += 0.0 if scores is None else float(scores.sum())
        return blocks + sum(importance[one] for one in gone)

    def _steps(self, before: Sequence[_Step] = ()) -> list[_Step]:
        """What may be taken out next, with the rates that such steps had before."""
        known = {(step.take.name, step.units): step.rate for step in before}
        without = self.cut.without
        found = [
            _Step(block, 0)
            for block in self._couplings.blocks
            if block.name not in without
            and not block.name.startswith(_inside(without))
            and self._scores.keys() >= set(block.adds)
        ]
        for dimension in self._dimensions:
            left = _left(dimension, self.cut.gone)
            found += [_Step(left, units) for units in self._amounts(left)]
        return [replace(step, rate=known.get((step.take.name, step.units), -1.0)) for step in found]

    def _amounts(self, left: Dimension) -> list[int]:
        """By how many units the layers come to the next multiples of what kernels may like."""
        found = set()
        for multiple in MULTIPLES:
            fitting = (n for n in range(1, left.most + 1) if self._is_even(left, n, multiple))
            found.add(next(fitting, 0))
        return sorted(found - {0}) or [n for n in (left.units // 8,) if 0 < n <= left.most]

    def _is_even(self, left: Dimension, units: int, multiple: int) -> bool:
        """Whether all layers with channels of a dimension have a multiple once so many units are gone."""
        mine = {one for cell in left.cells for one in cell}
        gone = self.cut.gone.union(left.chosen(units, dict.fromkeys(mine, 0.0)))
        left_out = _inside(self.cut.without)
        widths = (
            sum(one not in gone for one in ids)
            for name, ids in self._couplings.made.items()
            if name in self._scores and not name.startswith(left_out) and not mine.isdisjoint(ids)
        )
        return all(width % multiple == 0 for width in widths)


def _left(dimension: Dimension, gone: frozenset[int]) -> Dimension:
    """A dimension without what is gone."""
    cells = (tuple(one for one in cell if one not in gone) for cell in dimension.cells)
    return replace(dimension, cells=tuple(cells))


def _inside(blocks: Iterable[str]) -> tuple[str, ...]:
    """How the names of layers begin that are in blocks."""
    return tuple(f"{name}." for name in blocks)

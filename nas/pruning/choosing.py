"""Chooses which channels and blocks to take out, by their importance and by what that saves."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from nas.pruning.greedy import Changed, Costs, Greedy
from nas.pruning.importance import Scores
from search_spaces.architecture import Buildable
from search_spaces.errors import InvalidInput
from search_spaces.pruning.couplings import Block, Couplings, Dimension

MULTIPLES = (32, 16, 8, 4)
"""Widths that kernels may like: whole vectors of numbers, and words of bits. Which they do is measured."""
LEAST = 4
"""Channels that are left of a layer, or all that it had."""

Check = Callable[[Buildable, frozenset[int]], None]
"""Raises InvalidInput where an architecture cannot be cut out of the network without these channels."""


@dataclass(frozen=True)
class Cut(Changed):
    """What is left of a network; what is lost is the importance of all that is gone.

    Attributes:
        gone: the coupled sets of channels that are taken out.
        without: the blocks that are left out, by name.
    """

    gone: frozenset[int] = frozenset()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Take:
    """Something that may be taken out: so many units of a dimension, or a block.

    Attributes:
        name: of it.
        units: of a dimension.
        what: that is taken out, as it is now.
    """

    name: str
    units: int
    what: Dimension | Block = field(compare=False)


class Chooser(Greedy[Cut, Take]):
    """Cuts a network down to a latency, or another cost."""

    def __init__(
        self,
        architecture: Buildable,
        couplings: Couplings,
        scores: Scores,
        costs: Costs,
        check: Check,
        gone: frozenset[int] = frozenset(),
        without: tuple[str, ...] = (),
    ) -> None:
        """Of a network.

        Args:
            architecture: of it.
            couplings: its channels.
            scores: how much they matter.
            costs: what architectures cost.
            check: whether one can be cut out.
            gone: coupled sets of channels that are taken out already.
            without: blocks that are left out already.
        """
        self._architecture, self._couplings, self._scores = architecture, couplings, scores
        self._check = check
        scored = {one for name, ids in couplings.made.items() if name in scores for one in ids}
        self._dimensions = [d for d in couplings.dimensions if all(i in scored for c in d.cells for i in c)]
        super().__init__(self._cut(gone, without), costs)

    def fuller(self, target: float) -> Cut:
        """What is left if steps are undone that the cost ``target`` does not need.

        The last step often goes beyond a target, and steps before it may then be spared. What mattered most
        comes back first. The chooser itself stays as it is.
        """
        found, taken = self.now, self._taken()
        while (put_back := self._put_back(found, taken, target)) is not None:
            found = put_back
        return found

    def _taken(self) -> list[Cut]:
        """For each step, a cut of what it took out alone."""
        after = [*self.before[1:], self.now]
        return [
            replace(
                new,
                gone=new.gone - old.gone,
                without=tuple(name for name in new.without if name not in old.without),
            )
            for old, new in zip(self.before, after, strict=True)
        ]

    def _put_back(self, now: Cut, taken: Sequence[Cut], target: float) -> Cut | None:
        """What is left with one step undone, the one that lost most; None where none can be."""
        found = []
        for step in taken:
            without = tuple(name for name in now.without if name not in step.without)
            inside = {one for name in without for one in self._within(name)}
            left = self._cut((now.gone - step.gone) | inside, without)
            if left.lost < now.lost:
                found.append(left)
        for left in sorted(found, key=lambda left: left.lost):
            cost = self._costs.known([left.architecture])[0]
            if cost <= target and self.is_possible(left):
                return replace(left, cost=cost)
        return None

    def is_possible(self, left: Cut) -> bool:
        """Whether the channels can be cut out."""
        try:
            self._check(left.architecture, left.gone)
        except InvalidInput:
            return False
        return True

    def after(self, step: Take) -> Cut | None:
        """What is left after a step; None where too little of a layer would be."""
        now, take = self.now, step.what
        gone, without = now.gone, now.without
        if isinstance(take, Block):
            without = (*without, take.name)
            gone = gone | self._within(take.name)
        else:
            gone = gone.union(take.chosen(step.units, self._importance(without)))
        widths = self._couplings.widths(gone, without)
        if any(self._is_too_few(name, width) for name, width in widths.items()):
            return None
        return self._cut(gone, without)

    def _cut(self, gone: frozenset[int], without: tuple[str, ...]) -> Cut:
        """What is left without these channels and blocks."""
        every = {**self._architecture.widths, **self._couplings.widths(gone, without)}
        kept = {name: width for name, width in every.items() if not name.startswith(_inside(without))}
        architecture = self._architecture.pruned(kept, without)
        return Cut(architecture, lost=self._lost(gone, without), gone=gone, without=without)

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

    def steps(self) -> list[Take]:
        """What may be taken out next."""
        without = self.now.without
        found = [
            Take(block.name, 0, block)
            for block in self._couplings.blocks
            if block.name not in without
            and not block.name.startswith(_inside(without))
            and self._scores.keys() >= set(block.adds)
        ]
        for dimension in self._dimensions:
            left = _left(dimension, self.now.gone)
            found += [Take(left.name, units, left) for units in self._amounts(left)]
        return found

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
        gone = self.now.gone.union(left.chosen(units, dict.fromkeys(mine, 0.0)))
        left_out = _inside(self.now.without)
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

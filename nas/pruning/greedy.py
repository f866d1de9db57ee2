"""Changes a network step by step: what loses least for each unit of cost that it saves comes first."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar

from search_spaces.architecture import Buildable

AT_ONCE = 3
"""So many leading steps are looked at anew together; with more, more kernels are measured than are needed."""
LEAST_SAVED = 2e-3
"""The share of the cost that a step saves at least; less is noise."""

CostsOf = Callable[[Sequence[Buildable]], list[float]]
"""What architectures cost, such as milliseconds by their measured kernels, all found in one go."""


class Costs(NamedTuple):
    """What architectures cost.

    Attributes:
        known: by measuring what is not known yet.
        guessed: the same, but sooner and not as well: by these it is chosen which steps are looked at. A step
            that saves nothing by them is not taken. None to look at all.
    """

    known: CostsOf
    guessed: CostsOf | None = None


OnWay = Callable[[float], None]
"""Is told which share of the way to a cost is done, 0..1."""


@dataclass(frozen=True)
class Changed:
    """What a network has become.

    Attributes:
        architecture: of it.
        cost: of it, by ``CostsOf``; not a number where it is not known yet.
        lost: what all changes lose, by an estimate that grows with each.
    """

    architecture: Buildable
    cost: float = math.nan
    lost: float = 0.0


C = TypeVar("C", bound=Changed)
K = TypeVar("K", bound=Hashable)


@dataclass
class _Step(Generic[C, K]):
    """Something that may be done, and what that loses for each unit of cost.

    Attributes:
        key: what.
        rate: when it was last looked at; below 0 where it never was, infinite where nothing was saved.
        is_seen: whether it was looked at since the last step.
        left: what it then led to.
    """

    key: K
    rate: float = -1.0
    is_seen: bool = False
    left: C | None = field(default=None, repr=False)


class Greedy(ABC, Generic[C, K]):
    """Brings a network down to a cost, greedily (Yang et al., *NetAdapt*, 2018, with estimates of what is
    lost for its short trainings). A step that does not save anything is never taken.

    Attributes:
        now: what the network has become so far.
        before: what it was before each step.
    """

    def __init__(self, first: C, costs: Costs) -> None:
        """From a network, and what architectures cost."""
        self.now: C = replace(first, cost=costs.known([first.architecture])[0])
        self.before: list[C] = []
        self._costs = costs

    @abstractmethod
    def steps(self) -> list[K]:
        """What may be done next; equal keys are the same step, whenever it is taken."""

    @abstractmethod
    def after(self, step: K) -> C | None:
        """What a step leads to, at a cost yet unknown; None where it is not possible."""

    def is_possible(self, left: C) -> bool:
        """Whether what leads can be made: asked of the best step alone."""
        return True

    def down_to(self, target: float, on_way: OnWay = lambda _: None) -> bool:
        """Take steps until the cost is no more than ``target``; False where it does not come there, as
        nothing that could be done saves any more. ``on_way`` is told before each how far it has come."""
        waiting, first = self._waiting({}), self.now.cost
        while self.now.cost > target:
            on_way((first - self.now.cost) / (first - target))
            found = self._best(waiting)
            if found is None:
                return False
            self.before.append(self.now)
            self.now = found
            waiting = self._waiting({step.key: step.rate for step in waiting})
        return True

    def _waiting(self, rates: dict[K, float]) -> list[_Step[C, K]]:
        """The next steps, with the rates that they had before."""
        return [_Step(key, rates.get(key, -1.0)) for key in self.steps()]

    def _best(self, steps: Sequence[_Step[C, K]]) -> C | None:
        """What the best step leads to. Earlier rates are a guess: only what leads is looked at anew."""
        waiting = sorted(steps, key=lambda step: step.rate)
        unknown = [step for step in waiting if step.rate < 0]
        if self._costs.guessed is None:
            self._look(unknown)
        else:
            self._guess(unknown, self._costs.guessed)
            waiting = [step for step in waiting if step.rate < math.inf]
        while waiting:
            waiting.sort(key=lambda step: step.rate)
            first = waiting[0]
            if first.left is None and not first.is_seen:
                self._look([step for step in waiting if not step.is_seen][:AT_ONCE])
            elif first.left is not None and self.is_possible(first.left):
                return first.left
            else:
                waiting.remove(first)
        return None

    def _look(self, steps: Sequence[_Step[C, K]]) -> None:
        """Find out what steps lead to, and which save something."""
        for step in steps:
            step.is_seen, step.rate = True, math.inf
        for step, left in self._saving(steps, self._costs.known):
            step.left, step.rate = left, self._rate(left)

    def _guess(self, steps: Sequence[_Step[C, K]], guesses_of: CostsOf) -> None:
        """Find out which steps seem to save something."""
        for step in steps:
            step.rate = math.inf
        for step, left in self._saving(steps, guesses_of):
            step.rate = self._rate(left)

    def _saving(self, steps: Sequence[_Step[C, K]], costs_of: CostsOf) -> Iterator[tuple[_Step[C, K], C]]:
        """The steps that save something, and what each leads to."""
        found = [(step, left) for step in steps if (left := self.after(step.key)) is not None]
        costs = costs_of([left.architecture for _, left in found])
        for (step, left), cost in zip(found, costs, strict=True):
            if self.now.cost - cost >= self.now.cost * LEAST_SAVED:
                yield step, replace(left, cost=cost)

    def _rate(self, left: C) -> float:
        """What is lost for each unit of cost that is saved."""
        return (left.lost - self.now.lost) / (self.now.cost - left.cost)

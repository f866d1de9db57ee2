"""A search of one worker with a pruner, on curves that were recorded: who is trained, and how far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.algorithms.pruners import Pruner, Standing

Curves = Sequence[Sequence[tuple[float, ...]]]
"""The losses of each trial, in the order of their begin, after each epoch; the first is accuracy's."""


@dataclass(frozen=True)
class Trained:
    """A trial has been trained, to its end or as far as it goes on for now.

    Attributes:
        number: the trial's.
        epochs: that it has been through.
        is_complete: whether these are all.
        spent: epochs of all trials by then.
    """

    number: int
    epochs: int
    is_complete: bool
    spent: int


class Simulation:
    """What ``nas.trials.stopping`` does with a ledger.

    A paused trial that goes on comes before a new one; when all were begun, those that go on all the same.
    """

    def __init__(self, curves: Curves, pruner: Pruner) -> None:
        self._curves, self._pruner = curves, pruner
        self._done = [0] * len(curves)
        self._paused: set[int] = set()
        self._spent = self._begun = 0

    def run(self) -> Iterator[Trained]:
        """Train as the pruner decides, until nothing is left."""
        while (number := self._next()) is not None:
            yield self._train(number)

    def _next(self) -> int | None:
        if found := self._going_on(closing=False):
            return found
        if self._begun < len(self._curves):
            self._begun += 1
            return self._begun - 1
        return self._going_on(closing=True)

    def _going_on(self, *, closing: bool) -> int | None:
        """A paused trial that goes on: of the highest rung, or of the lowest when closing."""
        for rung in sorted({self._done[number] for number in self._paused}, reverse=not closing):
            asked = [self._standing(n, rung) for n in sorted(self._paused) if self._done[n] == rung]
            if found := self._pruner.go_on(asked, self._seen(rung), closing=closing):
                return min(found)
        return None

    def _train(self, number: int) -> Trained:
        self._paused.discard(number)
        last = len(self._curves[number])
        for epoch in (*self._pruner.rungs(number), last):
            if epoch <= self._done[number]:
                continue
            self._spent += epoch - self._done[number]
            self._done[number] = epoch
            if epoch < last and not self._goes_on(number, epoch):
                break
        return Trained(number, self._done[number], self._done[number] == last, self._spent)

    def _goes_on(self, number: int, epoch: int) -> bool:
        asked = [self._standing(number, epoch)]
        if self._pruner.go_on(asked, self._seen(epoch), closing=False):
            return True
        if self._pruner.pauses:
            self._paused.add(number)
        return False

    def _seen(self, epoch: int) -> list[Standing]:
        return [self._standing(n, epoch) for n in range(len(self._curves)) if self._done[n] >= epoch]

    def _standing(self, number: int, epoch: int) -> Standing:
        losses, last = self._curves[number][epoch - 1], len(self._curves[number])
        return Standing(number, losses[1:], losses[:1], self._done[number] == last)

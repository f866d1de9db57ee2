"""A search of one worker with a pruner, on curves that were recorded: who is trained, and how far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.algorithms.pruners import Pruner, Standing

Curves = Sequence[Sequence[tuple[float, ...]]]
"""The losses of each trial, in the order of their begin, after each epoch; the first is accuracy's."""


@dataclass(frozen=True)
class Ended:
    """A trial has been trained to its end, or as far as it went on.

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


def simulate(curves: Curves, pruner: Pruner) -> Iterator[Ended]:
    """Train all trials of a search as its pruner decides; gives one for each time that a training ends.

    As a worker does: a paused trial that goes on comes before a new one; when all were begun, those that
    go on all the same.
    """
    return _Simulation(curves, pruner).run()


class _Simulation:
    def __init__(self, curves: Curves, pruner: Pruner) -> None:
        self._curves, self._pruner = curves, pruner
        self._done = [0] * len(curves)
        self._paused: set[int] = set()
        self._spent = self._begun = 0

    def run(self) -> Iterator[Ended]:
        while (number := self._next()) is not None:
            yield self._train(number)

    def _next(self) -> int | None:
        for rung in sorted(self._rungs_with_paused(), reverse=True):
            if found := self._going_on(rung, closing=False):
                return min(found)
        if self._begun < len(self._curves):
            self._begun += 1
            return self._begun - 1
        for rung in sorted(self._rungs_with_paused()):
            if found := self._going_on(rung, closing=True):
                return min(found)
        return None

    def _train(self, number: int) -> Ended:
        """To the end, or to where it does not go on."""
        self._paused.discard(number)
        last = len(self._curves[number])
        for epoch in (*self._pruner.rungs(number), last):
            if epoch <= self._done[number]:
                continue
            self._spent += epoch - self._done[number]
            self._done[number] = epoch
            if epoch < last and not self._pruner.go_on(
                [self._standing(number, epoch)], self._seen(epoch), closing=False
            ):
                if self._pruner.pauses:
                    self._paused.add(number)
                break
        return Ended(number, self._done[number], self._done[number] == last, self._spent)

    def _rungs_with_paused(self) -> set[int]:
        return {self._done[number] for number in self._paused}

    def _going_on(self, rung: int, *, closing: bool) -> set[int]:
        asked = [self._standing(n, rung) for n in sorted(self._paused) if self._done[n] == rung]
        return self._pruner.go_on(asked, self._seen(rung), closing=closing)

    def _seen(self, epoch: int) -> list[Standing]:
        return [self._standing(n, epoch) for n in range(len(self._curves)) if self._done[n] >= epoch]

    def _standing(self, number: int, epoch: int) -> Standing:
        losses, last = self._curves[number][epoch - 1], len(self._curves[number])
        return Standing(number, 1 - losses[0], losses, losses[1:], self._done[number] == last)

"""A plug-in file for tests: a space of numbers, and an evaluator that takes a little time at each epoch."""

import time
from collections.abc import Mapping

import nas
from search_spaces.search_space import Choose, SearchSpace, spaces

SECONDS = 0.02


class Number:
    """A network of a number."""

    def __init__(self, size: int) -> None:
        self.digest = self.size = str(size)

    def to_json(self) -> str:
        return self.digest


class Numbers(SearchSpace):
    """So many networks that a search does not run out of them."""

    name = "numbers"

    def propose(self, choose: Choose) -> Number:
        return Number(int(choose("size", tuple(range(1000)))))


spaces.add("numbers", Numbers())


@nas.evaluator("steady")
def evaluate(network: Number, budget: int, report: nas.Report) -> Mapping[str, float]:
    """As accurate as its number is large."""
    for epoch in range(1, budget + 1):
        time.sleep(SECONDS)
        report(epoch, {"accuracy": int(network.size) / 1000})
    return {"accuracy": int(network.size) / 1000}

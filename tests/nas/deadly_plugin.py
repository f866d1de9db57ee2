"""A plug-in file for a test: an evaluator that takes its process down with it, now and then."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import nas
from search_spaces.search_space import Choose, SearchSpace, spaces


class Plain:
    """A network of a number."""

    def __init__(self, size: int) -> None:
        self.digest = self.size = str(size)

    def to_json(self) -> str:
        return self.digest


class Pair(SearchSpace):
    """Two networks."""

    name = "pair"

    def propose(self, choose: Choose) -> Plain:
        return Plain(int(choose("size", (0, 1))))


spaces.add("pair", Pair())


@nas.evaluator("deadly")
def evaluate(network: Plain, budget: int, report: nas.Report) -> Mapping[str, float]:
    """One of the two ends its process the first time, and is killed later."""
    if network.digest == "1":
        seen = Path(os.environ["DEADLY_FILE"])
        if not seen.exists():
            seen.touch()
            os._exit(77)
        os.kill(os.getpid(), signal.SIGSEGV)
    return {"accuracy": 0.5}

"""A plug-in file for tests of several workers: trials that note who runs them, fail, or wait to be let."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import nas
from search_spaces.search_space import Choose, SearchSpace, spaces

FOLDER = Path(os.environ["SHARED_FOLDER"])
"""Here are the notes, ``log``, and the file ``hold`` while it is there, which trials wait for the end of."""


class Plain:
    """A network of a number."""

    def __init__(self, number: int) -> None:
        self.digest = str(number)

    def to_json(self) -> str:
        return self.digest


class Many(SearchSpace):
    """Sixty-four networks."""

    name = "many"

    def propose(self, choose: Choose) -> Plain:
        return Plain(int(choose("number", tuple(range(64)))))


spaces.add("many", Many())


def note(what: str, network: Plain) -> None:
    with (FOLDER / "log").open("a") as log:
        log.write(f"{what} {network.digest} {os.getpid()} {os.getppid()}\n")


@nas.evaluator("shared")
def evaluate(network: Plain, budget: int, report: nas.Report) -> Mapping[str, float]:
    """Every eighth network fails."""
    note("begins", network)
    for epoch in range(1, budget + 1):
        time.sleep(0.05)
        report(epoch, {"accuracy": 0.5})
    while (FOLDER / "hold").exists():
        time.sleep(0.05)
        report.check()
    if int(network.digest) % 8 == 0:
        raise ValueError("it does not learn")
    note("ends", network)
    return {"accuracy": 1 / (1 + int(network.digest))}

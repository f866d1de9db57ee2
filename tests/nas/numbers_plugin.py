"""A plug-in file for the tests of clusters: twelve networks, each a number, which are evaluated in steps.

Each step leaves a file in a folder, named by the number and the step, of which node and process it was.
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import nas
from nas.ledger.mistakes import Mistake, Predictions
from search_spaces.search_space import Choose, SearchSpace, spaces


class Number:
    """A network."""

    def __init__(self, value: int) -> None:
        self.value, self.digest = value, str(value)

    def to_json(self) -> str:
        return self.digest


class Numbers(SearchSpace):
    """Twelve networks, and where the files go."""

    name = "numbers"

    def propose(self, choose: Choose) -> Number:
        return Number(int(choose("value", tuple(range(12)))))


spaces.add("numbers", Numbers())
MARKS = Path(__file__).with_name("marks")  # a test fills in where


def mark(name: str) -> bool:
    """Leave a file; whether it is the first of that name."""
    import ray

    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "-"
    try:
        with (MARKS / name).open("x") as file:
            file.write(f"{node} {os.getpid()}")
    except FileExistsError:
        return False
    return True


def cost(number: Number) -> Mapping[str, float]:
    return {"toil": float((number.value * 5) % 12)}


def curve(value: int, step: int) -> float:
    """They rise, and cross."""
    return (0.3 + (value * 7 % 12) / 20) * (1 - 0.5 ** (step * (1 + value % 3) / 3))


@nas.evaluator("curves", objectives=[nas.Objective("toil", before_training=True)], costs=cost)
def curves(number: Number, budget: int, report: nas.Report) -> Mapping[str, float]:
    """Goes on from a checkpoint."""
    begin = int(report.checkpoint or b"0")
    for step in range(begin + 1, budget + 1):
        report.keep(lambda step=step: str(step).encode())
        report(step, {"accuracy": curve(number.value, step)})
    return {"accuracy": curve(number.value, budget)}


@nas.evaluator("odd", objectives=[nas.Objective("load", before_training=True)])
def odd(number: Number, budget: int, report: nas.Report) -> Mapping[str, float]:
    """Ends in every way, by its number."""
    report(0, {"load": float(number.value)})
    if number.value % 4 == 0:
        raise ValueError("no such network")
    if number.value % 4 == 1:
        raise SystemExit(3)
    for step in range(1, budget + 1):
        report(step, {"accuracy": (report.seed % 1000) / 1000})
    right = report.seed % 1000
    report.predictions = Predictions(2, 1000, right, ((0, 1, 1000 - right),), (Mistake(7, 0, 1, 0.5),))
    contradicts = number.value % 4 == 2
    return {"accuracy": (report.seed % 1000) / 1000, "load": float(number.value + contradicts)}


@nas.evaluator("slow")
def slow(number: Number, budget: int, report: nas.Report) -> Mapping[str, float]:
    """Takes a while; the third that is begun takes its process down, once.

    Where the test kills what a trial keeps busy, trials wait until it has, so that none ends before.
    """
    print(f"evaluating {number.value}")
    for step in range(1, budget + 1):
        mark(f"{number.value}-{step}")
        time.sleep(0.25)
        report(step, {"accuracy": curve(number.value, step)})
        if step == 2 and len(list(MARKS.glob("*-1"))) > 2 and mark("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        while step == 3 and is_held():
            report.check()  # measurements on this machine would wait for it
            time.sleep(0.05)
    return {"accuracy": curve(number.value, budget)}


def is_held() -> bool:
    """Whether a node is still to be killed, or, when few trials are left, the driver."""
    if not (MARKS / "kills").exists() or not (MARKS / "killed").exists():
        return False
    ended = len(list(MARKS.glob("*-8")))
    return not (MARKS / "node").exists() or (ended > 8 and not (MARKS / "driver").exists())


@nas.evaluator("exits")
def exits(number: Number, budget: int, report: nas.Report) -> Mapping[str, float]:
    """Ends its process with a code."""
    os._exit(4)

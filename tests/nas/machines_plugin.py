"""A plug-in file for tests of several machines: a board whose processor the environment names, and what a
trial runs without training."""

import os
from collections.abc import Mapping

import nas
from latency import devices
from search_spaces import Architecture
from tests.latency.board import Board, measurement


class MachinesBoard(Board):
    """On a machine with another processor, kernels take a thousand times as long."""

    def look(self):
        return {**super().look(), "cpu": os.environ["BOARD_CPU"]}

    def measure_kernels(self, *arguments, **named):
        return [self._slowed(found) for found in super().measure_kernels(*arguments, **named)]

    def measure_networks(self, *arguments, **named):
        return [self._slowed(found) for found in super().measure_networks(*arguments, **named)]

    def _slowed(self, found):
        return found if os.environ["BOARD_CPU"] == "fast" else measurement(1000 * found.milliseconds)


devices.add("board", MachinesBoard)


@nas.evaluator("quick")
def evaluate(network: Architecture, budget: int, report: nas.Report) -> Mapping[str, float]:
    return {"accuracy": int(network.digest[:4], 16) / 65536}

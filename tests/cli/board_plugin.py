"""A plug-in: the simulated board, whose times are the same in every process, beside the small network."""

import tests.cli.small_plugin  # noqa: F401 - which adds it
from latency import devices
from tests.latency.board import Board

devices.add("board", Board())

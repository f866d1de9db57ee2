"""For all tests: one thread of torch each, as two workers share the machine and waiting threads spin; signals
are those of a terminal, however the tests were started."""

import gc
import os
import signal

import pytest

from tests.environment import PATIENCE

LONGEST = (
    *("test_explorer", "test_rpc", "test_soak", "test_search_loop", "test_ray", "test_end_to_end"),
    *("test_trained_export", "test_random_networks", "test_networks", "test_browser", "test_lowering"),
    *("test_boards", "test_integers", "test_plugin_option", "test_away", "test_machines", "test_schemas"),
)
"""Files that take minutes come first, so that no worker is left with one when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort, stably, by the place of a file among those, if it is one of them."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


def pytest_collection_finish() -> None:
    """What was imported stays: to look through it again and again takes a sixth of the time."""
    gc.collect()
    gc.freeze()


os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(PATIENCE)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which `pytest &` in a script has as ignored
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # likewise, under nohup

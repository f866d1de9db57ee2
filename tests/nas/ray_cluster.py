"""A Ray cluster of two nodes on loopback, with a token, for the tests of the executor ``ray``."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from nas.executors.ray.cluster import LOOPBACK
from nas.executors.ray.quiet import QUIET

T = TypeVar("T")

TRIES = 3
"""Ray gives a node 30 s to start, which a busy machine may not keep."""


class TwoNodes:
    """The cluster; each node has one CPU, so that two trials are on both."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self._head = tried(lambda: self._cluster.add_node(num_cpus=1, include_dashboard=False))
        self.address: str = self._cluster.address
        self.add_second()

    def add_second(self) -> None:
        """Add the node that may be killed."""
        self._second: Any = tried(lambda: self._cluster.add_node(num_cpus=1))
        self.second_id: str = self._second.node_id

    def kill_second(self) -> None:
        """As if the machine had lost its power."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def end(self) -> None:
        """End all of its processes."""
        self._cluster.shutdown()


def tried(start: Callable[[], T]) -> T:
    """Start something of Ray's, and try again where it does not come up."""
    for _ in range(TRIES - 1):
        with suppress(Exception):  # it raises a plain one
            return start()
    return start()


def _forget_token() -> None:
    """A process keeps the first token that it has used, and may have had another cluster before."""
    from ray._raylet import AuthenticationTokenLoader

    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Started, and in the end gone, with what it had in the environment and in files."""
    before = dict(os.environ)
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: Ray's sockets are in it
    os.environ.update(QUIET, **LOOPBACK, RAY_AUTH_TOKEN=secrets.token_hex(32), RAY_TMPDIR=folder)
    _forget_token()
    try:
        found = TwoNodes()
        try:
            yield found
        finally:
            found.end()
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget_token()
        shutil.rmtree(folder, ignore_errors=True)

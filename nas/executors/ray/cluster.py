"""The Ray cluster of a search: the user's, which is joined, or one of this machine, which is started."""

import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.executors.ray.quiet import QUIET, be_quiet
from nas.executors.ray.reaching import address_of, is_on_loopback_alone, token_mode
from nas.executors.ray.settings import RaySettings
from nas.hints import STORAGE_VARIABLE
from nas.ledger import libpq
from nas.trials.failures import one_line
from search_spaces.errors import BitnasError

log = logging.getLogger(__name__)

INSTALL = "pip install -c constraints.txt -e '.[ray]' in bitnas's repository"
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""What has all of Ray's servers listen on 127.0.0.1 alone, and look there for each other."""
LOOPBACK = {
    **ON_LOOPBACK,
    "RAY_AUTH_MODE": "token",
    "RAY_gcs_server_port_wait_time_s": "120",  # a busy machine takes longer than the usual 30 s
}
SETTLE_S, KNOCK_S = 0.5, 3.0
"""After so long a node whose process was lost is asked whether it lives; it may take so long to answer."""
STARTS = 3
"""How often a start is tried: Ray gives a node 30 s, which a busy machine may not keep."""


def set_up(settings: RaySettings, workers: int) -> None:
    """Set the environment, before Ray is imported; processes that are started here inherit it.

    Raises:
        BitnasError: Ray is not installed.
        InvalidInput: this machine is a node of no cluster, and was to be.
    """
    os.environ.update(QUIET, TUNE_MAX_PENDING_TRIALS_PG=str(workers))
    libpq.hide()  # the ledger is open: neither its address nor its password is for nodes
    os.environ.pop(STORAGE_VARIABLE, None)
    if settings.ray_address is None:
        os.environ.update(LOOPBACK, RAY_AUTH_TOKEN=secrets.token_hex(32))
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
            os.environ.pop(name, None)
    else:
        on_loopback = ON_LOOPBACK if is_on_loopback_alone(address_of(settings.ray_address)) else {}
        os.environ.update({**token_mode(), **on_loopback})
    try:
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise BitnasError(f"ray: it is not installed ({one_line(error)}); run {INSTALL}") from error


@contextmanager
def connected(settings: RaySettings, workers: int, folder: Path) -> Iterator[None]:
    """Have this process be one of the cluster's; what is started here is gone in the end.

    Args:
        settings: which cluster, and what a trial gets.
        workers: how many trials run at once; a cluster that is started here has CPUs for as many.
        folder: where a cluster that is started here writes its files.

    Raises:
        BitnasError: there is no such cluster, it does not let us in, or it does not start.
    """
    import ray

    address, on_term = settings.ray_address, signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            _start(settings, workers, folder)
        else:
            _join(address)
        signal.signal(signal.SIGTERM, on_term)  # Ray has put one of its own in its place
        be_quiet()
        _check_fit(settings)
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    import ray

    try:
        ray.init(address=address, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises all kinds, some of them plain
        fix = "start this machine as a node of it, and give its token, if it has one, in RAY_AUTH_TOKEN"
        raise BitnasError(f"ray: no cluster lets us in at '{address}' ({one_line(error)}); {fix}") from error


def _start(settings: RaySettings, workers: int, folder: Path) -> None:
    import ray

    cpus = max(os.cpu_count() or 1, -(-workers * settings.cpus_per_trial // 1))
    for attempt in range(STARTS):
        try:
            ray.init(
                address="local",
                num_cpus=int(cpus),
                include_dashboard=False,
                logging_level=logging.ERROR,
                _temp_dir=str(folder),
            )
            return
        except Exception as error:  # Ray raises a plain one where a node does not start in time
            log.debug("Ray does not start", exc_info=True)
            ray.shutdown()
            if attempt == STARTS - 1:
                raise BitnasError(f"ray: it does not start here ({one_line(error)})") from error


def _check_fit(settings: RaySettings) -> None:
    """BitnasError where no node could ever run a trial."""
    nodes = [node["Resources"] for node in nodes_alive()]
    for name, wanted in settings.resources.items():
        most = max((node.get(name, 0) for node in nodes), default=0)
        if wanted > most:
            problem = f"a trial is to have {wanted:g} {name}s, and the most that a node has is {most:g}"
            raise BitnasError(f"ray: {problem}; ask for less, or add such a node")


def nodes_alive() -> list[Mapping[str, Any]]:
    """The nodes of the cluster that answer, as Ray tells of them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def is_gone(node: str) -> bool:
    """Whether a node, by its id, was lost: Ray knows, or will know soon, as nobody answers there."""
    import ray

    (found,) = [each for each in ray.nodes() if each["NodeID"] == node] or [{"Alive": False}]
    if not found["Alive"]:
        return True
    time.sleep(SETTLE_S)  # what dies with a process of it may die a moment later
    try:
        socket.create_connection((found["NodeManagerAddress"], found["NodeManagerPort"]), KNOCK_S).close()
    except OSError:
        return True
    return False

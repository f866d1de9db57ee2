"""The executor ``ray``: a process that drives a Ray cluster, on which trials run."""

import os
import socket
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from nas.executors.base import Ended, Event, Executor, executors
from nas.executors.local import LocalExecutor, WorkerProcess
from nas.executors.ray.cluster import INSTALL
from nas.executors.ray.own_folder import OwnFolder
from nas.executors.ray.settings import AUTO, RaySettings
from nas.ledger.losses import Cause
from nas.trials.job import Job, Told
from search_spaces.errors import InvalidInput, Parameter

RAY = "ray"
KNOCK_S = 5.0
"""How long an address may take to answer."""


class RayExecutor(Executor):
    """Trials run as Tune's trainables on a cluster; one process of this machine claims and records them.

    Args:
        ray_address, cpus_per_trial, gpus_per_trial: as ``RaySettings`` has them.

    Raises:
        InvalidInput: a setting breaks its rule.
    """

    settings = ("ray_address", "cpus_per_trial", "gpus_per_trial")

    def __init__(
        self, ray_address: str | None = None, cpus_per_trial: float = 1.0, gpus_per_trial: float = 0.0
    ) -> None:
        self._settings = RaySettings(ray_address, cpus_per_trial, gpus_per_trial)
        self._workers = 0
        self._folder: OwnFolder | None = None
        self._driver = LocalExecutor()
        self._notices: list[Event] = []

    def check(self) -> None:
        """See the contract.

        Raises:
            InvalidInput: Ray is not installed, or nobody answers at the address.
        """
        if find_spec("ray") is None or find_spec("tensorboardX") is None:
            raise InvalidInput("executor", "'ray' needs Ray Tune, which is not installed", f"run: {INSTALL}")
        address = self._settings.ray_address
        if address is not None:
            _knock(_own() if address == AUTO else address)

    def start(self, job: Job, workers: int) -> None:
        """Start the driver."""
        self._workers = workers
        self._folder = OwnFolder()
        arguments = self._settings.to_json(), str(workers), str(self._folder.path)
        self._driver = LocalExecutor(
            partial(WorkerProcess, main="nas.executors.ray.driver:run", arguments=arguments)
        )
        if self._settings.ray_address is not None:
            self._notices.append(Told(notice=EXPOSED))
        self._driver.start(job, workers=1)

    def capacity(self) -> int:
        """As many as there may be, while the driver runs."""
        return self._workers if self._driver.capacity() else 0

    def poll(self, timeout_s: float) -> list[Event]:
        """Hear the driver, and start another where it died."""
        notices, self._notices = self._notices, []
        return [*notices, *map(_blamed, self._driver.poll(0.0 if notices else timeout_s))]

    def stop(self) -> None:
        """End the driver, and with it what it has started of Ray."""
        self._driver.stop()
        if self._folder is not None:
            self._folder.remove()


EXPOSED = (
    "Ray: all who reach the ports of this cluster's nodes, and have its token where it asks for one, can run "
    "code on them; nodes get images, settings and plug-in files of the search, and no database password"
)


def _blamed(event: Event) -> Event:
    """Ray exits the driver where the servers of the cluster are gone, which is no trial's fault."""
    if isinstance(event, Ended) and event.how.startswith("exit code"):
        return replace(event, cause=Cause.OUTSIDE)
    return event


def _own() -> str:
    """The cluster that this machine is a node of, as Ray writes it down where it starts one."""
    if told := os.environ.get("RAY_ADDRESS"):
        return told
    note = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"  # noqa: S108 - Ray's
    try:
        return note.read_text(encoding="utf-8").strip()
    except OSError as error:
        fix = "start one: ray start --head, or join one: ray start --address HOST:PORT"
        raise InvalidInput("ray_address", "this machine is a node of no cluster", fix) from error


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except (OSError, OverflowError) as error:
        fix = "start it there: ray start --head; or leave out ", Parameter("ray_address")
        raise InvalidInput("ray_address", f"nobody answers at '{address}' ({error})", fix) from error


executors.add(RAY, RayExecutor)

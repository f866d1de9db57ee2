"""The executor ``ray``: a process that drives a Ray cluster, on which trials run."""

from dataclasses import replace
from functools import partial
from importlib.util import find_spec

from nas.executors.base import Ended, Event, Executor, executors
from nas.executors.local import LocalExecutor, WorkerProcess
from nas.executors.ray.cluster import INSTALL
from nas.executors.ray.own_folder import OwnFolder
from nas.executors.ray.reaching import address_of, asks_for_token
from nas.executors.ray.settings import RaySettings
from nas.ledger.losses import Cause
from nas.trials.job import Job, Told
from search_spaces.errors import InvalidInput

RAY = "ray"


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
            InvalidInput: Ray is not installed, or no cluster lets us in at the address.
        """
        if not all(map(_is_installed, ("ray", "tensorboardX"))):
            raise InvalidInput("executor", "'ray' needs Ray Tune, which is not installed", f"run {INSTALL}")
        if self._settings.ray_address is not None:
            asks_for_token(address_of(self._settings.ray_address))

    def start(self, job: Job, workers: int) -> None:
        """Start the driver."""
        self._workers = workers
        self._folder = OwnFolder()
        arguments = self._settings.to_json(), str(workers), str(self._folder.path)
        self._driver = LocalExecutor(
            partial(WorkerProcess, main="nas.executors.ray.driver:run", arguments=arguments)
        )
        if self._settings.ray_address is not None:
            self._notices.append(Told(notice=_exposure(address_of(self._settings.ray_address))))
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


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # what looks for modules may say so, too
        return False


def _exposure(address: str) -> str:
    """What whoever hands trials to a cluster should know of it, in a line."""
    asks, who = "asks for no token", "who reach the ports of its nodes"
    if asks_for_token(address):
        asks, who = "asks for a token", f"{who} and have the token"
    get = "nodes get images, settings and plug-in files of the search, and no database password"
    return f"Ray: the cluster at {address} {asks}; all {who} can run code on them; {get}"


def _blamed(event: Event) -> Event:
    """Ray exits the driver where the servers of the cluster are gone, which is no trial's fault."""
    if isinstance(event, Ended) and event.how.startswith("exit code"):
        return replace(event, cause=Cause.OUTSIDE)
    return event


executors.add(RAY, RayExecutor)

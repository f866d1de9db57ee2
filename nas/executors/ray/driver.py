"""The driver of a search on a cluster: the one process that has the ledger and the device.

It does what a worker does, but for evaluating, which it hands to the cluster.
"""

import secrets
import sys
from functools import partial
from pathlib import Path

import nas
from latency.timing.fair_lock import Check
from nas.executors.process import main
from nas.executors.ray.cluster import connected, set_up
from nas.executors.ray.handing import Handing
from nas.executors.ray.messages import Shipment, in_memory
from nas.executors.ray.settings import RaySettings
from nas.trials.job import Job, Told
from nas.trials.setup import data_of
from nas.trials.trial import TrialRunner
from nas.trials.worker import Stop, Tell
from search_spaces.plugins import plugin_files


def run() -> None:
    """What the process does: ``argv`` ends with the settings, how many trials run at once, and a folder."""
    settings, workers, folder = sys.argv[3:6]
    main(partial(run_trials, RaySettings.from_json(settings), int(workers), Path(folder)))


def run_trials(
    settings: RaySettings,
    workers: int,
    folder: Path,
    runner: TrialRunner,
    job: Job,
    stop: Stop,
    check: Check,
    tell: Tell,
) -> None:
    """Have the cluster evaluate trials until all have ended, or it is too late to begin one."""
    handing = Handing(runner, job, workers, check, tell)
    if handing.is_over:
        return
    set_up(settings, workers)
    from nas.executors.ray.tuning import tune_trials

    tell(Told(stage="starting Ray" if settings.ray_address is None else "joining the cluster"))
    try:
        with connected(settings, workers, folder):
            tell(Told(stage=""))
            tune_trials(handing, shipment_of(runner), settings, folder / "results")
    finally:
        handing.put_back()


def shipment_of(runner: TrialRunner) -> Shipment:
    """What the nodes need of a search."""
    data = data_of(runner.config)
    plugins = tuple((path.name, path.read_text(encoding="utf-8")) for path in plugin_files())
    key = secrets.token_hex(8)
    return Shipment(key, nas.__version__, runner.config, None if data is None else in_memory(data), plugins)

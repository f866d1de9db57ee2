"""What a search asks of a device: the predicted latency of an architecture, the time of a whole network."""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from typing import NamedTuple, Protocol

from latency.model.model import LatencyModel
from latency.model.prediction import Prediction
from latency.model.profiling import PROFILED_KERNELS, latencies, profile
from latency.model.table import FRONT, NetworkMeasurement
from latency.model.workloads import checked, workloads_of
from latency.timing.measurement import Measurement
from latency.timing.patience import patience_s
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.records import PREDICT, SearchConfig
from nas.ledger.relative_limits import LATENCY
from nas.ledger.store import Ledger
from nas.measuring.devices import open_absent, open_device, share
from nas.measuring.machine_lock import MachineLock
from nas.objectives import LATENCY_AT
from search_spaces.architecture import Buildable
from search_spaces.errors import BitnasError, MeasurementError, NoDeviceError
from search_spaces.search_space import SearchSpace

KERNELS_A_TRIAL = 5
"""Kernels for each trial of a search by which a device gets known, until there are enough."""

RETRY_AFTER_S = 30.0
"""How long a device that did not answer is left alone while predictions do without it."""


class Predicted(NamedTuple):
    """Milliseconds for one image, in all and by workload key, and the interval that holds nine in ten times.

    ``estimated`` are the workloads that were never measured.
    """

    milliseconds: float
    by_workload: list[tuple[str, float]]
    estimated: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


Progress = Callable[[int, int], None]
"""Told how much is done, and of how much."""


class Bench(Protocol):
    """What a search asks of its device: puts a time to networks. One of your own passes
    ``nas.testing.benches.BenchConformance``.

    *Threads*: each worker process has one, used by one thread. What one measures it keeps in the ledger,
    where the others find it.
    *Order of calls*: ``profile`` comes first, unless the search measures everything; ``median`` after it.
    *Who owns what*: the ledger and the lock are the worker's, which closes them. Code is compiled in
    ``lock.shared()`` and timed in ``lock.exclusive()``, or ``lock.elsewhere()`` if on another machine.
    *Errors*: LostTurnError, with which these end where the process was stopped and others had their turn, is
    no result: time again. NoDeviceError where the device does not answer: the trial waits for it.
    MeasurementError where it gave no usable time, BitnasError where a network cannot be compiled: the trial
    has failed.
    """

    def identity(self) -> str | None:
        """The key of the device in a latency table; None where it has not answered, or there is none.

        A search keeps to the machine of the first worker that could tell (``nas.measuring.elsewhere``).
        """

    def profile(self, space: SearchSpace, progress: Progress) -> None:
        """Measure kernels of a space that estimates need, unless they are measured."""

    def median(self, space: SearchSpace) -> float:
        """Milliseconds that the median of a space's architectures takes."""

    def estimate(self, architecture: Buildable) -> Predicted:
        """What an architecture takes by what is known, measuring nothing."""

    def predict(self, architecture: Buildable) -> Predicted:
        """What an architecture takes by all its kernels, which are measured; where a search does without a
        device that is away, what was not measured is ``estimated``."""

    def measure(self, architecture: Buildable) -> Measurement:
        """The time of one image through the whole compiled network."""

    def drifts(self) -> list[float]:
        """By what share the device was slower than usual, for each batch of measurements so far."""


BenchFactory = Callable[[SearchConfig, Ledger, MachineLock], Bench]
"""Makes the bench of a search; it must be importable by name, as workers are other processes."""


class DeviceBench:
    """The bench that compiles with TVM and times on a device; its latency table is the ledger's.

    Where the search says so, predictions do without a device that is away: what the table lacks is estimated
    by a regressor that was trained on it.
    """

    def __init__(self, config: SearchConfig, ledger: Ledger, lock: MachineLock) -> None:
        self._ledger, self._name = ledger, config.device
        self._predicts_when_away = config.when_away == PREDICT
        self._device = open_device(ledger, config.device)
        share(self._device, lock)
        # other ledgers, and other devices, have kernels of their own to measure
        whose = hashlib.sha256(f"{ledger.url} {config.device}".encode()).hexdigest()[:12]
        self._turns = lambda name: lock.turn(f"{whose}-{name}")
        self._table = SqlLatencyTable(ledger)
        self._model = LatencyModel(self._device, self._table, brief=True)
        self._is_registered = False
        self._patience_s = patience_s()
        # a few trials are measured sooner than a device is known well; a relative limit needs it known
        is_relative = any(name == LATENCY or name.startswith(LATENCY_AT) for name in config.shares)
        self._kernels = PROFILED_KERNELS if is_relative else KERNELS_A_TRIAL * config.trials
        with suppress(NoDeviceError):  # it may come; any other problem with it ends the search at once
            self._register()
        self._absent: LatencyModel | None = None
        self._away_until = 0.0

    def identity(self) -> str | None:
        """Of the device; None where it has not answered."""
        return self._device.identity if self._is_registered else None

    def profile(self, space: SearchSpace, progress: Progress) -> None:
        """Measure kernels of the space, unless enough are measured."""
        try:
            self._register()
            profile(self._model, space, progress, self._turns, self._kernels)
        except NoDeviceError:
            if not self._predicts_when_away:
                raise
            self._away_until = time.monotonic() + RETRY_AFTER_S

    def median(self, space: SearchSpace) -> float:
        """The median of what a sample of the space is estimated to take."""
        try:
            found = latencies(self._model, space)
        except NoDeviceError:
            if not self._predicts_when_away:
                raise
            found = latencies(self._without(), space)
        if not found:
            fix = "give a limit in milliseconds, and see a trial's error: nas trial"
            raise BitnasError(
                f"space: no architecture of '{space.name}' compiles, so it has no median; {fix}"
            )
        return median(found)

    def estimate(self, architecture: Buildable) -> Predicted:
        """Sum the table's times; what it lacks is estimated from what it holds."""
        checked(architecture)  # takes milliseconds, and the front that it may spoil minutes
        if time.monotonic() < self._away_until:
            return self._estimate(architecture)
        try:
            self._register()
            return predicted(self._model.estimate(architecture))
        except NoDeviceError as error:
            return self._without_device(architecture, error)
        except MeasurementError:  # the table holds too little to estimate from
            return self.predict(architecture)

    def predict(self, architecture: Buildable) -> Predicted:
        """Sum the table's times; what it lacks is compiled and timed, or estimated."""
        checked(architecture)
        if time.monotonic() < self._away_until:
            return self._estimate(architecture)
        try:
            self._register()
            self._model.refresh()
            return predicted(self._model.predict(architecture))
        except NoDeviceError as error:
            return self._without_device(architecture, error)

    def _without_device(self, architecture: Buildable, error: NoDeviceError) -> Predicted:
        """An estimate, where the search does without a device that is away; else the error is raised."""
        if not self._predicts_when_away:
            raise error
        self._away_until = time.monotonic() + RETRY_AFTER_S
        return self._estimate(architecture)

    def drifts(self) -> list[float]:
        """By what share the device was slower than usual, for each batch of measurements so far."""
        return list(self._device.drifts)

    def measure(self, architecture: Buildable) -> Measurement:
        """Compile the network and time it; again where the machine was disturbed, if patience lasts.

        It lasts for the whole search: on a machine that is always busy, times are marked, not waited for.
        """
        self._register()
        self._model.refresh()
        network = self._model.networks.compiled(architecture)
        (found,) = self._model.networks.measure_once([network])
        if found.disturbed and self._patience_s > 0:
            started = time.monotonic()
            (found,) = self._model.networks.measure([network], [[found]])
            self._patience_s -= time.monotonic() - started
        keys = tuple(work.key for work in workloads_of(architecture))
        self._table.put_network(self._device.identity, NetworkMeasurement(keys, found), FRONT)
        return found

    def _register(self) -> None:
        if not self._is_registered:
            name, described = self._device.identity, self._device.describe()
            self._table.register(name, target=self._device.target, description=described)
            self._is_registered = True

    def _without(self) -> LatencyModel:
        """The model of the device as it last answered, which measures nothing."""
        if self._absent is None:
            self._absent = LatencyModel(open_absent(self._ledger, self._name), self._table, measure=False)
        return self._absent

    def _estimate(self, architecture: Buildable) -> Predicted:
        """From the table alone.

        Raises:
            NoDeviceError: the table holds too little.
        """
        try:
            return predicted(self._without().predict(architecture))
        except MeasurementError as error:
            self._absent = None  # others may measure meanwhile
            raise NoDeviceError(f"device: '{self._name}' does not answer, and {error}") from error


def predicted(found: Prediction) -> Predicted:
    """What a search takes from a prediction of the latency model."""
    by_workload = [(work.key, ms) for work, ms in found.by_workload]
    estimated = tuple(sorted(work.key for work in found.estimated))
    return Predicted(found.milliseconds, by_workload, estimated, found.low, found.high)

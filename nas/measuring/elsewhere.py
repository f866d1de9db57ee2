"""The bench of a device that is another machine than this one, though both call it by one name.

``local`` is the machine of whoever says it. The times of a search are of one machine: that of the first
worker that found its device. A worker elsewhere takes costs from what was measured there, and measures
nothing.
"""

from statistics import median
from typing import NoReturn

from latency.hardware.absent import AbsentDevice
from latency.model.model import LatencyModel
from latency.model.profiling import latencies
from latency.model.workloads import checked
from nas.hints import command
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.records import PREDICT, SearchConfig
from nas.ledger.settling import settle_device
from nas.ledger.store import Ledger
from nas.measuring.bench import Bench, BenchFactory, Predicted, Progress, predicted
from nas.measuring.devices import device_entry
from nas.measuring.machine_lock import MachineLock
from search_spaces.architecture import Buildable
from search_spaces.errors import MeasurementError, NoDeviceError
from search_spaces.search_space import SearchSpace


def bench_of(
    make: BenchFactory, ledger: Ledger, search: str, config: SearchConfig, lock: MachineLock
) -> Bench:
    """The bench of a search's device, as seen from this machine.

    A device that does not answer now is taken to be the search's: others reach it in the same way.
    """
    bench = make(config, ledger, lock)
    mine = bench.identity()
    if mine is None:
        return bench
    from latency.hardware.device import same_hardware

    its = settle_device(ledger, search, config.device, mine)
    return bench if same_hardware(mine, its) else ElsewhereBench(config, ledger, search, its, mine)


class ElsewhereBench:
    """Predicts from what the machine of the search has measured; what that lacks is estimated."""

    def __init__(self, config: SearchConfig, ledger: Ledger, search: str, identity: str, here: str) -> None:
        """``identity`` is the key of the search's device, ``here`` that of this machine's."""
        self._config, self._storage, self._search = config, ledger.url, search
        self._identity, self._here = identity, here
        table = SqlLatencyTable(ledger)
        described = table.devices().get(identity) or {}
        device = AbsentDevice(device_entry(ledger, config.device).record, described, identity)
        self._model = LatencyModel(device, table, measure=False, brief=True)

    @property
    def remark(self) -> str:
        """What to tell a person who joins from here."""
        told = f"device: '{self._config.device}' of '{self._search}' is {_hardware(self._identity)}"
        here = f"this machine is {_hardware(self._here)}"
        return f"{told}, {here}: costs are predicted here, and timed by workers there"

    def identity(self) -> str:
        """Of the search's device."""
        return self._identity

    def profile(self, space: SearchSpace, progress: Progress) -> None:
        """Nothing is measured here.

        Raises:
            NoDeviceError: too little is measured there, yet, to predict from.
        """
        self._model.refresh()
        try:
            latencies(self._model, space)
        except MeasurementError as error:
            raise self._refused(str(error)) from error

    def median(self, space: SearchSpace) -> float:
        """Left to the search's machine, which knows best; unless it is away, and the search predicts then."""
        if self._config.when_away != PREDICT:
            raise self._refused("it tells the median")
        return median(latencies(self._model, space))

    def estimate(self, architecture: Buildable) -> Predicted:
        """From what is known, as of the last prediction."""
        checked(architecture)
        try:
            return predicted(self._model.estimate(architecture))
        except MeasurementError:
            return self.predict(architecture)

    def predict(self, architecture: Buildable) -> Predicted:
        """From what is known now."""
        checked(architecture)
        self._model.refresh()
        try:
            return predicted(self._model.predict(architecture))
        except MeasurementError as error:
            raise self._refused(str(error)) from error

    def measure(self, architecture: Buildable) -> NoReturn:
        """Never.

        Raises:
            NoDeviceError: always; the message says where to measure.
        """
        raise self._refused("it times the front")

    def drifts(self) -> list[float]:
        """None: nothing is measured."""
        return []

    def _refused(self, why: str) -> NoDeviceError:
        there = command("worker", self._search, storage=self._storage)
        place = (
            f"'{self._config.device}' of '{self._search}' is {_hardware(self._identity)}, not this machine"
        )
        return NoDeviceError(f"device: {place}, and {why}; type there: {there}")


def _hardware(identity: str) -> str:
    """The processor in a device's key."""
    return ", ".join(identity.split(" | ")[1:3])

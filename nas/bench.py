"""What a search asks of a device: the predicted latency of an architecture, the time of a whole network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from latency.hardware import Device
from latency.measurement import Measurement
from latency.model import LatencyModel
from nas.devices import open_device
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.store import Ledger
from nas.quiet import QuietRoom
from search_spaces.architecture import Architecture

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload


class Bench(Protocol):
    """Puts a time to networks. One per worker; what it measures it keeps for the others."""

    def predict(self, architecture: Architecture) -> tuple[float, list[tuple[str, float]]]:
        """Milliseconds for one image, in all and by workload key, without training."""

    def measure(self, architecture: Architecture) -> float:
        """Milliseconds for one image through the whole compiled network."""


BenchFactory = Callable[[str, Ledger, QuietRoom], Bench]
"""Makes the bench for a device's name; it must be importable by name, as workers are other processes."""


class DeviceBench:
    """The bench that compiles with TVM and times on a device; its latency table is the ledger's."""

    def __init__(self, name: str, ledger: Ledger, room: QuietRoom) -> None:
        self._device = QuietDevice(open_device(ledger, name), room)
        table = SqlLatencyTable(ledger)
        table.register(self._device.identity, target=self._device.target, description=self._device.describe())
        self._model = LatencyModel(self._device, table)

    def predict(self, architecture: Architecture) -> tuple[float, list[tuple[str, float]]]:
        """Sum the table's times; what it lacks is compiled and timed."""
        prediction = self._model.predict(architecture)
        return prediction.milliseconds, [(work.key, ms) for work, ms in prediction.by_workload]

    def measure(self, architecture: Architecture) -> float:
        """Compile the network and time it."""
        return self._model.measure_network(architecture).milliseconds


class QuietDevice(Device):
    """A device that measures only while nobody trains on this machine."""

    def __init__(self, device: Device, room: QuietRoom) -> None:
        self._device = device
        self._room = room
        self.record = device.record

    def look(self) -> dict[str, Any]:
        """What the device says."""
        return self._device.look()

    def measure(self, workload: "Workload") -> Measurement:
        """Compile and time a kernel with the machine to itself."""
        with self._room.alone():
            return self._device.measure(workload)

    def measure_network(self, network: "CompiledNetwork") -> Measurement:
        """Time a network with the machine to itself."""
        with self._room.alone():
            return self._device.measure_network(network)

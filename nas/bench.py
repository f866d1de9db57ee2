"""What a search asks of a device: the predicted latency of an architecture, the time of a whole network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.store import Ledger
from nas.quiet import QuietRoom
from search_spaces.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn


class Bench(Protocol):
    """Puts a time to networks. One per worker; what it measures it keeps for the others."""

    def predict(self, architecture: Architecture) -> tuple[float, list[tuple[str, float]]]:
        """Milliseconds for one image, in all and by workload key, without training."""

    def measure(self, module: "nn.Module", input_shape: tuple[int, int, int]) -> float:
        """Milliseconds for one image (C, H, W) through the whole compiled network."""


BenchFactory = Callable[[str, Ledger, QuietRoom], Bench]


class DeviceBench:
    """The bench that compiles with TVM and times on a device; its latency table is the ledger's."""

    def __init__(self, device: str, ledger: Ledger, room: QuietRoom) -> None:
        import latency

        self._device = latency.device(device)
        self._table = SqlLatencyTable(ledger)
        self._model = latency.LatencyModel(self._device, self._table)
        self._room = room
        self._table.register(device, target=self._device.target, description=self._device.describe())

    def predict(self, architecture: Architecture) -> tuple[float, list[tuple[str, float]]]:
        """Sum the table's times; what it lacks is compiled and timed while the machine is quiet."""
        if self._is_known(architecture):
            prediction = self._model.predict(architecture)
        else:
            with self._room.alone():
                prediction = self._model.predict(architecture)
        return prediction.milliseconds, [(work.key, ms) for work, ms in prediction.by_workload]

    def measure(self, module: "nn.Module", input_shape: tuple[int, int, int]) -> float:
        """Compile the network, then time it while the machine is quiet."""
        import runtime

        compiled = runtime.compile(module, (1, *input_shape), self._device.target)
        with self._room.alone():
            return float(self._device.measure_network(compiled).milliseconds)

    def _is_known(self, architecture: Architecture) -> bool:
        import runtime
        from search_spaces.builder import build

        works = runtime.workloads(build(architecture).eval(), (1, *architecture.input_shape))
        return all(self._table.get(self._device.name, work.key) is not None for work in works)

"""A device that is away: what was known of it is, and nothing can be measured."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latency.hardware.device import Device
from latency.record import DeviceRecord
from latency.timing.measurement import Measurement
from search_spaces.errors import NoDeviceError

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload


class AbsentDevice(Device):
    """Stands in for a device that does not answer, by its last description."""

    def __init__(
        self, record: DeviceRecord, description: dict[str, Any], identity: str | None = None
    ) -> None:
        """``identity`` is its key in a latency table, where the description does not tell it."""
        self.record = record
        self._description = description
        if identity is not None:
            self.identity = identity

    def look(self) -> dict[str, Any]:
        """As it was."""
        return self._description

    def measure_kernels(
        self,
        workloads: "Sequence[Workload]",
        schedules: Mapping[str, str] | None = None,
        brief: bool = False,
        usual_ms: float | None = None,
    ) -> list[Measurement]:
        """Not now."""
        raise NoDeviceError(f"device: '{self.name}' is away")

    def measure_networks(
        self, networks: "Sequence[CompiledNetwork]", usual_ms: float | None = None
    ) -> list[Measurement]:
        """Not now."""
        raise NoDeviceError(f"device: '{self.name}' is away")

"""The latency table: the newest measurement of each workload on each device."""

from typing import Protocol

from latency.measurement import Measurement


class LatencyTable(Protocol):
    """Where measurements are kept; ``device`` is a device's identity."""

    def get(self, device: str, workload_key: str) -> Measurement | None:
        """The newest measurement, or None where there is none."""

    def put(self, device: str, workload_key: str, measurement: Measurement) -> None:
        """Keep a measurement; it supersedes an older one."""


class MemoryTable:
    """A latency table that lasts as long as the process."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Measurement] = {}

    def get(self, device: str, workload_key: str) -> Measurement | None:
        """The newest measurement, or None where there is none."""
        return self._rows.get((device, workload_key))

    def put(self, device: str, workload_key: str, measurement: Measurement) -> None:
        """Keep a measurement; it supersedes an older one."""
        self._rows[device, workload_key] = measurement

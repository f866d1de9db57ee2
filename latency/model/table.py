"""The latency table: the newest measurement of each workload on each device, and whole networks, too."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from latency.timing.measurement import Measurement

CALIBRATION = "calibration"
FRONT = "front"  # a member of a search's front


@dataclass(frozen=True)
class NetworkMeasurement:
    """A whole network that was timed: the keys of its kernels, in order."""

    workloads: tuple[str, ...]
    measurement: Measurement


def lowest(networks: Iterable[NetworkMeasurement]) -> list[NetworkMeasurement]:
    """Of each network the lowest time: some were measured more than once."""
    found: dict[tuple[str, ...], NetworkMeasurement] = {}
    for network in networks:
        known = found.setdefault(network.workloads, network)
        if network.measurement.milliseconds < known.measurement.milliseconds:
            found[network.workloads] = network
    return list(found.values())


class LatencyTable(Protocol):
    """Where measurements are kept; ``device`` is a device's identity."""

    def get(self, device: str, workload_key: str) -> Measurement | None:
        """The newest measurement, or None where there is none."""

    def put(self, device: str, workload_key: str, measurement: Measurement) -> None:
        """Keep a measurement; it supersedes an older one."""

    def rows(self, device: str) -> Mapping[str, Measurement]:
        """The newest measurement of every workload."""

    def networks(self, device: str, purpose: str = CALIBRATION) -> list[NetworkMeasurement]:
        """Whole networks that were timed to learn from, or for another purpose, the oldest first."""

    def put_network(self, device: str, network: NetworkMeasurement, purpose: str = CALIBRATION) -> None:
        """Keep a network's time: to learn from, or for another purpose."""


class MemoryTable:
    """A latency table that lasts as long as the process."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Measurement] = {}
        self._networks: dict[tuple[str, str], list[NetworkMeasurement]] = {}

    def get(self, device: str, workload_key: str) -> Measurement | None:
        """The newest measurement, or None where there is none."""
        return self._rows.get((device, workload_key))

    def put(self, device: str, workload_key: str, measurement: Measurement) -> None:
        """Keep a measurement; it supersedes an older one."""
        self._rows[device, workload_key] = measurement

    def rows(self, device: str) -> Mapping[str, Measurement]:
        """The newest measurement of every workload."""
        return {key: found for (of, key), found in self._rows.items() if of == device}

    def networks(self, device: str, purpose: str = CALIBRATION) -> list[NetworkMeasurement]:
        """Whole networks that were timed to learn from, or for another purpose, the oldest first."""
        return list(self._networks.get((device, purpose), ()))

    def put_network(self, device: str, network: NetworkMeasurement, purpose: str = CALIBRATION) -> None:
        """Keep a network's time: to learn from, or for another purpose."""
        self._networks.setdefault((device, purpose), []).append(network)

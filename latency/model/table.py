"""The latency table: the newest measurement of each workload on each device, and whole networks, too."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


class LatencyTable(ABC):
    """Where measurements are kept; ``device`` is a device's identity. A table of your own passes
    ``latency.testing.LatencyTableConformance``.

    *Threads*: a table is used by one thread; several processes may each have one of the same store, and what
    one has put the others get when they ask next.
    *Order of calls*: any. Nothing is taken away: a newer measurement supersedes an older one.
    *Who owns what*: what is returned is the caller's, and does not change when more is put.
    *Errors*: what is asked for and not there is no error. ValueError where a time is not finite, and nothing
    is kept then; a store raises its own errors where it does not answer.
    """

    @abstractmethod
    def get(self, device: str, workload_key: str) -> Measurement | None:
        """The newest measurement, or None where there is none."""

    @abstractmethod
    def put(self, device: str, workload_key: str, measurement: Measurement) -> None:
        """Keep a measurement; it supersedes an older one."""

    @abstractmethod
    def rows(self, device: str) -> Mapping[str, Measurement]:
        """The newest measurement of every workload, in the order in which these were measured first."""

    @abstractmethod
    def networks(self, device: str, purpose: str = CALIBRATION) -> list[NetworkMeasurement]:
        """Whole networks that were timed to learn from, or for another purpose, the oldest first."""

    @abstractmethod
    def put_network(self, device: str, network: NetworkMeasurement, purpose: str = CALIBRATION) -> None:
        """Keep a network's time: to learn from, or for another purpose."""


class MemoryTable(LatencyTable):
    """A latency table that lasts as long as the process."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Measurement] = {}
        self._networks: dict[tuple[str, str], list[NetworkMeasurement]] = {}

    def get(self, device: str, workload_key: str) -> Measurement | None:
        """The newest measurement, or None where there is none."""
        return self._rows.get((device, workload_key))

    def put(self, device: str, workload_key: str, measurement: Measurement) -> None:
        """Keep a measurement; it supersedes an older one."""
        _check_finite(measurement)
        self._rows[device, workload_key] = measurement

    def rows(self, device: str) -> Mapping[str, Measurement]:
        """The newest measurement of every workload, in the order in which these were measured first."""
        return {key: found for (of, key), found in self._rows.items() if of == device}

    def networks(self, device: str, purpose: str = CALIBRATION) -> list[NetworkMeasurement]:
        """Whole networks that were timed to learn from, or for another purpose, the oldest first."""
        return list(self._networks.get((device, purpose), ()))

    def put_network(self, device: str, network: NetworkMeasurement, purpose: str = CALIBRATION) -> None:
        """Keep a network's time: to learn from, or for another purpose."""
        _check_finite(network.measurement)
        self._networks.setdefault((device, purpose), []).append(network)


def _check_finite(measurement: Measurement) -> None:
    if not (math.isfinite(measurement.milliseconds) and math.isfinite(measurement.iqr_ms)):
        raise ValueError(f"milliseconds are {measurement.milliseconds} +- {measurement.iqr_ms}, not finite")

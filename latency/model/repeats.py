"""Networks of a device that are measured, and measured again at another time, until two times agree."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latency.model.workloads import workloads_of

if TYPE_CHECKING:
    from latency import LatencyModel, Measurement
    from runtime import CompiledNetwork, Workload
    from search_spaces import Buildable


class RepeatedTimes:
    """Measures networks and what the table lacks of their kernels.

    Attributes:
        times: the lowest measurement of each network, in the order in which they were measured first.
    """

    def __init__(self, model: "LatencyModel") -> None:
        self.times: dict[Buildable, Measurement] = {}
        self._model = model
        self._compiled: dict[Buildable, CompiledNetwork] = {}

    def measure(self, architectures: "Sequence[Buildable]") -> None:
        """Measure what was not measured, once."""
        self._model.kernels.fill(_kernels(architectures))
        self._compiled |= {a: self._model.networks.compiled(a) for a in architectures}
        networks = [self._compiled[architecture] for architecture in architectures]
        self.times |= zip(architectures, self._model.networks.measure_once(networks), strict=True)

    def repeat(self, architectures: "Sequence[Buildable]") -> "list[Buildable]":
        """Measure until two times of each network and kernel agree; gives those whose time is lower now."""
        self._model.kernels.measure_again(self._model.kernels.measured_once(_kernels(architectures)))
        networks = [self._compiled[architecture] for architecture in architectures]
        before = [self.times[architecture] for architecture in architectures]
        lowest = self._model.networks.measure(networks, [[measured] for measured in before])
        self.times |= zip(architectures, lowest, strict=True)
        return [
            architecture
            for architecture, earlier, found in zip(architectures, before, lowest, strict=True)
            if found.milliseconds < earlier.milliseconds
        ]


def _kernels(architectures: "Sequence[Buildable]") -> "list[Workload]":
    return [work for architecture in architectures for work in workloads_of(architecture)]

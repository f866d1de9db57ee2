"""Whole networks of a device: compiled with its fastest kernels, timed, and kept to learn from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from latency.model.kernel_table import KernelTable
from latency.model.table import NetworkMeasurement
from latency.model.workloads import checked, keys_of, workloads_of
from latency.timing.agreement import measure_until_agreed
from latency.timing.measurement import Measurement
from search_spaces.architecture import Buildable

if TYPE_CHECKING:
    from torch import nn

    from runtime import CompiledNetwork, Workload


class NetworkTimes:
    """Compiles and times networks.

    Attributes:
        changes: how many networks were kept here.
    """

    def __init__(self, kernels: KernelTable) -> None:
        """``kernels`` is measured first, so that each is made in the way that is fastest."""
        self.changes = 0
        self._kernels = kernels

    def compile(self, module: "nn.Module", input_shape: tuple[int, ...]) -> "CompiledNetwork":
        """Compile a model for the device, each kernel in the way that was fastest there.

        Raises:
            What ``runtime.compile`` raises; MeasurementError: the device gave no usable time.
        """
        import runtime

        return self._compiled(module, input_shape, runtime.workloads(module, input_shape))

    def compiled(self, architecture: Buildable) -> "CompiledNetwork":
        """An architecture's network; untrained: weights change no kernel's time.

        Raises:
            BitnasError: as ``latency.model.workloads.checked`` says.
        """
        shape = 1, *architecture.input_shape
        return self._compiled(checked(architecture), shape, workloads_of(architecture))

    def _compiled(
        self, module: "nn.Module", input_shape: tuple[int, ...], workloads: "Sequence[Workload]"
    ) -> "CompiledNetwork":
        """A model of known kernels, compiled."""
        import runtime

        device, schedules = self._kernels.device, self._kernels.schedules(workloads)
        with device.compiling():
            return runtime.compile(module, input_shape, device.target, schedules, device.threads)

    def measure_once(self, networks: "Sequence[CompiledNetwork]") -> list[Measurement]:
        """Time compiled networks in turn, at the speed that the table's times are for."""
        return self._kernels.device.measure_networks(networks, self._kernels.usual_ms)

    def measure(
        self, networks: "Sequence[CompiledNetwork]", known: Sequence[Sequence[Measurement]] | None = None
    ) -> list[Measurement]:
        """Time compiled networks until two times of each agree; ``known`` are those taken before."""
        earlier = known or [[] for _ in networks]
        return measure_until_agreed(lambda some: self.measure_once([networks[i] for i in some]), earlier)

    def learn(self, architecture: Buildable, measurement: Measurement) -> None:
        """Keep a whole network's time; the next prediction is corrected by it, too."""
        conditions = replace(measurement.conditions, space=architecture.origin)
        kept = NetworkMeasurement(keys_of(architecture), replace(measurement, conditions=conditions))
        self._kernels.table.put_network(self._kernels.device.identity, kept)
        self.changes += 1

    def learned(self, space: str | None = None) -> set[tuple[str, ...]]:
        """The kernels' keys of each network that was learned from, of one space or of all."""
        networks = self._kernels.table.networks(self._kernels.device.identity)
        return {n.workloads for n in networks if space in (None, n.measurement.conditions.space)}

"""The latency model: a network costs what its kernels cost, each measured on the device."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latency.hardware import Device
from latency.measurement import Measurement
from latency.table import LatencyTable
from search_spaces.architecture import Architecture
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from torch import nn

    from runtime import CompiledNetwork, Workload


@dataclass(frozen=True)
class Prediction:
    """A predicted latency of one run of a network.

    Attributes:
        milliseconds: the sum over the kernels.
        by_workload: each kernel call in order, with its measured milliseconds.
    """

    milliseconds: float
    by_workload: list[tuple["Workload", float]]


class LatencyModel:
    """Predicts a network's latency on a device from a table, measuring what the table lacks."""

    def __init__(self, device: Device, table: LatencyTable) -> None:
        self.device = device
        self.table = table

    def predict(
        self, network: "nn.Module | Architecture", input_shape: tuple[int, ...] | None = None
    ) -> Prediction:
        """Predict the latency of a model or an architecture; nothing needs to be trained.

        Args:
            network: an architecture, or any module that lowers.
            input_shape: (N, C, H, W). An architecture knows its own, and so does a module that
                ``search_spaces.build`` made; they run one image unless told.

        Raises:
            InvalidInput: a module without a shape.
            UnsupportedLayerError: the module holds a layer that no kernel computes.
            MeasurementError: the device gave no usable time.
        """
        return self.predict_workloads(workloads_of(network, input_shape))

    def predict_workloads(self, workloads: "list[Workload]") -> Prediction:
        """Predict the latency of kernels that run one after the other."""
        by_workload = [(workload, self.milliseconds(workload)) for workload in workloads]
        return Prediction(sum(ms for _, ms in by_workload), by_workload)

    def schedules(self, workloads: "list[Workload]") -> dict[str, str]:
        """How the fastest code for each kernel was made, by the workload's key, for ``runtime.compile``."""
        return {w.key: known.schedule for w in workloads if (known := self._known(w)).schedule}

    def compile(self, module: "nn.Module", input_shape: tuple[int, ...]) -> "CompiledNetwork":
        """Compile a model for the device, each kernel in the way that was fastest there.

        Raises:
            What ``runtime.compile`` raises; MeasurementError: the device gave no usable time.
        """
        import runtime

        schedules = self.schedules(runtime.workloads(module, input_shape))
        return runtime.compile(module, input_shape, self.device.target, schedules, self.device.threads)

    def milliseconds(self, workload: "Workload") -> float:
        """One kernel's time: from the table, or measured now and put there."""
        return self._known(workload).milliseconds

    def _known(self, workload: "Workload") -> Measurement:
        known = self.table.get(self.device.identity, workload.key)
        if known is None:
            known = self.device.measure(workload)
            self.table.put(self.device.identity, workload.key, known)
        return known


def workloads_of(
    network: "nn.Module | Architecture", input_shape: tuple[int, ...] | None = None
) -> "list[Workload]":
    """The kernels of a model or an architecture, in order."""
    import runtime
    import search_spaces

    if isinstance(network, Architecture):
        import torch

        with torch.random.fork_rng(devices=[]):  # a prediction leaves the caller's random numbers alone
            module = search_spaces.build(network)
        return runtime.workloads(module, input_shape or (1, *network.input_shape))
    own = getattr(network, "input_shape", None)
    if input_shape is None and isinstance(own, tuple):
        input_shape = (1, *own)
    if input_shape is None:
        raise InvalidInput("input_shape", "a module does not know its own", "pass (N, C, H, W)")
    return runtime.workloads(network, input_shape)

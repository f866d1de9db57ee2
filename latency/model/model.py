"""The latency model: a network costs what its kernels cost, and what their sum misses.

Kernels are measured, each alone; one that cannot be is estimated from those that were. Where whole networks
of the device were measured (``nas latency calibrate``), the sum is corrected by what they showed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latency.hardware.device import Device
from latency.model.kernel_table import KernelTable
from latency.model.network_times import NetworkTimes
from latency.model.prediction import Prediction, Predictor
from latency.model.table import LatencyTable
from latency.model.workloads import workloads_of
from latency.timing.measurement import Measurement
from search_spaces.architecture import Buildable

if TYPE_CHECKING:
    from torch import nn

    from runtime import CompiledNetwork, Workload


class LatencyModel:
    """Predicts a network's latency on a device from a table, measuring what the table lacks.

    Attributes:
        kernels: the kernels of the table, which it fills by measuring.
        networks: compiles whole networks for the device and times them.
        predictor: predicts from what the table holds.
    """

    def __init__(
        self, device: Device, table: LatencyTable, measure: bool = True, brief: bool = False
    ) -> None:
        """Of a device and its table.

        Args:
            device: what is timed.
            table: what was measured, and where measurements go.
            measure: whether what the table lacks is measured; if not, it is estimated.
            brief: whether kernels are measured briefly, by fewer samples, and such times count; if not, only
                thorough ones do, but where nothing is measured.
        """
        self.kernels = KernelTable(device, table, measure, brief)
        self.networks = NetworkTimes(self.kernels)
        self.predictor = Predictor(self.kernels, self.networks)

    @property
    def device(self) -> Device:
        """What is timed."""
        return self.kernels.device

    @property
    def table(self) -> LatencyTable:
        """What was measured."""
        return self.kernels.table

    def predict(
        self, network: "nn.Module | Buildable", input_shape: tuple[int, ...] | None = None
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

    def predict_workloads(self, workloads: "Sequence[Workload]") -> Prediction:
        """Predict the latency of kernels that run one after the other.

        Raises:
            MeasurementError: the device gave no usable time, or there is too little to estimate from.
        """
        self.kernels.fill(workloads)
        return self.predictor.predict(workloads)

    def estimate(self, architecture: Buildable) -> Prediction:
        """Predict from what the table holds, measuring nothing.

        Raises:
            MeasurementError: it holds too little to estimate from.
        """
        return self.predictor.predict(workloads_of(architecture))

    def refresh(self) -> None:
        """Read what others have measured meanwhile."""
        self.kernels.refresh()

    def schedules(self, workloads: "Sequence[Workload]") -> dict[str, str]:
        """How the fastest code for each kernel was made, by the workload's key, for ``runtime.compile``."""
        return self.kernels.schedules(workloads)

    def compile(self, module: "nn.Module", input_shape: tuple[int, ...]) -> "CompiledNetwork":
        """Compile a model for the device, each kernel in the way that was fastest there.

        Raises:
            What ``runtime.compile`` raises; MeasurementError: the device gave no usable time.
        """
        return self.networks.compile(module, input_shape)

    def measure_network(self, architecture: Buildable) -> Measurement:
        """Compile an architecture's network and time it whole, until two times agree."""
        return self.networks.measure([self.networks.compiled(architecture)])[0]

"""This machine as a device: kernels and networks are timed in this process."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.hardware.code import link_kernels, network_arguments, with_code
from latency.hardware.device import Device
from latency.record import DeviceRecord
from latency.timing.functions import NetworkJob
from latency.timing.lock import measuring_lock
from latency.timing.measurement import Measurement, Timings
from latency.timing.system import describe, read_here
from latency.timing.timer import Timer

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload


class LocalDevice(Device):
    """This machine, in this process."""

    def __init__(
        self, name: str = "local", threads: int = 1, target: str = "native", cooldown_s: float = 0.0
    ) -> None:
        """``cooldown_s``: how long to wait before each batch of measurements."""
        self.record = DeviceRecord(name, target=target, threads=threads)
        self._cooldown_s = cooldown_s

    def look(self) -> dict[str, Any]:
        """Read from the operating system."""
        return {**describe(read_here), "tvm_on_device": version("apache-tvm")}

    def measure_kernels(
        self,
        workloads: "Sequence[Workload]",
        schedules: Mapping[str, str] | None = None,
        brief: bool = False,
        usual_ms: float | None = None,
    ) -> list[Measurement]:
        """On random data; the fastest of a few schedules counts."""
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / "kernels.so"
            jobs = link_kernels(self, workloads, library, schedules, brief)
            found = self._timed(lambda timer: timer.kernels(library, jobs, brief, usual_ms))
            return with_code(found, workloads, library)

    def measure_networks(
        self, networks: "Sequence[CompiledNetwork]", usual_ms: float | None = None
    ) -> list[Measurement]:
        """On the inputs that the networks hold."""
        from runtime.codegen.assembly import ENTRY

        jobs = [NetworkJob(network.library, ENTRY, list(network_arguments(network))) for network in networks]
        return self._timed(lambda timer: timer.networks(jobs, usual_ms))

    def _timed(self, measure: Callable[[Timer], Timings]) -> list[Measurement]:
        timer = self._timer

        def timed() -> Timings:
            with measuring_lock(self.threads):
                return measure(timer)

        found = self.alone(timed)
        self.drifts.extend(found.drifts)
        return list(found.measurements)

    @cached_property
    def _timer(self) -> Timer:
        from latency.timing.place import ThisProcess
        from latency.timing.reference import compile_reference

        place = ThisProcess()
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / "reference.so"
            entry = compile_reference(self.target, library)
            return Timer(place, read_here, library, entry, self._cooldown_s)

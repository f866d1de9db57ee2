"""A device behind TVM's RPC: code is compiled here, sent there and timed there."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latency.hardware.client import CONNECT_S, MEASURE_EACH_S, MEASURE_S, Client
from latency.hardware.code import link_kernels, network_arguments, with_code
from latency.hardware.device import Device
from latency.record import DeviceRecord
from latency.timing.measurement import Measurement
from latency.timing.system import boot_id, read_here
from latency.timing.timer import PAUSES
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload

log = logging.getLogger("nas.latency")

MAX_TRIES = 1 + len(PAUSES)  # how often a batch is begun at most


class RpcDevice(Device):
    """A machine behind TVM's RPC, reached at its own address or through a tracker."""

    def __init__(self, record: DeviceRecord, cooldown_s: float = 0.0) -> None:
        self.record = record
        self._cooldown_s = cooldown_s
        self._client = Client(record, cooldown_s)

    @cached_property
    def machine(self) -> str:
        """By what its kernel calls its boot: an address of this machine may lead to another, by a tunnel."""
        boot = self._client.ask({"job": "boot"}, CONNECT_S)["boot"]
        if boot is not None and boot == boot_id(read_here):
            return ""
        return boot or f"{self.record.address} {self.record.key}"

    def look(self) -> dict[str, Any]:
        """Through the probe; code for the target must run there.

        Raises:
            BitnasError: it would not.
        """
        from runtime.target import architecture_of, required_flags

        found = self._client.ask({"job": "describe"}, CONNECT_S)
        missing = sorted(set(required_flags(self.target)) - set(found["features"]))
        if found["architecture"] != architecture_of(self.target) or missing:
            lacks = f", without {', '.join(missing)}" if missing else ""
            raise BitnasError(
                f"target: '{self.target}' does not fit '{self.name}', a {found['cpu']} of "
                f"{found['architecture']}{lacks}; add it again with the target of its own CPU"
            )
        return found

    def measure_kernels(
        self,
        workloads: "Sequence[Workload]",
        schedules: Mapping[str, str] | None = None,
        brief: bool = False,
        usual_ms: float | None = None,
    ) -> list[Measurement]:
        """Compiled here, run there on random data; the fastest of a few schedules counts."""
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / "kernels.so"
            kernels = link_kernels(self, workloads, library, schedules, brief)
            job = {"job": "kernels", "library": str(library), "kernels": kernels, "brief": brief}
            return with_code(self._ask(job, len(kernels), usual_ms), workloads, library)

    def measure_networks(
        self, networks: "Sequence[CompiledNetwork]", usual_ms: float | None = None
    ) -> list[Measurement]:
        """Sent there with their constants, and run on random input."""
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            jobs = [_filed(network, Path(folder) / str(i)) for i, network in enumerate(networks)]
            return self._ask({"job": "networks", "networks": jobs}, len(jobs), usual_ms)

    def _ask(self, job: dict[str, Any], count: int, usual_ms: float | None) -> list[Measurement]:
        seconds = MEASURE_S + count * MEASURE_EACH_S + MAX_TRIES * self._cooldown_s
        answer = self.alone(lambda: self._client.ask({**job, "usual_ms": usual_ms}, seconds))
        for note in answer["notes"]:
            log.info("%s: %s", self.name, note)
        self.drifts.extend(answer["drifts"])
        return [Measurement.from_dict(found) for found in answer["measured"]]

    def close(self) -> None:
        """End the session."""
        self._client.close()


def _filed(network: "CompiledNetwork", folder: Path) -> tuple[str, str, list[str]]:
    """A network to time whose arrays lie in files of a folder."""
    from runtime.codegen.assembly import ENTRY

    folder.mkdir()
    paths = []
    for index, array in enumerate(network_arguments(network)):
        paths.append(str(folder / f"{index}.npy"))
        np.save(paths[-1], array)
    return str(network.library), ENTRY, paths

"""Devices: where kernels and networks are timed. ``local`` is the machine that this process runs on."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latency.client import CONNECT_S, Client
from latency.conditions import describe
from latency.measurement import Measurement, NoDeviceError, alone
from latency.record import DeviceRecord
from latency.timing import Bench, memory_of
from search_spaces.errors import BitnasError
from search_spaces.registry import Registry

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload

SCHEDULES = 5
"""How many ways of making a kernel are tried."""


class Device(ABC):
    """A machine that can time compiled code.

    Attributes:
        record: how it is reached and used.
        usual_ms: what the reference kernel takes there at the speed that times are given for; None until
            something is measured.
    """

    record: DeviceRecord
    usual_ms: float | None = None

    @property
    def name(self) -> str:
        """What users call it."""
        return self.record.name

    @property
    def target(self) -> str:
        """What to compile for, as ``runtime.compile`` takes it."""
        return self.record.target

    @property
    def threads(self) -> int:
        """How many threads run a network there."""
        return self.record.threads

    @cached_property
    def identity(self) -> str:
        """The key of the device's rows in a latency table: changes when its CPU, compiler or use does."""
        from runtime.kernels.base import GENERATION

        known = self.describe()
        code = f"tvm {known['tvm']} | kernels {GENERATION}"
        if self.threads > 1:
            code += f" | {self.threads} threads"
        return f"{self.name} | {known['cpu']} | {known['llvm_cpu']} | {code}"

    def describe(self) -> dict[str, Any]:
        """What is known of the device, JSON-able: cpu, cores, clock, memory, features, TVM's version.

        Raises:
            NoDeviceError: it does not answer.
        """
        from runtime.target import cpu_name

        use = {"llvm_cpu": cpu_name(self.target), "threads": self.threads, "tvm": version("apache-tvm")}
        return {**self.look(), **use}

    @abstractmethod
    def look(self) -> dict[str, Any]:
        """What the device's own files say of it.

        Raises:
            NoDeviceError: it does not answer.
        """

    @abstractmethod
    def measure(self, workload: "Workload") -> Measurement:
        """Compile a workload's kernel, the very code that a network would call, and time it.

        Raises:
            MeasurementError: the device gave no usable time.
            NoDeviceError: it does not answer.
        """

    @abstractmethod
    def measure_network(self, network: "CompiledNetwork") -> Measurement:
        """Time one run of a compiled network, copies of its input and output not included.

        Raises:
            MeasurementError: the device gave no usable time.
            NoDeviceError: it does not answer.
        """

    def close(self) -> None:  # noqa: B027 - most devices have nothing to end
        """End what was begun on the device; it may be used again."""


class LocalDevice(Device):
    """This machine, in this process."""

    def __init__(self, name: str = "local", threads: int = 1, target: str = "native") -> None:
        self.record = DeviceRecord(name, target=target, threads=threads)

    def look(self) -> dict[str, Any]:
        """Read from the operating system."""
        return describe(_read)

    def measure(self, workload: "Workload") -> Measurement:
        """On random data; the fastest of a few schedules counts."""
        from runtime.assembly import link_schedules

        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / "kernel.so"
            names = link_schedules(workload, self.target, SCHEDULES, library, self.threads)
            return self._alone(lambda bench: bench.kernel(library, names, memory_of(workload)))

    def measure_network(self, network: "CompiledNetwork") -> Measurement:
        """On the input that the network holds."""
        from runtime.assembly import ENTRY

        arrays = list(_arguments(network))
        return self._alone(lambda bench: bench.network(network.library, ENTRY, arrays))

    def _alone(self, measure: Callable[[Bench], Measurement]) -> Measurement:
        with alone(self.threads):
            self._bench.usual_ms = self.usual_ms
            found = measure(self._bench)
            self.usual_ms = self._bench.usual_ms
            return found

    @cached_property
    def _bench(self) -> Bench:
        from latency.place import ThisProcess
        from latency.reference import compile_reference

        place = ThisProcess()
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / "reference.so"
            return Bench(place, _read, library, compile_reference(self.target, library))


class RpcDevice(Device):
    """A machine behind TVM's RPC, reached at its own address or through a tracker."""

    def __init__(self, record: DeviceRecord, cooldown_s: float = 0.0) -> None:
        self.record = record
        self._client = Client(record, cooldown_s)

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
                f"{found['architecture']}{lacks}; name its own CPU with --target"
            )
        return found

    def measure(self, workload: "Workload") -> Measurement:
        """Compiled here, run there on random data; the fastest of a few schedules counts."""
        from runtime.assembly import link_schedules

        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / f"{workload.symbol}.so"
            names = link_schedules(workload, self.target, SCHEDULES, library, self.threads)
            memory = memory_of(workload)
            return self._ask({"job": "kernel", "library": str(library), "names": names, "memory": memory})

    def measure_network(self, network: "CompiledNetwork") -> Measurement:
        """Sent there with its constants, and run on random input."""
        from runtime.assembly import ENTRY

        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            paths = [Path(folder) / f"{i}.npy" for i in range(4)]
            for path, array in zip(paths, _arguments(network), strict=True):
                np.save(path, array)
            arrays = [str(path) for path in paths]
            library = str(network.library)
            return self._ask({"job": "network", "library": library, "name": ENTRY, "arrays": arrays})

    def _ask(self, job: dict[str, Any]) -> Measurement:
        found = Measurement(**self._client.ask({**job, "usual_ms": self.usual_ms}))
        self.usual_ms = found.conditions["usual_ms"]
        return found

    def close(self) -> None:
        """End the session."""
        self._client.close()


class AbsentDevice(Device):
    """A device that is away: what was known of it is, and nothing can be measured."""

    def __init__(self, record: DeviceRecord, description: dict[str, Any]) -> None:
        self.record = record
        self._description = description

    def look(self) -> dict[str, Any]:
        """As it was."""
        return self._description

    def measure(self, workload: "Workload") -> Measurement:
        """Not now."""
        raise NoDeviceError(f"device: '{self.name}' is away")

    def measure_network(self, network: "CompiledNetwork") -> Measurement:
        """Not now."""
        raise NoDeviceError(f"device: '{self.name}' is away")


devices: Registry[Device] = Registry("device", "devices")
devices.add("local", LocalDevice())


def device(name: str) -> Device:
    """The device called ``name``, of those that need no record.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    return devices.get(name)


def connect(record: DeviceRecord, cooldown_s: float = 0.0) -> Device:
    """The device of a record; nothing is sent before it is asked for something."""
    if record.reach == "local":
        return LocalDevice(record.name, record.threads, record.target)
    return RpcDevice(record, cooldown_s)


def _arguments(network: "CompiledNetwork") -> tuple[Any, ...]:
    """The network's arguments, with random numbers for its input."""
    source = network.arguments[0]
    source[...] = np.random.default_rng(0).random(source.shape, np.float32)
    return network.arguments


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return None

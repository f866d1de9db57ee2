"""Devices: where kernels and networks are timed. ``local`` is the machine that this process runs on."""

import logging
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latency.hardware.client import CONNECT_S, MEASURE_EACH_S, MEASURE_S, Client
from latency.record import DeviceRecord
from latency.timing.agreement import measure_until_agreed
from latency.timing.bench import PAUSES, Bench, Kernel, Network, memory_of
from latency.timing.conditions import describe
from latency.timing.measurement import Measurement, NoDeviceError, alone
from latency.timing.sampling import BRIEF, THOROUGH
from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.registry import Registry

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload

log = logging.getLogger("nas.latency")

BATCHES = 1 + len(PAUSES)  # how often a batch is begun at most


def _undisturbed() -> AbstractContextManager[Callable[[], None]]:
    """Nobody waits."""
    return nullcontext(lambda: None)


class Device(ABC):
    """A machine that can time compiled code.

    Attributes:
        record: how it is reached and used.
        usual_ms: what the reference takes there at the speed that times are given for; None until
            something is measured.
        drifts: by what share the device was slower than usual, for each batch of measurements so far.
        exclusive: makes the context in which things are timed, so that nothing else runs meanwhile; code is
            compiled before.
        compiling: makes the context in which code is compiled, so that nothing is timed meanwhile; gives a
            function that lets those pass who wait to time something.
    """

    record: DeviceRecord
    usual_ms: float | None = None
    exclusive: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)
    compiling: Callable[[], AbstractContextManager[Callable[[], None]]] = staticmethod(_undisturbed)

    @cached_property
    def drifts(self) -> list[float]:
        return []

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
        from latency.timing.reference import PROTOCOL
        from runtime.kernels.base import GENERATION

        known = self.describe()
        features = "".join(f"+{name}" for name in sorted(set(self.target.split("+")[1:])))
        code = f"tvm {known['tvm']} | kernels {GENERATION} | protocol {PROTOCOL}"
        if self.threads > 1:
            code += f" | {self.threads} threads"
        return f"{self.name} | {known['cpu']} | {known['llvm_cpu']}{features} | {code}"

    def describe(self) -> dict[str, Any]:
        """What is known of the device, JSON-able: cpu, cores, clock, memory, features, TVM's version here
        (which compiles) and there (None where its server does not tell).

        Raises:
            NoDeviceError: it does not answer. InvalidInput: it has fewer cores than threads are asked for.
        """
        from runtime.target import cpu_name

        found = self.look()
        if self.threads > found.get("cores", self.threads):
            problem = f"'{self.name}' has {found['cores']} cores for {self.threads} threads"
            raise InvalidInput("threads", problem, "add it anew with as many at most")
        use = {"llvm_cpu": cpu_name(self.target), "threads": self.threads, "tvm": version("apache-tvm")}
        return {**found, **use}

    @abstractmethod
    def look(self) -> dict[str, Any]:
        """What the device's own files say of it.

        Raises:
            NoDeviceError: it does not answer.
        """

    @abstractmethod
    def measure_kernels(
        self,
        workloads: "Sequence[Workload]",
        schedules: Mapping[str, str] | None = None,
        brief: bool = False,
    ) -> list[Measurement]:
        """Compile workloads' kernels, the very code that a network would call, and time them in turn.

        Each is made in a few ways, of which the fastest counts, unless ``schedules`` names one for its key.
        ``brief``: fewer ways and samples, and marked so; see ``latency.timing.sampling.BRIEF``.

        Raises:
            MeasurementError: the device gave no usable time.
            NoDeviceError: it does not answer.
        """

    @abstractmethod
    def measure_networks(self, networks: "Sequence[CompiledNetwork]") -> list[Measurement]:
        """Time one run of each compiled network, copies of its input and output not included.

        Raises:
            MeasurementError: the device gave no usable time.
            NoDeviceError: it does not answer.
        """

    def measure(self, workload: "Workload") -> Measurement:
        """Time one kernel; see ``measure_kernels``."""
        return self.measure_kernels([workload])[0]

    def measure_network(self, network: "CompiledNetwork") -> Measurement:
        """Time one network until two times agree; see ``measure_networks``."""
        return measure_until_agreed(lambda _: self.measure_networks([network]), [[]])[0]

    def _link(
        self, workloads: "Sequence[Workload]", library: Path, schedules: Mapping[str, str] | None, brief: bool
    ) -> list[Kernel]:
        """Compile kernels to be timed into one library."""
        from runtime.codegen.timed_kernels import link_schedules

        most = (BRIEF if brief else THOROUGH).schedules
        with self.compiling() as give_way:
            names = link_schedules(workloads, self.target, most, library, self.threads, schedules, give_way)
        return [Kernel(ways, memory_of(work)) for ways, work in zip(names, workloads, strict=True)]

    def close(self) -> None:  # noqa: B027 - most devices have nothing to end
        """End what was begun on the device; it may be used again."""


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
        return {**describe(_read), "tvm_on_device": version("apache-tvm")}

    def measure_kernels(
        self,
        workloads: "Sequence[Workload]",
        schedules: Mapping[str, str] | None = None,
        brief: bool = False,
    ) -> list[Measurement]:
        """On random data; the fastest of a few schedules counts."""
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / "kernels.so"
            kernels = self._link(workloads, library, schedules, brief)
            found = self._alone(lambda bench: bench.kernels(library, kernels, brief))
            return _with_code(found, workloads, library)

    def measure_networks(self, networks: "Sequence[CompiledNetwork]") -> list[Measurement]:
        """On the inputs that the networks hold."""
        from runtime.codegen.assembly import ENTRY

        jobs = [Network(network.library, ENTRY, list(_arguments(network))) for network in networks]
        return self._alone(lambda bench: bench.networks(jobs))

    def _alone(self, measure: Callable[[Bench], list[Measurement]]) -> list[Measurement]:
        bench = self._bench
        with self.exclusive(), alone(self.threads):
            bench.speed.usual_ms = self.usual_ms
            found = measure(bench)
            self.usual_ms = bench.speed.usual_ms
            self.drifts += bench.drifts
            bench.drifts.clear()
            return found

    @cached_property
    def _bench(self) -> Bench:
        from latency.timing.place import ThisProcess
        from latency.timing.reference import compile_reference

        place = ThisProcess()
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / "reference.so"
            entry = compile_reference(self.target, library)
            return Bench(place, _read, library, entry, self._cooldown_s)


class RpcDevice(Device):
    """A machine behind TVM's RPC, reached at its own address or through a tracker."""

    def __init__(self, record: DeviceRecord, cooldown_s: float = 0.0) -> None:
        self.record = record
        self._cooldown_s = cooldown_s
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
                f"{found['architecture']}{lacks}; add it anew with the target of its own CPU"
            )
        return found

    def measure_kernels(
        self,
        workloads: "Sequence[Workload]",
        schedules: Mapping[str, str] | None = None,
        brief: bool = False,
    ) -> list[Measurement]:
        """Compiled here, run there on random data; the fastest of a few schedules counts."""
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            library = Path(folder) / "kernels.so"
            kernels = self._link(workloads, library, schedules, brief)
            job = {"job": "kernels", "library": str(library), "kernels": kernels, "brief": brief}
            return _with_code(self._ask(job, len(kernels)), workloads, library)

    def measure_networks(self, networks: "Sequence[CompiledNetwork]") -> list[Measurement]:
        """Sent there with their constants, and run on random input."""
        with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
            jobs = [_filed(network, Path(folder) / str(i)) for i, network in enumerate(networks)]
            return self._ask({"job": "networks", "networks": jobs}, len(jobs))

    def _ask(self, job: dict[str, Any], count: int) -> list[Measurement]:
        seconds = MEASURE_S + count * MEASURE_EACH_S + BATCHES * self._cooldown_s
        with self.exclusive():
            answer = self._client.ask({**job, "usual_ms": self.usual_ms}, seconds)
        for note in answer["notes"]:
            log.info("%s: %s", self.name, note)
        self.drifts.extend(answer["drifts"])
        self.usual_ms = answer["usual_ms"]
        return [Measurement(**found) for found in answer["measured"]]

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

    def measure_kernels(
        self,
        workloads: "Sequence[Workload]",
        schedules: Mapping[str, str] | None = None,
        brief: bool = False,
    ) -> list[Measurement]:
        """Not now."""
        raise NoDeviceError(f"device: '{self.name}' is away")

    def measure_networks(self, networks: "Sequence[CompiledNetwork]") -> list[Measurement]:
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
        return LocalDevice(record.name, record.threads, record.target, cooldown_s)
    return RpcDevice(record, cooldown_s)


def _with_code(
    measured: Sequence[Measurement], workloads: "Sequence[Workload]", library: Path
) -> list[Measurement]:
    """Measurements of kernels, and how much code they have in the library."""
    from runtime.codegen.code_size import function_sizes
    from runtime.codegen.timed_kernels import code_symbol

    sizes = function_sizes(library)
    return [
        replace(found, code_bytes=sizes.get(code_symbol(work, found.schedule)))
        for found, work in zip(measured, workloads, strict=True)
    ]


def _filed(network: "CompiledNetwork", folder: Path) -> tuple[str, str, list[str]]:
    """A network to time whose arrays lie in files of a folder."""
    from runtime.codegen.assembly import ENTRY

    folder.mkdir()
    paths = []
    for index, array in enumerate(_arguments(network)):
        paths.append(str(folder / f"{index}.npy"))
        np.save(paths[-1], array)
    return str(network.library), ENTRY, paths


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

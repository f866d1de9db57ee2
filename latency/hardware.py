"""Devices: where kernels and networks are timed. ``local`` is the machine that this process runs on."""

import os
import platform
from abc import ABC, abstractmethod
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latency.measurement import Measurement, Sampler, alone, fastest, measure
from search_spaces.registry import Registry

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload
    from runtime.kernels import Buffer

SCHEDULES = 5
"""How many ways of making a kernel are tried."""


class Device(ABC):
    """A machine that can time compiled code.

    Attributes:
        name: what users call it.
        target: what to compile for, as ``runtime.compile`` takes it.
        threads: how many threads run a network there.
    """

    name: str
    target: str
    threads: int

    @property
    @abstractmethod
    def identity(self) -> str:
        """The key of the device's rows in a latency table: changes when its CPU or compiler does."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What is known of the device, JSON-able: cpu, cores, features, tvm."""

    @abstractmethod
    def measure(self, workload: "Workload") -> Measurement:
        """Compile a workload's kernel, the very code that a network would call, and time it.

        Raises:
            MeasurementError: the device gave no usable time.
        """

    @abstractmethod
    def measure_network(self, network: "CompiledNetwork") -> Measurement:
        """Time one run of a compiled network, copies of its input and output not included.

        Raises:
            MeasurementError: the device gave no usable time.
        """


class LocalDevice(Device):
    """This machine, in this process, on one core or more."""

    target = "native"

    def __init__(self, name: str = "local", threads: int = 1) -> None:
        self.name = name
        self.threads = threads

    @property
    def identity(self) -> str:
        """Name, CPU model, LLVM's name of it, TVM's version, the generation of our kernels, and threads."""
        from runtime.kernels.base import GENERATION

        known = self.describe()
        code = f"tvm {known['tvm']} | kernels {GENERATION}"
        if self.threads > 1:
            code += f" | {self.threads} threads"
        return f"{self.name} | {known['cpu']} | {known['llvm_cpu']} | {code}"

    def describe(self) -> dict[str, Any]:
        """Read from the operating system."""
        from runtime.target import cpu_name, host_flags

        return {
            "cpu": _cpu_model(),
            "llvm_cpu": cpu_name(self.target),
            "cores": os.cpu_count(),
            "threads": self.threads,
            "features": sorted(host_flags()),
            "tvm": version("apache-tvm"),
        }

    def measure(self, workload: "Workload") -> Measurement:
        """In this process, with random data; the fastest of a few schedules counts."""
        import tvm

        from runtime.assembly import compile_schedules, parameters

        module, names = compile_schedules(workload, self.target, SCHEDULES, self.threads)
        generator = np.random.default_rng(0)
        arrays = [_random_array(b, generator) for b in parameters(workload)]
        tensors = [tvm.runtime.tensor(array, tvm.cpu()) for array in arrays]
        samplers = {schedule: _sampler(module, name, tensors) for schedule, name in names.items()}
        with alone(self.threads):
            schedule = fastest(samplers)
            return replace(measure(samplers[schedule]), schedule=schedule)

    def measure_network(self, network: "CompiledNetwork") -> Measurement:
        """In this process, on the input that the network holds."""
        import tvm

        from runtime.assembly import ENTRY

        source = network.arguments[0]
        source[...] = np.random.default_rng(0).random(source.shape, np.float32)
        tensors = [tvm.runtime.tensor(array, tvm.cpu()) for array in network.arguments]
        with alone(network.info.threads):
            return measure(_sampler(tvm.runtime.load_module(str(network.library)), ENTRY, tensors))


devices: Registry[Device] = Registry("device", "devices")
devices.add("local", LocalDevice())


def device(name: str) -> Device:
    """The device called ``name``.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    return devices.get(name)


def _sampler(module: Any, symbol: str, tensors: list[Any]) -> Sampler:
    import tvm

    def sample(samples: int, sample_ms: int) -> list[float]:
        timer = module.time_evaluator(symbol, tvm.cpu(), number=1, repeat=samples, min_repeat_ms=sample_ms)
        return [seconds * 1e3 for seconds in timer(*tensors).results]

    return sample


def _random_array(buffer: "Buffer", generator: np.random.Generator) -> Any:
    """Data of ordinary size: denormal or infinite floats would be timed as no network ever runs them."""
    dtype = np.dtype(buffer.dtype)
    if dtype.kind == "f":
        signs = generator.choice([-1.0, 1.0], buffer.shape)
        return (generator.uniform(0.5, 1.5, buffer.shape) * signs).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, buffer.shape, dtype, endpoint=True)


def _cpu_model() -> str:
    source = Path("/proc/cpuinfo")
    if source.exists():
        for line in source.read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "CPU part")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""What a device is: a machine that can time compiled code, and the contract of those that are reached."""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from latency.record import DeviceRecord
from latency.timing.agreement import measure_until_agreed
from latency.timing.measurement import Measurement
from search_spaces.errors import InvalidInput, LostTurnError

if TYPE_CHECKING:
    from runtime import CompiledNetwork, Workload

log = logging.getLogger(__name__)

T = TypeVar("T")


def not_shared() -> AbstractContextManager[Callable[[], None]]:
    """The context of compiling where nobody waits to time something."""
    return nullcontext(lambda: None)


_CODE = re.compile(r" \| tvm [^|]*\| kernels [^|]*\| protocol [^|]*")
"""In an identity: what made the code, and how it was timed."""


def same_hardware(one: str, other: str) -> bool:
    """Whether two identities are of the same machine in the same use; its code may be another's."""
    return _CODE.sub(" ", one).strip() == _CODE.sub(" ", other).strip()


class Device(ABC):
    """A machine that can time compiled code. A device of your own implements ``look``, ``measure_kernels``
    and ``measure_networks``, and passes ``latency.testing.DeviceConformance``.

    *Threads*: a device is used by one thread of one process; processes make their own of the same record.
    *Order of calls*: any; nothing is sent to a device before it is asked for something, ``describe`` may come
    first or never. After ``close`` it may be used again.
    *Who owns what*: whoever makes a device closes it. Workloads, networks and earlier measurements are the
    caller's: they are not changed and not kept. ``record`` is set once and stays. ``exclusive`` and
    ``compiling`` are the caller's to set, between calls.
    *Errors*: ``MeasurementError`` where it gave no usable time, ``NoDeviceError`` where it does not answer
    and may be back later; any other error is a fault of what was asked for. A call that raises keeps nothing.

    Attributes:
        record: how it is reached and used; set by ``__init__``.
        drifts: by what share the device was slower than usual, for each batch of measurements so far; a
            device that does not know leaves it empty.
        exclusive: makes the context in which things are timed, so that nothing else runs meanwhile; code is
            compiled before. It ends with LostTurnError where something ran all the same: ``alone`` times
            again.
        compiling: makes the context in which code is compiled, so that nothing is timed meanwhile; gives a
            function that lets those pass who wait to time something.
    """

    record: DeviceRecord
    exclusive: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)
    compiling: Callable[[], AbstractContextManager[Callable[[], None]]] = staticmethod(not_shared)

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

    @property
    def machine(self) -> str:
        """Which machine times, so that devices of one machine wait for each other; empty for this one, which
        is kept quiet meanwhile. A device of your own that is another machine names it, in any words.

        Raises:
            NoDeviceError: it does not answer.
        """
        return ""

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
            raise InvalidInput("threads", problem, "add it again with as many at most")
        use = {"llvm_cpu": cpu_name(self.target), "threads": self.threads, "tvm": version("apache-tvm")}
        return {**found, **use}

    def alone(self, time: Callable[[], T]) -> T:
        """What ``time`` gives, which times something, in ``exclusive``; it is called again where the process
        was stopped and others had their turn meanwhile."""
        while True:
            try:
                with self.exclusive():
                    return time()
            except LostTurnError as error:
                log.info("%s: %s; it times again", self.name, error)

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
        usual_ms: float | None = None,
    ) -> list[Measurement]:
        """Compile workloads' kernels, the very code that a network would call, and time them in turn.

        Args:
            workloads: the kernels, at least one.
            schedules: how to make some of them, by the workload's key; the others are made in a few ways, of
                which the fastest counts and is named by ``schedule``.
            brief: take fewer ways and samples, and say so in the conditions.
            usual_ms: give times for the speed at which the reference takes so long: that of the conditions of
                an earlier measurement. The device's own choice where it is None. A device that has no
                reference ignores it.

        Returns:
            A measurement of each, in order.

        Raises:
            MeasurementError: the device gave no usable time.
            NoDeviceError: it does not answer.
        """

    @abstractmethod
    def measure_networks(
        self, networks: "Sequence[CompiledNetwork]", usual_ms: float | None = None
    ) -> list[Measurement]:
        """Time one run of each compiled network, at least one, copies of its input and output not included.

        ``usual_ms`` and what is returned are as in ``measure_kernels``.

        Raises:
            MeasurementError: the device gave no usable time.
            NoDeviceError: it does not answer.
        """

    def measure(self, workload: "Workload") -> Measurement:
        """Time one kernel; see ``measure_kernels``."""
        return self.measure_kernels([workload])[0]

    def measure_network(self, network: "CompiledNetwork", usual_ms: float | None = None) -> Measurement:
        """Time one network until two times agree; see ``measure_networks``."""
        return measure_until_agreed(lambda _: self.measure_networks([network], usual_ms), [[]])[0]

    def close(self) -> None:  # noqa: B027 - most devices have nothing to end
        """End what was begun on the device; it may be used again."""

"""The code that a device times: kernels linked into a library, a network's arguments, bytes of code."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latency.timing.functions import KernelJob
from latency.timing.measurement import Measurement
from latency.timing.memory import memory_of
from latency.timing.sampling import BRIEF_PLAN, THOROUGH_PLAN

if TYPE_CHECKING:
    from latency.hardware.device import Device
    from runtime import CompiledNetwork, Workload


def link_kernels(
    device: "Device",
    workloads: "Sequence[Workload]",
    library: Path,
    schedules: Mapping[str, str] | None,
    brief: bool,
) -> list[KernelJob]:
    """Compile kernels to be timed on a device into one library, giving way to those who time something."""
    from runtime.codegen.timed_kernels import link_schedules

    most = (BRIEF_PLAN if brief else THOROUGH_PLAN).schedules
    with device.compiling() as give_way:
        names = link_schedules(workloads, device.target, most, library, device.threads, schedules, give_way)
    return [
        KernelJob(ways, memory_of(device.target, work)) for ways, work in zip(names, workloads, strict=True)
    ]


def with_code(
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


def network_arguments(network: "CompiledNetwork") -> tuple[Any, ...]:
    """The network's arguments, with random numbers for its input."""
    source = network.arguments[0]
    source[...] = np.random.default_rng(0).random(source.shape, np.float32)
    return network.arguments

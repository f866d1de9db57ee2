"""What is known of a compiled network without running it."""

from dataclasses import dataclass

from runtime.workload import Workload


@dataclass(frozen=True)
class NetworkInfo:
    """Its shapes, which are torch's, sizes in bytes, kernels, and what it runs on.

    ``live_bytes`` is the largest set of activations and scratch alive at once, the least that
    ``workspace_bytes`` could be. ``flags`` are the CPU's instruction sets that the code may use. ``threads``
    share the work of one call.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    architecture: str
    target: str
    flags: tuple[str, ...]
    constant_bytes: int
    workspace_bytes: int
    live_bytes: int
    workloads: tuple[Workload, ...]
    threads: int = 1

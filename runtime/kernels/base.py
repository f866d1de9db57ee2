"""What a kernel is: its buffers, its TVM function, and how much work it does."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.cpu import Cpu
from runtime.graph import Constants
from runtime.kernels.schedule import Tile
from runtime.tvm_types import PrimFunc, Tensors
from runtime.workload import Workload
from search_spaces.registry import Registry

GENERATION = 21
"""Raised when kernels or schedules change: what was measured of older ones is measured again."""

W = TypeVar("W", bound=Workload)
Role = Literal["input", "constant", "scratch", "output"]


@dataclass(frozen=True)
class Buffer:
    """One argument of a compiled kernel; arguments are passed in the order of ``Kernel.buffers``."""

    name: str
    role: Role
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes that the buffer takes."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class ByChannel:
    """Which of a constant's units are of which output channel; all channels have as many, in one order.

    Attributes:
        axes: extents in the order of memory, of units.
        channels: the axes that count lanes, in their order: what the others count is each lane's own.
        of_bits: whether units are bits, the lowest of each byte first, or elements.
    """

    axes: tuple[int, ...]
    channels: tuple[int, ...]
    of_bits: bool = False


class Kernel(ABC, Generic[W]):
    """A family of kernels: the code for each of its workloads, under the family's name in ``kernels``.

    One object serves all threads and holds no state: each method depends on its arguments alone, and may be
    called at any time, in any order. ``buffers`` is asked thousands of times by searches that compile
    nothing, ``prim_func`` when a kernel is compiled.

    The caller owns all memory, which comes in as arguments, each aligned to 64 bytes: inputs and constants,
    which are read; scratch and outputs, whose content before the call is arbitrary, and of which scratch
    counts for nothing afterwards. A kernel allocates nothing but registers. Several threads may call it at
    once on other memory, or share one call: a loop that is marked as parallel is split among them.

    The same function is timed alone and linked into networks. What a method raises ends the compilation; a
    workload that cannot be computed is refused when a layer is lowered, not here.

    ``runtime.testing.KernelConformance`` checks all of it, against numpy.
    """

    @abstractmethod
    def buffers(self, workload: W) -> tuple[Buffer, ...]:
        """The arguments of the compiled function, in order; the last one or two are outputs.

        Inputs are in the order of the graph's values. What holds real numbers has as many as its value, along
        the axes (N, H, W, C), some of them split or joined.
        """

    def arguments(self, workload: W, cpu: Cpu) -> tuple[Buffer, ...]:
        """The arguments of the function for a CPU, in order: ``buffers(workload)`` unless it has its own way.

        Inputs, outputs and scratch take the same bytes on every CPU, so that activations fit any network and
        its memory is known before its device is. Scratch that a CPU does not need
        may be left out. Constants may be others: see ``arrange``.
        """
        return self.buffers(workload)

    def arrange(self, workload: W, cpu: Cpu, constants: Constants) -> Constants:
        """The constants in ``arguments(workload, cpu)``, made of those in ``buffers(workload)``, by name."""
        return constants

    def arrange_weight(self, workload: W, cpu: Cpu, weight: NDArray[Any]) -> NDArray[Any]:
        """The constant ``weight`` as ``arrange`` gives it."""
        return weight

    def by_channel(self, workload: W, cpu: Cpu) -> ByChannel | None:
        """How ``weight`` of ``arguments(workload, cpu)`` lies, so that it is stored as its codes alone.

        None where it has no such order: it is stored as it lies.
        """
        return None

    @abstractmethod
    def prim_func(self, workload: W, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """The scheduled function over ``arguments(workload, cpu)``, in that order.

        Args:
            workload: what to compute.
            cpu: the instructions that it may use.
            tile: one of ``tiles``, or None for the first of them. All of them compute the same bits.
        """

    def tiles(self, workload: W, cpu: Cpu) -> list[Tile]:
        """Register tiles that the kernel can be made with, the most promising first; none to choose from."""
        return []

    def macs(self, workload: W) -> int:
        """Multiply-accumulates of one call."""
        return 0


kernels: Registry[Kernel[Any]] = Registry("kernel", "kernels")


def kernel_for(workload: Workload) -> Kernel[Any]:
    """The kernel of the workload's family."""
    return kernels.get(workload.family)


def te_placeholders(buffers: Iterable[Buffer]) -> Tensors:
    """A TE placeholder for each input and constant, by name."""
    from tvm import te

    return {
        b.name: te.placeholder(b.shape, b.dtype, name=b.name)
        for b in buffers
        if b.role in ("input", "constant")
    }


def lanes(*channels: int) -> int:
    """Vector lanes over channels: the largest power of two up to 16 that divides all the numbers."""
    return next(n for n in (16, 8, 4, 2, 1) if all(c % n == 0 for c in channels))

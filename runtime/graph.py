"""The operator graph between a torch model and compiled code: values, and nodes that run one kernel each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from runtime.workload import Workload

Constants = dict[str, NDArray[Any]]
MakeConstants = Callable[[], Constants]
"""Packs weights when they are asked for: which kernels a network has can be told without."""


@dataclass(frozen=True)
class Value:
    """A tensor that flows between nodes. Images lie in memory as (N, H, W, C), rows as (N, F).

    ``layout`` says what the numbers mean: ``nchw`` and ``nhwc`` images, ``rows``, or ``codes`` that only
    the next kernel understands.
    """

    index: int
    shape: tuple[int, ...]
    layout: str


@dataclass
class Node:
    """One kernel call: the layer it came from, its workload, its inputs and constants in kernel layout.

    ``outputs`` are in the order of the kernel's: the real one, the coded one, or both. ``make_step`` makes
    the constants of the code alone, where a node writes one that was another's. One that ``keeps_rounding``
    computes in float32 as torch does: no other kernel does its work, and no integers.
    """

    name: str
    workload: Workload
    inputs: list[Value]
    make_constants: MakeConstants
    outputs: list[Value]
    make_step: MakeConstants | None = None
    keeps_rounding: bool = False

    @property
    def output(self) -> Value:
        """The first output, and mostly the only one."""
        return self.outputs[0]

    @property
    def constants(self) -> Constants:
        """Constants by the name of the kernel's buffer, made each time that they are asked for."""
        return self.make_constants()

    def change_constants(self, change: Callable[[Constants], Constants]) -> None:
        """Have the constants changed once they are made."""
        before = self.make_constants
        self.make_constants = lambda: change(before())


@dataclass
class Graph:
    """Nodes in the order in which they run; the batch's images come in and its logits go out."""

    input: Value
    output: Value
    nodes: list[Node] = field(default_factory=list)

    @property
    def workloads(self) -> list[Workload]:
        """One workload for each node, in order; the same workload may stand there more than once."""
        return [node.workload for node in self.nodes]

    def producer(self, value: Value) -> Node | None:
        """The node that writes a value; none writes the input."""
        index = value.index
        for node in self.nodes:  # plain loops: a search predicts thousands of networks
            for output in node.outputs:
                if output.index == index:
                    return node
        return None

    def readers(self, value: Value) -> list[Node]:
        """The nodes that read a value."""
        index, found = value.index, []
        for node in self.nodes:
            for read in node.inputs:
                if read.index == index:
                    found.append(node)
                    break
        return found

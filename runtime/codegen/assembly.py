"""Assembles a graph into one compiled unit: a function ``network`` that calls each kernel in turn.

``network(input, constants, workspace, output)`` is machine code from end to end: the kernels are functions
of the same library, each compiled once however often it is called, and each the very function that the
latency table timed. All memory comes in as arguments, aligned to 64 bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.codegen.calls import byte_block, calling_function, kernel_call
from runtime.codegen.kernel_functions import (
    best_schedule,
    direct_kernel,
    needed_flags,
    parameters,
    schedule_symbol,
)
from runtime.codegen.layout import Constant, Layout, lay_out
from runtime.codegen.linking import asking_source, link
from runtime.graph import Graph
from runtime.target import cpu_of
from runtime.tvm_types import PrimFunc
from runtime.workload import Workload

ENTRY = "network"


@dataclass(frozen=True)
class Assembly:
    """What ``assemble`` made beside the library: constants and the sizes of the blocks, in bytes.

    ``flags`` are the instruction sets that it needs beyond what all code for the target may use.
    """

    constants: tuple[Constant, ...]
    constant_bytes: int
    workspace_bytes: int
    live_bytes: int
    flags: frozenset[str]


def assemble(
    graph: Graph, target: str, library: Path, schedules: Mapping[str, str], threads: int = 1
) -> Assembly:
    """Compile a graph for a target, to be run by ``threads``, into the shared library at ``library``.

    ``schedules`` are by the workload's key; what it lacks is made by the most promising schedule.
    """
    layout = lay_out(graph, cpu_of(target))
    chosen = {w: best_schedule(w, target, schedules.get(w.key, "")) for w in dict.fromkeys(graph.workloads)}
    parts = [direct_kernel(w, target, schedule, threads) for w, schedule in chosen.items()]
    symbols = {w: schedule_symbol(w, schedule) for w, schedule in chosen.items()}
    flags = frozenset().union(*(needed_flags(w, target, schedule) for w, schedule in chosen.items()))
    parts.append({ENTRY: _entry_function(graph, layout, symbols, target)})
    link(parts, [ENTRY], target, library, threads, source=asking_source(flags))
    sizes = layout.constant_bytes, layout.workspace_bytes, layout.live_bytes
    return Assembly(tuple(layout.constants), *sizes, flags)


def _entry_function(graph: Graph, layout: Layout, symbols: Mapping[Workload, str], target: str) -> PrimFunc:
    """The function ``network``: one direct call for each node."""
    from tvm import tirx

    blocks = {
        "input": tirx.decl_buffer(graph.input.shape, "float32", name="input"),
        "constants": byte_block("constants", layout.constant_bytes),
        "workspace": byte_block("workspace", layout.workspace_bytes),
        "output": tirx.decl_buffer(graph.output.shape, "float32", name="output"),
    }
    calls = [
        kernel_call(symbols[node.workload], parameters(node.workload, target), places, blocks)
        for node, places in zip(graph.nodes, layout.places, strict=True)
    ]
    return calling_function(ENTRY, blocks, calls)

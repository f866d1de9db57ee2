"""Assembles a graph into one compiled unit: a function ``network`` that calls each kernel in turn.

``network(input, constants, workspace, output)`` is machine code from end to end: the kernels are functions
of the same library, each compiled once however often it is called, and each the very function that the
latency table timed. All memory comes in as arguments, aligned to 64 bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.codegen.direct import DIRECT, call
from runtime.codegen.linking import inner_name, link, load
from runtime.codegen.objects import Functions
from runtime.codegen.pipeline import KERNEL
from runtime.codegen.planning import Lifetime, aligned, largest_live_set, plan
from runtime.codegen.sharing import THREADS
from runtime.graph import Graph, Node, Value
from runtime.kernels.base import Buffer, kernel_for
from runtime.kernels.schedule import Tile
from runtime.target import cpu_of
from runtime.workload import Workload
from search_spaces.errors import InvalidInput

ENTRY = "network"
ONCE = "_once"
TIMED_C = Path(__file__).with_name("timed.c")
ALONE = ("workspace", "constants")  # the memory of a kernel that is timed alone


@dataclass(frozen=True)
class Constant:
    """A packed tensor and its place in the constants' block, in bytes."""

    name: str
    array: NDArray[Any]
    offset: int


@dataclass(frozen=True)
class Assembly:
    """What ``assemble`` made beside the library: constants and the sizes of the blocks, in bytes."""

    constants: tuple[Constant, ...]
    constant_bytes: int
    workspace_bytes: int
    live_bytes: int


@dataclass
class Layout:
    """Where each buffer of each node lies: the block's name and the offset in it."""

    places: list[dict[str, tuple[str, int]]]
    constants: list[Constant]
    constant_bytes: int = 0
    workspace_bytes: int = 0
    live_bytes: int = 0


def compile_kernels(workloads: list[Workload], target: str, threads: int = 1) -> Any:
    """A module with one function, named by its symbol, for each distinct workload."""
    functions = {
        w.symbol: kernel_function(w, target, w.symbol, "", threads) for w in dict.fromkeys(workloads)
    }
    return load(functions, target, threads)


def link_schedules(
    workloads: Sequence[Workload],
    target: str,
    most: int,
    library: Path,
    threads: int = 1,
    schedules: Mapping[str, str] | None = None,
    on_part: Callable[[], None] = lambda: None,
) -> list[dict[str, str]]:
    """Compile kernels, each in its ``most`` promising schedules, into ``library``: functions by schedule.

    One whose key is in ``schedules`` is compiled in that one only. ``on_part`` is called before each.

    Each calls the kernel ``count`` times as a network would, ``f(workspace, constants, count)``, on the two
    blocks of ``blocks_of``; with ``ONCE`` behind its name, ``f_once(workspace, constants)`` does so once.
    """
    parts: list[Functions] = []
    source = [TIMED_C.read_text(encoding="utf-8")]
    given = schedules or {}
    found = []
    for workload in workloads:
        tiles = kernel_for(workload).tiles(workload, cpu_of(target))[:most]
        chosen = [given[workload.key]] if workload.key in given else [str(t) for t in tiles] or [""]
        parts += [_direct(workload, target, schedule, threads) for schedule in chosen]
        names = {schedule: f"alone_{workload.symbol}_{schedule}" for schedule in chosen}
        source += [_timed(name, workload, schedule, threads) for schedule, name in names.items()]
        found.append(names)
    entries = [name + end for names in found for name in names.values() for end in ("", ONCE)]
    link(
        parts, entries, target, library, threads, has_symbols=True, source="\n".join(source), on_part=on_part
    )
    return found


def code_symbol(workload: Workload, schedule: str) -> str:
    """The symbol of a kernel's own code in the library of ``link_schedules``."""
    return f"{_symbol(workload, schedule)}_compute_"


def _symbol(workload: Workload, schedule: str) -> str:
    """The symbol of a kernel in a schedule; a kernel is the same code wherever it is linked."""
    return f"{workload.symbol}_{schedule}" if schedule else workload.symbol


def _timed(name: str, workload: Workload, schedule: str, threads: int) -> str:
    """In C, the functions that time a kernel."""
    blocks = dict(zip(ALONE, blocks_of(workload), strict=True))
    places = {
        name: f"{block} + {offset}" for block, b in blocks.items() for name, offset in b.offsets.items()
    }
    symbol, own = _symbol(workload, schedule), inner_name(name) if threads > 1 else name
    addresses = ", ".join(places[buffer.name] for buffer in parameters(workload))
    return f"extern int32_t {symbol}();\nTIMED({own}, {symbol}({addresses}))"


def link_sequence(workloads: Sequence[Workload], target: str, name: str, library: Path) -> None:
    """Compile kernels and one function that calls each in turn, ``f(workspace, constants, count)``.

    They work on the blocks of ``blocks_of``, those of all kernels one after the other.
    """
    schedules = {w: _best(w, target, "") for w in workloads}
    parts = [_direct(w, target, schedule) for w, schedule in schedules.items()]
    ends = dict.fromkeys(ALONE, 0)
    found: list[dict[str, tuple[str, int]]] = []
    for workload in workloads:
        places: dict[str, tuple[str, int]] = {}
        for block, own in zip(ALONE, blocks_of(workload), strict=True):
            places |= {buffer: (block, ends[block] + offset) for buffer, offset in own.offsets.items()}
            ends[block] += own.nbytes
        found.append(places)
    memory = {block: _bytes(block, end) for block, end in ends.items()}
    calls = [
        _call(_symbol(w, schedules[w]), w, places, memory) for w, places in zip(workloads, found, strict=True)
    ]
    link([*parts, {name: _repeated(name, memory, calls)}], [name], target, library, threads=1)


@dataclass(frozen=True)
class Block:
    """Memory in which buffers lie; ``offsets`` are in bytes, by the buffer's name."""

    nbytes: int
    offsets: dict[str, int]

    def parts(self, workload: Workload) -> list[tuple[int, tuple[int, ...], str]]:
        """Offset, shape and dtype of each buffer."""
        found = {b.name: b for b in parameters(workload)}
        return [(offset, found[name].shape, found[name].dtype) for name, offset in self.offsets.items()]


def blocks_of(workload: Workload) -> tuple[Block, Block]:
    """Where the buffers of a kernel that is timed alone lie, as in a network: workspace, constants."""
    workspace = [b for b in parameters(workload) if b.role != "constant"]
    offsets, nbytes = plan([Lifetime(b.nbytes, 0, 0) for b in workspace])
    found = Block(nbytes, {b.name: offset for b, offset in zip(workspace, offsets, strict=True)})
    constants, end = {}, 0
    for buffer in parameters(workload):
        if buffer.role == "constant":
            constants[buffer.name] = end
            end += aligned(buffer.nbytes)
    return found, Block(end, constants)


def assemble(
    graph: Graph, target: str, library: Path, schedules: Mapping[str, str], threads: int = 1
) -> Assembly:
    """Compile a graph for a target, to be run by ``threads``, into the shared library at ``library``.

    ``schedules`` are by the workload's key; what it lacks is made by the most promising schedule.
    """
    layout = lay_out(graph)
    chosen = {w: _best(w, target, schedules.get(w.key, "")) for w in dict.fromkeys(graph.workloads)}
    parts = [_direct(w, target, schedule, threads) for w, schedule in chosen.items()]
    symbols = {w: _symbol(w, schedule) for w, schedule in chosen.items()}
    link([*parts, {ENTRY: _entry_function(graph, layout, symbols)}], [ENTRY], target, library, threads)
    return Assembly(tuple(layout.constants), layout.constant_bytes, layout.workspace_bytes, layout.live_bytes)


def kernel_function(workload: Workload, target: str, name: str, schedule: str, threads: int = 1) -> Any:
    """The ``PrimFunc`` of a kernel, in a schedule that was measured or the most promising one (empty)."""
    function = kernel_for(workload).prim_func(workload, cpu_of(target), _tile(workload, target, schedule))
    return function.with_attr({"global_symbol": name, KERNEL: 1, THREADS: threads})


def _direct(workload: Workload, target: str, schedule: str, threads: int = 1) -> Functions:
    """A kernel that takes addresses, by its symbol."""
    symbol = _symbol(workload, schedule)
    return {symbol: kernel_function(workload, target, symbol, schedule, threads).with_attr(DIRECT, 1)}


def _best(workload: Workload, target: str, schedule: str) -> str:
    """A schedule, or where none is named the most promising one, if there are several."""
    return schedule or next(map(str, kernel_for(workload).tiles(workload, cpu_of(target))), "")


def _tile(workload: Workload, target: str, schedule: str) -> Tile | None:
    if not schedule:
        return None
    known = kernel_for(workload).tiles(workload, cpu_of(target))
    for tile in known:
        if str(tile) == schedule:
            return tile
    fix = f"choose among {', '.join(map(str, known[:8]))}" if known else "leave it out"
    raise InvalidInput("schedules", f"'{schedule}' is no schedule of {workload.key}", fix)


def lay_out(graph: Graph) -> Layout:
    """Place constants one after the other, and activations and scratch by their lifetimes."""
    layout = Layout([{} for _ in graph.nodes], [])
    lifetimes: list[Lifetime] = []
    users: list[list[tuple[int, str]]] = []  # for each lifetime, the (node, buffer name) pairs it serves
    by_value: dict[int, int] = {}
    for step, node in enumerate(graph.nodes):
        buffers, constants = kernel_for(node.workload).buffers(node.workload), node.constants
        inputs, outputs = iter(node.inputs), iter(node.outputs)
        for buffer in buffers:
            place = step, buffer.name
            if buffer.role == "constant":
                layout.places[step][buffer.name] = (
                    "constants",
                    _add_constant(layout, f"{node.name}.{buffer.name}", buffer, constants[buffer.name]),
                )
            elif buffer.role == "scratch":
                lifetimes.append(Lifetime(buffer.nbytes, step, step))
                users.append([place])
            elif buffer.role == "input":
                value = next(inputs)
                if value.index in (graph.input.index, graph.output.index):
                    block = "input" if value.index == graph.input.index else "output"
                    layout.places[step][buffer.name] = block, 0
                else:
                    users[by_value[value.index]].append(place)
            elif (result := next(outputs)).index == graph.output.index:
                layout.places[step][buffer.name] = "output", 0
            else:
                by_value[result.index] = len(lifetimes)
                last = max((i for i, n in enumerate(graph.nodes) if _reads(n, result)), default=step)
                lifetimes.append(Lifetime(buffer.nbytes, step, last))
                users.append([place])
    offsets, layout.workspace_bytes = plan(lifetimes)
    layout.live_bytes = largest_live_set(lifetimes)
    for offset, places in zip(offsets, users, strict=True):
        for step, name in places:
            layout.places[step][name] = "workspace", offset
    return layout


def _reads(reader: Node, result: Value) -> bool:
    return any(value.index == result.index for value in reader.inputs)


def _add_constant(layout: Layout, name: str, buffer: Buffer, values: NDArray[Any]) -> int:
    array = np.ascontiguousarray(values, dtype=buffer.dtype).reshape(buffer.shape)
    offset = layout.constant_bytes
    layout.constants.append(Constant(name, array, offset))
    layout.constant_bytes += aligned(array.nbytes)
    return offset


def _entry_function(graph: Graph, layout: Layout, symbols: Mapping[Workload, str]) -> Any:
    """The function ``network``: one direct call for each node."""
    from tvm import tirx

    blocks = {
        "input": tirx.decl_buffer(graph.input.shape, "float32", name="input"),
        "constants": _bytes("constants", layout.constant_bytes),
        "workspace": _bytes("workspace", layout.workspace_bytes),
        "output": tirx.decl_buffer(graph.output.shape, "float32", name="output"),
    }
    calls = [
        _call(symbols[node.workload], node.workload, places, blocks)
        for node, places in zip(graph.nodes, layout.places, strict=True)
    ]
    return _function(ENTRY, blocks, calls)


def _bytes(name: str, nbytes: int) -> Any:
    from tvm import tirx

    return tirx.decl_buffer((max(1, nbytes),), "uint8", name=name)


def _function(name: str, blocks: Mapping[str, Any], calls: list[Any]) -> Any:
    from tvm import tirx

    return tirx.PrimFunc(list(blocks.values()), _in_turn(calls)).with_attr("global_symbol", name)


def _in_turn(calls: list[Any]) -> Any:
    from tvm import tirx

    return calls[0] if len(calls) == 1 else tirx.SeqStmt(calls)


def _repeated(name: str, blocks: Mapping[str, Any], calls: list[Any]) -> Any:
    """A function that makes calls as often as its last argument tells."""
    from tvm import tirx

    count, step = tirx.Var("count", "int32"), tirx.Var("step", "int32")
    body = tirx.For(step, 0, count, tirx.ForKind.SERIAL, _in_turn(calls))
    return tirx.PrimFunc([*blocks.values(), count], body).with_attr("global_symbol", name)


def _call(
    symbol: str, workload: Workload, places: Mapping[str, tuple[str, int]], blocks: Mapping[str, Any]
) -> Any:
    """A direct call of a kernel with the addresses of its buffers."""
    found = [places[b.name] for b in parameters(workload)]
    return call(symbol, [_address(blocks[block], offset) for block, offset in found])


def parameters(workload: Workload) -> tuple[Buffer, ...]:
    """The parameters of the compiled kernel, in order: inputs, constants, scratch, output."""
    return kernel_for(workload).buffers(workload)


def _address(block: Any, offset: int) -> Any:
    """Of what starts ``offset`` bytes into a block."""
    from tvm import tirx

    start = [offset] if len(block.shape) == 1 else [0] * len(block.shape)
    return tirx.address_of(tirx.BufferLoad(block, start))

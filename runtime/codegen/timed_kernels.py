"""Kernels that are timed alone, linked into a library that calls each as a network would."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.codegen.calls import byte_block, kernel_call, repeating_function
from runtime.codegen.kernel_functions import (
    best_schedule,
    direct_kernel,
    needed_flags,
    parameters,
    schedule_symbol,
)
from runtime.codegen.linking import asking_source, inner_name, link
from runtime.codegen.objects import Functions
from runtime.codegen.planning import Lifetime, aligned, plan
from runtime.kernels.base import Buffer, kernel_for
from runtime.target import cpu_of
from runtime.workload import Workload

TIMED_C = Path(__file__).with_name("timed.c")
SINGLE_CALL = "_once"
"""What follows a timed function's name in that of the one that calls the kernel a single time."""
TIMED_BLOCKS = ("workspace", "constants")
"""The blocks of memory that a timed function takes, in order."""


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
    blocks of ``blocks_of``; the one with ``SINGLE_CALL`` behind its name, ``f_once(workspace, constants)``,
    calls it once.
    """
    parts: list[Functions] = []
    source = [TIMED_C.read_text(encoding="utf-8")]
    given = schedules or {}
    found = []
    flags: set[str] = set()
    for workload in workloads:
        tiles = kernel_for(workload).tiles(workload, cpu_of(target))[:most]
        chosen = [given[workload.key]] if workload.key in given else [str(t) for t in tiles] or [""]
        parts += [direct_kernel(workload, target, schedule, threads) for schedule in chosen]
        names = {schedule: f"alone_{workload.symbol}_{schedule}" for schedule in chosen}
        source += [_timed(name, workload, schedule, target, threads) for schedule, name in names.items()]
        found.append(names)
        flags |= {flag for schedule in chosen for flag in needed_flags(workload, target, schedule)}
    source.append(asking_source(flags))
    entries = [name + end for names in found for name in names.values() for end in ("", SINGLE_CALL)]
    link(
        parts, entries, target, library, threads, has_symbols=True, source="\n".join(source), on_part=on_part
    )
    return found


def code_symbol(workload: Workload, schedule: str) -> str:
    """The symbol of a kernel's own code in the library of ``link_schedules``."""
    return f"{schedule_symbol(workload, schedule)}_compute_"


def _timed(name: str, workload: Workload, schedule: str, target: str, threads: int) -> str:
    """In C, the functions that time a kernel."""
    blocks = dict(zip(TIMED_BLOCKS, blocks_of(workload, target), strict=True))
    places = {
        name: f"{block} + {offset}" for block, b in blocks.items() for name, offset in b.offsets.items()
    }
    symbol, own = schedule_symbol(workload, schedule), inner_name(name) if threads > 1 else name
    addresses = ", ".join(places[buffer.name] for buffer in parameters(workload, target))
    return f"extern int32_t {symbol}();\nTIMED({own}, {symbol}({addresses}))"


def link_sequence(workloads: Sequence[Workload], target: str, name: str, library: Path) -> None:
    """Compile kernels and one function that calls each in turn, ``f(workspace, constants, count)``.

    They work on the blocks of ``blocks_of``, those of all kernels one after the other.
    """
    schedules = {w: best_schedule(w, target, "") for w in workloads}
    parts = [direct_kernel(w, target, schedule) for w, schedule in schedules.items()]
    ends = dict.fromkeys(TIMED_BLOCKS, 0)
    found: list[dict[str, tuple[str, int]]] = []
    for workload in workloads:
        places: dict[str, tuple[str, int]] = {}
        for block, own in zip(TIMED_BLOCKS, blocks_of(workload, target), strict=True):
            places |= {buffer: (block, ends[block] + offset) for buffer, offset in own.offsets.items()}
            ends[block] += own.nbytes
        found.append(places)
    memory = {block: byte_block(block, end) for block, end in ends.items()}
    calls = [
        kernel_call(schedule_symbol(w, schedules[w]), parameters(w, target), places, memory)
        for w, places in zip(workloads, found, strict=True)
    ]
    link([*parts, {name: repeating_function(name, memory, calls)}], [name], target, library, threads=1)


@dataclass(frozen=True)
class Block:
    """Memory in which buffers lie, each at its offset in bytes."""

    nbytes: int
    buffers: dict[Buffer, int]

    @property
    def offsets(self) -> dict[str, int]:
        """The offsets by the buffers' names."""
        return {buffer.name: offset for buffer, offset in self.buffers.items()}

    @property
    def parts(self) -> list[tuple[int, tuple[int, ...], str]]:
        """Offset, shape and dtype of each buffer."""
        return [(offset, buffer.shape, buffer.dtype) for buffer, offset in self.buffers.items()]


def blocks_of(workload: Workload, target: str) -> tuple[Block, Block]:
    """Where the buffers of a kernel that is timed alone lie, as in a network: workspace, constants."""
    found = parameters(workload, target)
    workspace = [b for b in found if b.role != "constant"]
    offsets, nbytes = plan([Lifetime(b.nbytes, 0, 0) for b in workspace])
    constants, end = {}, 0
    for buffer in found:
        if buffer.role == "constant":
            constants[buffer] = end
            end += aligned(buffer.nbytes)
    return Block(nbytes, dict(zip(workspace, offsets, strict=True))), Block(end, constants)

"""The TVM functions of kernels in a schedule, their names and their parameters."""

from runtime.codegen.direct import DIRECT_ATTRIBUTE
from runtime.codegen.objects import Functions
from runtime.codegen.pipeline import KERNEL
from runtime.codegen.sharing import THREADS
from runtime.kernels.base import Buffer, kernel_for
from runtime.kernels.schedule import Tile
from runtime.target import cpu_of
from runtime.tvm_types import PrimFunc
from runtime.workload import Workload
from search_spaces.errors import InvalidInput


def parameters(workload: Workload, target: str) -> tuple[Buffer, ...]:
    """The parameters of the compiled kernel, in order: inputs, constants, scratch, output."""
    return kernel_for(workload).arguments(workload, cpu_of(target))


def kernel_function(workload: Workload, target: str, name: str, schedule: str, threads: int = 1) -> PrimFunc:
    """The ``PrimFunc`` of a kernel, in a schedule that was measured or the most promising one (empty)."""
    function = kernel_for(workload).prim_func(workload, cpu_of(target), _tile(workload, target, schedule))
    return function.with_attr({"global_symbol": name, KERNEL: 1, THREADS: threads})


def direct_kernel(workload: Workload, target: str, schedule: str, threads: int = 1) -> Functions:
    """A kernel that takes addresses, by its symbol."""
    symbol = schedule_symbol(workload, schedule)
    return {
        symbol: kernel_function(workload, target, symbol, schedule, threads).with_attr(DIRECT_ATTRIBUTE, 1)
    }


def schedule_symbol(workload: Workload, schedule: str) -> str:
    """The symbol of a kernel in a schedule; a kernel is the same code wherever it is linked."""
    return f"{workload.symbol}_{schedule}" if schedule else workload.symbol


def best_schedule(workload: Workload, target: str, schedule: str) -> str:
    """A schedule, or where none is named the most promising one, if there are several."""
    return schedule or next(map(str, kernel_for(workload).tiles(workload, cpu_of(target))), "")


def needed_flags(workload: Workload, target: str, schedule: str) -> frozenset[str]:
    """Instruction sets that a schedule needs beyond what all code for the target may use."""
    tile = _tile(workload, target, schedule)
    return frozenset() if tile is None else tile.flags


def _tile(workload: Workload, target: str, schedule: str) -> Tile | None:
    if not schedule:
        return None
    known = kernel_for(workload).tiles(workload, cpu_of(target))
    for tile in known:
        if str(tile) == schedule:
            return tile
    fix = f"choose among {', '.join(map(str, known[:8]))}" if known else "leave it out"
    raise InvalidInput("schedules", f"'{schedule}' is no schedule of {workload.key}", fix)

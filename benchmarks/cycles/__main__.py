"""``python -m benchmarks.cycles``: cycles of inner loops on ARM and x86 CPUs, as llvm-mca predicts them."""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.command import Command, NewFile
from benchmarks.cycles import mca
from benchmarks.cycles.loops import Kind, Loop, hottest_loop
from runtime.codegen.kernel_functions import direct_kernel
from runtime.codegen.objects import build
from runtime.cpu import BitCount
from runtime.kernels.base import kernel_for
from runtime.kernels.weight_layouts import planes_of
from runtime.kernels.winograd_forms import OUT, POSITIONS, WinogradTile
from runtime.target import cpu_of
from runtime.workload import BitserialConv2d, Conv2d
from search_spaces.errors import BitnasError

PRODUCTS = 128
SAVED = OUT * OUT * 3 * 3 / POSITIONS
"""Products of windows for each that Winograd's tiles take."""
ARM = (
    "aarch64/cortex-a53",
    "aarch64/cortex-a72",
    "aarch64/cortex-a76",
    "aarch64/cortex-a510",
    "aarch64/neoverse-n2+i8mm",
    "aarch64/neoverse-v1",
    "armv7/cortex-a57",
)
X86 = ("haswell", "znver3", "skylake-avx512", "sapphirerapids") if platform.machine() == "x86_64" else ()
WORKS = ("binary", "ternary", "ternary, two scales", "int8", "int8-7", "ternary x int8", "float")


@dataclass(frozen=True)
class Row:
    """What was found of one kernel for one CPU.

    Attributes:
        target: as ``runtime.compile`` takes it.
        work: which kernel.
        schedule: its register tile.
        instructions: of one step of its inner loop.
        products: of one step.
        cycles: per 128 products.
    """

    target: str
    work: str
    schedule: str
    instructions: int
    products: int
    cycles: float


def workloads(channels: int, window: int) -> dict[str, tuple[BitserialConv2d | Conv2d, Kind]]:
    """Convolutions on 28x28 pixels, and what each multiplies."""
    shape = (1, 28, 28, window, 1, window // 2, channels, channels, 1)
    return {
        "binary": (BitserialConv2d(*shape, "binary"), "bits"),
        "ternary": (BitserialConv2d(*shape, "ternary", symmetric=True), "bits"),
        "ternary, two scales": (BitserialConv2d(*shape, "ternary"), "bits"),
        "int8": (Conv2d(*shape, "int8", "uint8"), "bytes"),
        "int8-7": (Conv2d(*shape, "int8", "uint7"), "bytes"),
        "ternary x int8": (Conv2d(*shape, "ternary", "uint8"), "bytes"),
        "float": (Conv2d(*shape, "float", "float"), "floats"),
    }


def rows(target: str, channels: int, window: int, most: int, only: str = "") -> Iterator[Row]:
    """The fastest of the ``most`` promising schedules of each kernel for a target.

    Raises:
        BitnasError: a kernel has no loop that multiplies.
    """
    for work, (workload, kind) in workloads(channels, window).items():
        if only not in work:
            continue
        counts = _counts(workload, target) if isinstance(workload, BitserialConv2d) else 1
        found = []
        for tile in kernel_for(workload).tiles(workload, cpu_of(target))[:most]:
            loop = _loop(workload, target, str(tile), kind)
            products = round(loop.products / counts * (SAVED if isinstance(tile, WinogradTile) else 1))
            cycles = mca.cycles(loop, target) * PRODUCTS / products
            found.append(Row(target, work, str(tile), len(loop.instructions), products, cycles))
        yield min(found, key=lambda row: row.cycles)


def _counts(workload: BitserialConv2d, target: str) -> int:
    """How often a bit of the input is counted for each product."""
    layout = planes_of(workload)
    is_looked_up = cpu_of(target).bit_count is BitCount.LOOKUPS
    return layout.sums(workload) * (len(layout.lookups(workload, 0)) if is_looked_up else 1)


def _loop(workload: BitserialConv2d | Conv2d, target: str, schedule: str, kind: Kind) -> Loop:
    assembly = build(direct_kernel(workload, target, schedule), target).mod.inspect_source("s")
    loop = hottest_loop(assembly, kind)
    if loop is None:
        raise BitnasError(f"cycles: no loop of {workload.key} multiplies {kind} on '{target}'")
    return loop


@click.command(cls=Command)
@click.option(
    "--target", "targets", multiple=True, help="A CPU, as runtime.compile takes it; may be repeated."
)
@click.option("--only", default="", help=f"Kernels whose name holds this: {'; '.join(WORKS)}.")
@click.option("--channels", type=click.IntRange(1), default=128, show_default=True, help="In and out.")
@click.option("--window", type=click.IntRange(1), default=3, show_default=True, help="Its side, in pixels.")
@click.option(
    "--schedules", type=click.IntRange(1), default=1, show_default=True, help="Take the best of so many."
)
@click.option("--json", "path", type=NewFile(), help="Write the figures here, too.")
def main(
    targets: tuple[str, ...], only: str, channels: int, window: int, schedules: int, path: Path | None
) -> None:
    """Cycles per 128 products of the inner loops of convolutions on 28x28 pixels.

    Nothing is run: a loop is taken from the code that is compiled for a CPU, and llvm-mca predicts its time
    there, as if all memory were in the first cache. What is outside of the loop, such as the widening of
    narrow sums on x86, is not counted.
    """
    if not any(only in work for work in WORKS):
        raise click.BadParameter(
            f"no kernel holds '{only}'; choose from {'; '.join(WORKS)}", param_hint="--only"
        )
    version = mca.version()
    of_each = (rows(target, channels, window, schedules, only) for target in targets or (*ARM, *X86))
    found = [row for own in of_each for row in own]
    today = datetime.now(UTC).date().isoformat()
    about = {"llvm-mca": version, "date": today, "channels": channels, "window": window}
    if path is not None:
        told = {**about, "rows": [asdict(row) for row in found]}
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    console = Console(width=None if Console().is_terminal else 120)
    console.print(", ".join(f"{key} {value}" for key, value in about.items()))
    console.print(table(found))


def table(found: list[Row]) -> Table:
    """A line a CPU, a column a kernel, with its register tile."""
    works = list(dict.fromkeys(row.work for row in found))
    shown = Table(box=None, header_style="bold")
    shown.add_column("cycles per 128 products")
    for work in works:
        shown.add_column(work, justify="right")
    for target in dict.fromkeys(row.target for row in found):
        own = {row.work: row for row in found if row.target == target}
        shown.add_row(target, *(f"{own[work].cycles:.2f} ({own[work].schedule})" for work in works))
    return shown


if __name__ == "__main__":
    main()

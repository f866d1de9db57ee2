"""``python -m benchmarks.bits``: products of bits by looking them up, beside those by words, for x86 CPUs."""

from dataclasses import replace

import click
import numpy as np
import tvm

from benchmarks.command import Command, require_runs
from benchmarks.ours import giga_macs, timed
from benchmarks.race import Effort, Run, race
from runtime.codegen.objects import build
from runtime.codegen.pipeline import KERNEL
from runtime.cpu import BitCount, Cpu
from runtime.kernels.base import kernel_for
from runtime.target import cpu_of
from runtime.workload import BitserialConv2d
from search_spaces.errors import InvalidInput

LAYERS = (
    *((56, 64, 64, 3), (28, 128, 128, 3), (14, 256, 256, 3), (7, 512, 512, 3)),
    *((32, 16, 16, 3), (16, 32, 32, 3), (8, 64, 64, 3), (28, 128, 256, 1)),
)
"""Pixels of a side, input and output channels, and the window's side: those of ResNet-18 and ResNet-20."""
CODES = {"binary": ("binary", False), "ternary": ("ternary", True), "two scales": ("ternary", False)}
SAMPLE_MS = 2.0
LOOKED_UP = "ssse3"
"""The instruction set without which bits are counted by words."""


def workload_of(layer: tuple[int, int, int, int], code: str) -> BitserialConv2d:
    """The convolution of a layer, which writes bits."""
    side, inputs, outputs, window = layer
    weight, is_symmetric = CODES[code]
    shape = (1, side, side, window, 1, window // 2, inputs, outputs, 1)
    return BitserialConv2d(*shape, weight, is_symmetric, output="binary")


def speeds(layer: tuple[int, int, int, int], target: str, schedules: int, effort: Effort) -> dict[str, float]:
    """Billions of products a second by code, and of binary weights by ``words``."""
    cpu = cpu_of(target)
    runs = {code: _by_schedule(workload_of(layer, code), cpu, target, schedules) for code in CODES}
    without = replace(cpu, flags=cpu.flags - {LOOKED_UP})
    runs["words"] = _by_schedule(workload_of(layer, "binary"), without, target, schedules)
    times = race({f"{n} {s}": run for n, own in runs.items() for s, run in own.items()}, effort)
    best = {name: min(times[f"{name} {schedule}"] for schedule in own) for name, own in runs.items()}
    return {name: giga_macs(workload_of(layer, "binary"), ms) for name, ms in best.items()}


def _by_schedule(workload: BitserialConv2d, cpu: Cpu, target: str, most: int) -> dict[str, Run]:
    kernel, values = kernel_for(workload), np.random.default_rng(0)
    arrays = [values.integers(0, 127, b.shape).astype(b.dtype) for b in kernel.arguments(workload, cpu)]
    tensors = [tvm.runtime.tensor(array) for array in arrays]
    found = {}
    for tile in kernel.tiles(workload, cpu)[:most]:
        function = kernel.prim_func(workload, cpu, tile).with_attr({"global_symbol": "kernel", KERNEL: 1})
        found[str(tile)] = timed(build({"kernel": function}, target).mod, "kernel", tensors)
    return found


@click.command(cls=Command)
@click.option("--target", default="x86-64-v3", show_default=True, help="What the kernels are compiled for.")
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="Turns of each.")
@click.option("--schedules", type=click.IntRange(1), default=3, show_default=True, help="Of each kernel.")
def main(target: str, rounds: int, schedules: int) -> None:
    """Print billions of products a second of each kernel's fastest schedule, on one thread, as a table."""
    if cpu_of(target).bit_count is not BitCount.LOOKUPS:
        fix = "choose one that looks bits up: x86-64-v2, x86-64-v3 or x86-64-v4"
        raise InvalidInput("target", f"code for '{target}' counts bits by words", fix)
    require_runs(target)
    print("| pixels | channels | window | words | binary | ternary | ternary, two scales |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for layer in LAYERS:
        side, inputs, outputs, window = layer
        found = speeds(layer, target, schedules, Effort(rounds, SAMPLE_MS))
        cells = [f"{side}x{side}", f"{inputs} to {outputs}", f"{window}x{window}", f"{found['words']:.0f}"]
        cells += [f"{found[code]:.0f} ({found[code] / found['words']:.1f}x)" for code in CODES]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

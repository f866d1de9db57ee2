"""``python -m benchmarks.targets``: bytes beside floats in code for this CPU and for older ones."""

import platform
from dataclasses import replace

import click

from benchmarks.ours import kernel_for_target
from benchmarks.race import Effort, race
from runtime.cpu import Cpu
from runtime.kernels import kernel_for
from runtime.kernels.amx_forms import AmxTile
from runtime.kernels.byte_products import byte_dot_for
from runtime.kernels.depthwise_words import words_for
from runtime.kernels.winograd_forms import WinogradTile
from runtime.target import cpu_of, missing_flags, required_flags
from runtime.workload import Conv2d, DepthwiseConv2d

OLDER = ("alderlake", "x86-64-v4", "x86-64-v3", "x86-64-v2") if platform.machine() == "x86_64" else ()
FLOAT = Conv2d(1, 28, 28, 3, 1, 1, 128, 128, 1, "float", "float")
DEPTHWISE = DepthwiseConv2d(1, 28, 28, 3, 1, 1, 128, "float", "float")
CONVOLUTIONS = {
    "float": FLOAT,
    "int8": replace(FLOAT, weight="int8", input="uint8"),
    "int8-7": replace(FLOAT, weight="int8", input="uint7"),
    "ternary": replace(FLOAT, weight="ternary", input="uint8"),
    "dorefa8": replace(FLOAT, weight="dorefa8", input="uint8"),
}
BYTES_OUT = {"input": "uint8", "output": "uint8", "arithmetic": "integer"}
DEPTHWISE_ONES = {"float": DEPTHWISE, "int8": replace(DEPTHWISE, weight="int8", **BYTES_OUT)}


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="Turns of each.")
@click.option(
    "--least", is_flag=True, help="Tell the least times, of short turns: for a machine with other work."
)
def main(rounds: int, least: bool) -> None:
    """Time 3x3 convolutions of 128 channels on 28x28 pixels in turns, on one thread; ratios to float.

    The most promising schedule of each is timed. Depthwise ones of bytes write bytes.
    """
    effort = Effort(rounds, sample_ms=1, least=True) if least else Effort(rounds)
    for target in ("native", *OLDER):
        if missing_flags(required_flags(target)):
            print(f"{target}: skipped, this CPU lacks some of its instructions")
            continue
        told = []
        for kind, works in (("dense", CONVOLUTIONS), ("depthwise", DEPTHWISE_ONES)):
            runs = {name: kernel_for_target(work, target) for name, work in works.items()}
            found = race(runs, effort)
            told += [
                f"{kind} {name} {1e3 * found[name]:.1f} us ({found[name] / found['float']:.2f}"
                f"{way(works[name], cpu_of(target))})"
                for name in works
            ]
        print(f"{target}: {', '.join(told)}")


def way(work: Conv2d | DepthwiseConv2d, cpu: Cpu) -> str:
    """How a kernel multiplies bytes on a CPU, if it has any."""
    if work.input == "float":
        return ""
    tile = kernel_for(work).tiles(work, cpu)[0]
    if isinstance(tile, AmxTile):
        return "; amx"
    if isinstance(tile, WinogradTile):
        return f"; winograd, {tile.kind.name.lower()}"
    if isinstance(work, Conv2d):
        kind = byte_dot_for(work, cpu)
    else:
        words = words_for(work, cpu)
        kind = None if words is None else words.kind
    return "; one by one" if kind is None else f"; {kind.name.lower()}"


if __name__ == "__main__":
    main()

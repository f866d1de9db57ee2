"""``python -m benchmarks.targets``: bytes beside floats in code for this CPU and for older ones."""

import platform
from dataclasses import replace

import click

from benchmarks.ours import kernel_for_target
from benchmarks.race import Effort, race
from runtime.target import cpu_of, host_flags, required_flags
from runtime.workload import Conv2d

OLDER = ("x86-64-v4", "x86-64-v3", "x86-64-v2") if platform.machine() == "x86_64" else ()
FLOAT = Conv2d(1, 16, 16, 3, 1, 1, 32, 32, 1, "float", "float")
BYTES = {code: replace(FLOAT, weight=code, input="uint8") for code in ("int8", "ternary", "dorefa8")}


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="Turns of each.")
def main(rounds: int) -> None:
    """Time a 3x3 convolution of 32 channels on 16x16 pixels in turns, on one thread; ratios to float."""
    for target in ("native", *OLDER):
        if not set(required_flags(target)) <= host_flags():
            print(f"{target}: skipped, this CPU lacks some of its instructions")
            continue
        works = {"float": FLOAT, **BYTES}
        runs = {name: kernel_for_target(work, target) for name, work in works.items()}
        found = race(runs, Effort(rounds=rounds))
        told = [f"{name} {1e3 * found[name]:.1f} ({found[name] / found['float']:.2f})" for name in BYTES]
        way = cpu_of(target).byte_dot
        name = "no dot products" if way is None else way.name.lower()
        name = "amx" if cpu_of(target).has_amx else name
        print(f"{target}, {name}: float {1e3 * found['float']:.1f} us, {', '.join(told)}")


if __name__ == "__main__":
    main()

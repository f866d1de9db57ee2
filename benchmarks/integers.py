"""``python -m benchmarks.integers``: int8 networks in integers alone, and with floats between bytes."""

import time
from statistics import median
from unittest.mock import patch

import click
import numpy as np
import torch
from torch import nn

import runtime
import search_spaces
from runtime import CompiledNetwork

NETWORKS = {"resnet20": 32, "resnet20-dw": 32, "mobilenet-0.25": 96}
"""Names, and the sides of their images."""


def compiled(module: nn.Module, side: int, in_integers: bool) -> CompiledNetwork:
    """The network for one image on one thread."""
    if in_integers:
        return runtime.compile(module, (1, 3, side, side))
    with patch("runtime.lowering.fuse.use_integers", lambda graph: None):
        return runtime.compile(module, (1, 3, side, side))


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=31, show_default=True, help="Turns of each.")
@click.option("--runs", type=click.IntRange(1), default=100, show_default=True, help="Images a turn.")
def main(rounds: int, runs: int) -> None:
    """Time networks both ways in turns; medians of microseconds an image, on one thread."""
    for name, side in NETWORKS.items():
        torch.manual_seed(0)
        module = search_spaces.network(name, "int8", 10)
        module(torch.randn(8, 3, side, side))  # ranges of inputs are of images
        both = [compiled(module.eval(), side, in_integers) for in_integers in (True, False)]
        image = np.random.default_rng(0).standard_normal((1, 3, side, side), np.float32)
        times: list[list[float]] = [[], []]
        for _ in range(rounds):
            for network, own in zip(both, times, strict=True):
                started = time.perf_counter()
                for _ in range(runs):
                    network.run(image)
                own.append((time.perf_counter() - started) / runs * 1e6)
        integers, floats = map(median, times)
        print(
            f"{name}: {integers:.0f} us in integers, {floats:.0f} with floats, {integers / floats:.2f} times"
        )


if __name__ == "__main__":
    main()

"""``python -m benchmarks.networks``: published networks in every precision, trained, compiled and run."""

import sys
import time
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

import runtime
import search_spaces
from benchmarks.command import Command
from nas.export.rounding import rounded_otherwise
from search_spaces import precisions
from search_spaces.networks import networks
from search_spaces.plan import SCALE_CASES

SIDES = {"alexnet": 227, **{name: 64 for name in networks if name.startswith("squeezenet")}}
"""Sides of small images that networks take; 32 where nothing is said. Their layers are the same."""

CLASSES, IMAGES, STEPS = 10, 32, 2
CLOSE = 0.01
"""By how much of the largest logit another one may differ and be close."""

LEAST_CLOSE = 0.9
"""The share of the logits that is to be close, or as many as torch has in common with itself."""

TRIES, SLACK = 3, 0.2
"""Torch differs from itself with other rounding errors, in a mean of so many tries, and the compiled network
may differ from it in so many more."""


def trained(name: str, precision: str, side: int) -> nn.Module:
    """A network after a few steps, with the statistics of its batch norms, in eval mode."""
    torch.manual_seed(0)
    module = search_spaces.network(name, precision, CLASSES)
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(module(torch.randn(IMAGES, 3, side, side)), torch.arange(IMAGES) % CLASSES).backward()
        optimizer.step()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # the mean of all that it sees from now on
    with torch.no_grad():
        for _ in range(STEPS):
            module(torch.randn(IMAGES, 3, side, side))
    return module.eval()


def closeness(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The share of logits that are about the same."""
    scale = max(1.0, float(np.abs(expected).max()))
    return float((np.abs(found - expected) <= CLOSE * scale).mean())


def compared(name: str, precision: str) -> tuple[float, float]:
    """The share of logits in which the compiled network is close to torch, and torch to itself."""
    side = SIDES.get(name, 32)
    module = trained(name, precision, side)
    x = torch.randn(IMAGES, 3, side, side)
    found = runtime.compile(module, (1, 3, side, side)).run(x.numpy())
    with torch.no_grad():
        expected = module(x).numpy()
        with rounded_otherwise(module, torch.Generator().manual_seed(0)):
            others = [module(x).numpy() for _ in range(TRIES)]
    return closeness(found, expected), float(np.mean([closeness(other, expected) for other in others]))


@click.command(cls=Command)
@click.option("--only", multiple=True, help="A network; may be given again. All if not given.")
@click.option("--precision", multiple=True, help="A precision; likewise.")
def main(only: tuple[str, ...], precision: tuple[str, ...]) -> None:
    """Train, compile and run networks, and compare them with torch; exit code 1 where one differs."""
    failed = []
    for name in only or networks:
        for code in precision or (*precisions, *SCALE_CASES):
            if code in SCALE_CASES and networks.get(name).input_shape[1] != SIDES.get(name, 32):
                print(f"{name} {code}: skipped, its scales are for larger images", flush=True)
                continue
            started = time.perf_counter()
            close, own = compared(name, code)
            is_close = close >= min(LEAST_CLOSE, own - SLACK)
            failed += [] if is_close else [f"{name} {code}"]
            seconds = time.perf_counter() - started
            print(
                f"{name} {code}: {'agrees' if is_close else 'differs'}, {close:.1%} of the logits are close, "
                f"torch's with other rounding {own:.1%}, {seconds:.0f} s",
                flush=True,
            )
    if failed:
        print(f"Differ: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""``python -m benchmarks.networks``: published networks in every precision, trained, compiled and run."""

import sys
import time

import click
import numpy as np
import torch
import torch.nn.functional as F

import runtime
import search_spaces
from search_spaces import precisions
from search_spaces.networks import networks
from search_spaces.plan import SCALE_CASES

SIDES = {"alexnet": 227, "squeezenet1.0": 64, "squeezenet1.0-bypass": 64, "squeezenet1.1": 64}
"""Sides of small images that networks take; 32 where nothing is said. Their layers are the same."""

CLASSES, IMAGES, STEPS = 10, 16, 2
LEAST_CLOSE = 0.9
"""Of the logits: one that is behind a value at the edge of a step or a sign may be another than torch's."""

APPLY = [name for name in precisions if precisions.get(name).weight != "dorefa8"]
"""The precisions that kernels compute."""


def trained(name: str, precision: str, side: int) -> torch.nn.Module:
    """A network after a few steps, in eval mode."""
    torch.manual_seed(0)
    module = search_spaces.network(name, precision, CLASSES)
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(module(torch.randn(IMAGES, 3, side, side)), torch.arange(IMAGES) % CLASSES).backward()
        optimizer.step()
    return module.eval()


def closeness(name: str, precision: str) -> float:
    """The share of logits that the compiled network and torch agree on, to a hundredth."""
    side = SIDES.get(name, 32)
    module = trained(name, precision, side)
    x = torch.randn(IMAGES, 3, side, side)
    with torch.no_grad():
        expected = module(x).numpy()
    found = runtime.compile(module, (1, 3, side, side)).run(x.numpy())
    scale = max(1.0, float(np.abs(expected).max()))
    return float((np.abs(found - expected) <= 0.01 * scale).mean())


@click.command()
@click.option("--only", multiple=True, help="A network; may be given again. All if not given.")
@click.option("--precision", multiple=True, help="A precision; likewise.")
def main(only: tuple[str, ...], precision: tuple[str, ...]) -> None:
    """Train, compile and run networks, and compare them with torch; exit code 1 where one differs."""
    failed = []
    for name in only or networks:
        for code in precision or (*APPLY, *SCALE_CASES):
            if code in SCALE_CASES and networks.get(name).input_shape[1] != SIDES.get(name, 32):
                print(f"{name} {code}: skipped, its scales are for larger images", flush=True)
                continue
            started = time.perf_counter()
            close = closeness(name, code)
            failed += [f"{name} {code}"] if close < LEAST_CLOSE else []
            word = "differs" if close < LEAST_CLOSE else "agrees"
            seconds = time.perf_counter() - started
            print(f"{name} {code}: {word}, {close:.1%} of the logits are close, {seconds:.0f} s", flush=True)
    if failed:
        print(f"Differ: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

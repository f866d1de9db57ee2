"""Compiles the best network of a search, writes it as C, too, and compares both with torch.

python examples/speech_mask/export.py mask -o winner [--storage sqlite:///nas.db] [--trial N]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from in_c import run_here
from mask_data import frames
from mask_networks import MaskSpace
from mask_training import estimate, images, mask_error, with_masks
from numpy.typing import NDArray
from torch import nn

import nas
import runtime
from latency import LocalDevice
from nas.ledger import Ledger
from nas.training.loop import load_weights
from search_spaces import BitnasError, InvalidInput, add_plugin_file, build, read_architecture, space

IN_C = 16
"""Frames that C is run on: an emulated board takes its time."""


def main() -> int:
    """Export; the exit code."""
    asked = argparse.ArgumentParser(description="Compile a trained mask network, and check it.")
    asked.add_argument("search", help="the search's name")
    asked.add_argument("--storage", default="sqlite:///nas.db", help="the database")
    asked.add_argument("--trial", type=int, help="this one, not the one with the least error")
    asked.add_argument("--max-latency-ms", type=float, help="the one with the least error within this")
    asked.add_argument(
        "-o", "--output", type=Path, required=True, help="a new folder; the C goes into its c/"
    )
    given = asked.parse_args()
    torch.set_num_threads(1)
    try:
        add_plugin_file(Path(__file__).with_name("plugin.py"))
        export(given.search, given.storage, given.trial, given.max_latency_ms, given.output)
    except BitnasError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2 if isinstance(error, InvalidInput) else 1
    return 0


def export(search: str, storage: str, trial: int | None, max_latency_ms: float | None, output: Path) -> None:
    """Write the folder; say what the network is worth, and how far its forms are from torch's.

    Raises:
        InvalidInput: there is no such search or trial, or the folder is taken.
        BitnasError: nothing is within the limit, or the forms differ.
    """
    number, network, channels = chosen(search, storage, trial, max_latency_ms)
    test = frames("test", channels)
    inputs, module = images(test).numpy(), with_masks(network)
    shape = (1, *inputs.shape[1:])
    compiled = runtime.compile(module, shape)
    compiled.save(output)
    runtime.write_c(module, shape, output / "c")
    expected, found = estimate(network, test), compiled.run(inputs)
    in_c = run_here(output / "c", inputs[:IN_C], found.shape[1])
    latency = 1000 * LocalDevice().measure_network(compiled).milliseconds
    say(f"trial {number}: test error {mask_error(found, test.masks):.2f} %, {latency:.1f} us a frame")
    say(f"compiled, from torch: {difference(found, expected)}")
    say(f"in C, from compiled: {difference(in_c, found[:IN_C])}")


def chosen(
    search: str, storage: str, trial: int | None, max_latency_ms: float | None
) -> tuple[int, nn.Module, int]:
    """A trial's number, its trained network, and for how many microphones it is."""
    result = nas.load(name=search, storage=storage)
    trained_on = space(result.config.space)
    if not isinstance(trained_on, MaskSpace):
        raise InvalidInput(
            "search", f"'{search}' has no networks for masks", "name one of plugin.py's spaces"
        )
    found = result.best(max_latency_ms=max_latency_ms) if trial is None else result.trial(trial)
    with Ledger.open(storage) as ledger:
        weights = ledger.weights(search, found.number)
    if weights is None or found.architecture is None:
        raise InvalidInput("trial", f"{found.number} has no trained network", "choose one that is complete")
    network = build(read_architecture(found.architecture))
    load_weights(network, weights)
    return found.number, network.eval(), trained_on.channels


def difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> str:
    """How far masks are apart at most, and how many numbers differ at all."""
    apart = np.abs(found - expected)
    return f"at most {apart.max():.1e}, {np.mean(apart > 0):.2%} of the numbers differ"


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

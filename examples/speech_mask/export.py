"""Compiles the best network of a search, writes it as C, too, and compares both with torch.

python examples/speech_mask/export.py mask -o winner [--storage sqlite:///nas.db] [--trial N] [--board]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from in_c import run_here, run_on_board
from mask_data import Frames, frames
from mask_networks import MaskSpace
from mask_training import images, mask_error, masks_of, with_masks
from numpy.typing import NDArray
from torch import nn

import nas
import runtime
from latency import LocalDevice
from nas.ledger import Ledger
from nas.training.loop import load_weights
from search_spaces import BitnasError, InvalidInput, add_plugin_file, build, read_architecture, space
from search_spaces.errors import DisagreementError

IN_C = 16
"""Frames that C is run on: an emulated board takes its time."""

CLOSE = 1e-4
"""Masks so near are the same. Others may be further: a sum that is rounded otherwise can turn a sign."""


def main() -> int:
    """Export; the exit code."""
    asked = argparse.ArgumentParser(description="Compile a trained mask network, and check it.")
    asked.add_argument("search", help="the search's name")
    asked.add_argument("--storage", default="sqlite:///nas.db", help="the database")
    asked.add_argument("--trial", type=int, help="this one, not the one with the least error")
    asked.add_argument("--max-latency-ms", type=float, help="the one with the least error within this")
    asked.add_argument("--board", action="store_true", help="run the C on an emulated Cortex-M4, too")
    asked.add_argument("-o", "--output", type=Path, required=True, help="a new folder; C goes into its c/")
    given = asked.parse_args()
    torch.set_num_threads(1)
    try:
        add_plugin_file(Path(__file__).with_name("plugin.py"))
        number, network, channels = chosen(given.search, given.storage, given.trial, given.max_latency_ms)
        export(f"trial {number}", with_masks(network), frames("test", channels), given.output, given.board)
    except BitnasError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2 if isinstance(error, InvalidInput) else 1
    return 0


def export(name: str, module: nn.Module, test: Frames, output: Path, board: bool) -> None:
    """Write the folder; say what the network is worth, and how far its forms are apart.

    Raises:
        InvalidInput: the folder is taken.
        BitnasError: its forms differ, or cannot be run.
    """
    inputs = images(test).numpy()  # (N, F, 1, 1)
    shape = (1, *inputs.shape[1:])
    compiled = runtime.compile(module, shape)
    compiled.save(output)
    runtime.write_c(module, shape, output / "c")
    expected, masks = masks_of(module, test), compiled.run(inputs)
    latency = 1000 * LocalDevice().measure_network(compiled).milliseconds
    say(f"{name}: test error {mask_error(masks, test.masks):.2f} %, {latency:.1f} us a frame")
    compare("compiled, beside torch", masks, expected)
    few, outputs = inputs[:IN_C], masks.shape[1]
    compare("C, beside compiled", run_here(output / "c", few, outputs), masks[:IN_C])
    if board:
        there, here, thousands = run_on_board(output / "c", few, outputs)
        compare("Cortex-M4, beside the same C here", there, here)
        say(f"Cortex-M4: {thousands} thousand instructions a frame")


def compare(name: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Say how far masks are apart.

    Raises:
        DisagreementError: more than one number in a hundred by more than ``CLOSE``.
    """
    apart = np.abs(found - expected)
    say(f"{name}: at most {apart.max():.1e} apart; {np.mean(apart > 0):.2%} of the numbers differ")
    if np.mean(apart > CLOSE) > 0.01:
        raise DisagreementError(
            f"{name}: {np.mean(apart > CLOSE):.0%} of the numbers differ by over {CLOSE:g}"
        )


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


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""Prints the mask error of dense networks in float and in binary, and how much faster a binary layer is here.

    python examples/speech_mask/table.py [--channels 2,6] [--epochs 3] [--only errors|times] [--target native]

After Roth et al., *Resource-Efficient Neural Networks for Embedded Systems*, tables 1 and 2.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import numpy as np
import torch
from mask_data import SPLITS, Frames, frames
from mask_networks import dense_network
from mask_signals import MICROPHONES
from mask_training import estimate, mask_error, trained, with_masks
from numpy.typing import NDArray
from torch import nn

import runtime
from latency import Device, LocalDevice
from runtime.workload import BitserialDense, Dense
from search_spaces import Architecture, BitnasError, InvalidInput, size

NETWORKS = ((513, "float"), (513, "binary"), (1024, "binary"))
SIZES = (256, 513, 1024, 2048)
HIDDEN = 3


def main() -> int:
    """Print what is asked for; the exit code."""
    asked = argparse.ArgumentParser(description="Mask errors, and times of layers, as tables.")
    asked.add_argument("--channels", type=microphones, default=(2, 6), help="microphones, such as 2,6")
    asked.add_argument("--epochs", type=positive, default=3, metavar="N", help="of each training")
    asked.add_argument("--only", choices=("errors", "times"), help="one of the tables")
    asked.add_argument("--target", default="native", help="what to compile for: native, x86-64-v3, ...")
    given = asked.parse_args()
    torch.set_num_threads(1)
    try:
        print_tables(given)
    except BitnasError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2 if isinstance(error, InvalidInput) else 1
    return 0


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of epochs; give 1 or more")
    return int(text)


def microphones(text: str) -> tuple[int, ...]:
    """Numbers of microphones, separated by commas."""
    found = tuple(int(word) if word.isdigit() else 0 for word in text.split(","))
    if not all(1 <= count <= len(MICROPHONES) for count in found):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no list of 1 to {len(MICROPHONES)}; give one such as 2,6"
        )
    return found


def print_tables(given: argparse.Namespace) -> None:
    """What is measured, on which machine, and the tables."""
    device = LocalDevice(target=given.target)
    about = device.describe()
    say(f"{about['cpu']} as {about['llvm_cpu']}, one thread, {datetime.now(UTC):%Y-%m-%d}\n")
    if given.only != "errors":
        print_times(device)
    if given.only != "times":
        print_errors(given.channels, given.epochs, device)


def say(line: str) -> None:
    """A line of a table, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_times(device: Device) -> None:
    """A dense layer of as many inputs as neurons, for one frame at a time."""
    say("| neurons | float, us | binary, us | speed-up |\n| ---: | ---: | ---: | ---: |")
    layers = [
        layer
        for n in SIZES
        for layer in (Dense(1, n, n, "float", "float"), BitserialDense(1, n, n, "binary"))
    ]
    times = [1000 * found.milliseconds for found in device.measure_kernels(layers)]
    for neurons, real, binary in zip(SIZES, times[::2], times[1::2], strict=True):
        say(f"| {neurons} | {real:.2f} | {binary:.2f} | {real / binary:.1f} |")
    say("")


def print_errors(channels: tuple[int, ...], epochs: int, device: Device) -> None:
    """Networks of three layers and the last one, trained the same way."""
    say("| network | channels | training | validation | test | size, kB | latency, us |")
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in channels:
        splits = [frames(split, count) for split in SPLITS]
        middle = np.median(splits[0].masks, axis=0)
        say(row("one mask for every frame", count, errors_of(lambda _, mask=middle: mask, splits), "", ""))
        for neurons, code in NETWORKS:
            architecture = dense_network(count, [neurons] * HIDDEN, [code] * (HIDDEN + 1))
            network = last(architecture, splits[0], epochs)
            errors = errors_of(partial(estimate, network), splits)
            kilobytes = f"{size(architecture).kilobytes:.0f}"
            latency = f"{measured(with_masks(network), architecture, device):.1f}"
            say(row(f"{neurons} neurons, {code}", count, errors, kilobytes, latency))


def errors_of(masks: Callable[[Frames], NDArray[np.float32]], splits: list[Frames]) -> list[float]:
    """The mask error on each split."""
    return [mask_error(masks(split), split.masks) for split in splits]


def measured(module: nn.Module, architecture: Architecture, device: Device) -> float:
    """Microseconds of a frame."""
    compiled = runtime.compile(module, (1, *architecture.input_shape), device.target)
    return 1000 * device.measure_network(compiled).milliseconds


def row(name: str, channels: int, errors: list[float], kilobytes: str, latency: str) -> str:
    """A line of the table of errors, which are in percent."""
    told = " | ".join(f"{error:.2f}" for error in errors)
    return f"| {name} | {channels} | {told} | {kilobytes} | {latency} |"


def last(architecture: Architecture, training: Frames, epochs: int) -> nn.Module:
    """The network as it is after its last epoch."""
    *_, (network, _) = trained(architecture, training, epochs, seed=0)
    return network


if __name__ == "__main__":
    sys.exit(main())

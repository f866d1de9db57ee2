"""Prints the mask error of dense networks in float and in binary, and how much faster a binary layer is here.

    python examples/speech_mask/table.py [--channels 2,6] [--epochs 3] [--only errors|times] [--target native]

After Roth et al., *Resource-Efficient Neural Networks for Embedded Systems*, tables 1 and 2.
"""

import argparse
import sys
from datetime import UTC, datetime

import numpy as np
import torch
from mask_data import Frames, frames
from mask_networks import dense_network
from mask_training import estimate, mask_error, trained, with_masks

import runtime
from latency import Device, LocalDevice
from runtime.workload import BitserialDense, Dense
from search_spaces import Architecture, size

NETWORKS = ((513, "float"), (513, "binary"), (1024, "binary"))
SIZES = (256, 513, 1024, 2048)
HIDDEN = 3


def main() -> None:
    """Print what is asked for."""
    asked = argparse.ArgumentParser(description="Mask errors, and times of layers, as tables.")
    asked.add_argument("--channels", default="2,6", help="microphones, separated by commas: 1 to 6")
    asked.add_argument("--epochs", type=int, default=3, help="of each training")
    asked.add_argument("--only", choices=("errors", "times"), help="one of the tables")
    asked.add_argument("--target", default="native", help="what to compile for: native, x86-64-v3, ...")
    given = asked.parse_args()
    torch.set_num_threads(1)
    device = LocalDevice(target=given.target)
    about = device.describe()
    say(f"{about['cpu']} as {about['llvm_cpu']}, one thread, {datetime.now(UTC):%Y-%m-%d}\n")
    if given.only != "errors":
        print_times(device)
    if given.only != "times":
        print_errors([int(number) for number in given.channels.split(",")], given.epochs, device)


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


def print_errors(channels: list[int], epochs: int, device: Device) -> None:
    """Networks of three layers and the last one, trained the same way."""
    say("| network | channels | training | validation | test | size, kB | latency, us |")
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in channels:
        training, validation, test = (frames(split, count) for split in ("training", "validation", "test"))
        splits = training, validation, test
        middle = np.median(training.masks, axis=0)
        errors = [mask_error(np.broadcast_to(middle, split.masks.shape), split.masks) for split in splits]
        say(row("one mask for every frame", count, errors, "", ""))
        for neurons, code in NETWORKS:
            architecture = dense_network(count, [neurons] * HIDDEN, [code] * (HIDDEN + 1))
            network = last(architecture, training, epochs)
            errors = [mask_error(estimate(network, split), split.masks) for split in splits]
            compiled = runtime.compile(with_masks(network), (1, *architecture.input_shape), device.target)
            latency = 1000 * device.measure_network(compiled).milliseconds
            kilobytes = f"{size(architecture).kilobytes:.0f}"
            say(row(f"{neurons} neurons, {code}", count, errors, kilobytes, f"{latency:.1f}"))


def row(name: str, channels: int, errors: list[float], kilobytes: str, latency: str) -> str:
    """A line of the table of errors, which are in percent."""
    told = " | ".join(f"{error:.2f}" for error in errors)
    return f"| {name} | {channels} | {told} | {kilobytes} | {latency} |"


def last(architecture: Architecture, training: Frames, epochs: int) -> torch.nn.Module:
    """The network as it is after its last epoch."""
    *_, (network, _) = trained(architecture, training, epochs, seed=0)
    return network


if __name__ == "__main__":
    main()

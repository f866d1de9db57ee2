"""Runs a network that was written as C: on this machine, and on an emulated Cortex-M4."""

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces import BitnasError

ROOT = Path(__file__).parents[2]
OPTIONS = ("-std=c99", "-O2", "-ffp-contract=off", "-march=native", "-shared", "-fPIC")
"""With -march=native, C rounds a product and a sum as the compiled network does, where the CPU can."""


def run_here(folder: Path, inputs: NDArray[np.float32], outputs: int) -> NDArray[np.float32]:
    """What ``network.c`` in a folder gives for inputs (N, ...): (N, outputs).

    Raises:
        BitnasError: gcc is not there, or fails.
    """
    with tempfile.TemporaryDirectory() as build:
        library = Path(build) / "network.so"
        _call(["gcc", *OPTIONS, str(folder / "network.c"), "-o", str(library), "-lm"])
        entry = ctypes.CDLL(str(library)).bitnas_network
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
    entry.argtypes, entry.restype = [pointer, pointer], None
    found = np.empty((len(inputs), outputs), np.float32)
    for given, result in zip(np.ascontiguousarray(inputs), found, strict=True):
        entry(given, result)
    return found


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    except FileNotFoundError:
        raise BitnasError(f"{command[0]}: it is not installed; install it") from None
    except subprocess.CalledProcessError as error:
        raise BitnasError(f"{command[0]}: {error.stderr.strip().splitlines()[-1]}") from error

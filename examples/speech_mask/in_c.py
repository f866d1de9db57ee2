"""Runs a network that was written as C: on this machine, and on an emulated Cortex-M4."""

import ctypes
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces import BitnasError

ROOT = Path(__file__).parents[2]
OPTIONS = ("-std=c99", "-O2", "-ffp-contract=off", "-march=native", "-shared", "-fPIC")
"""With -march=native, C rounds a product and a sum as the compiled network does, where the CPU can."""

NO_LIBM = "-DBITNAS_NO_LIBM"
"""Exponentials by the network's own code, which is the same everywhere."""


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


def run_on_board(
    folder: Path, inputs: NDArray[np.float32], outputs: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """What ``network.c`` in a folder gives for inputs (N, ...) on an emulated Cortex-M4 with 4 MB of flash.

    Returns:
        (N, outputs) of the board; the same of this machine with the board's roundings; and about how many
        thousand instructions a call takes there.

    Raises:
        BitnasError: the cross compiler or the emulator is not there, or the network does not fit.
    """
    sys.path.append(str(ROOT))
    from benchmarks.proof.cortex_m4 import here, missing, on_board

    if absent := missing():
        raise BitnasError(f"board: {absent}; install it, or leave the board out")
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "c"
        shutil.copytree(folder, source)
        try:
            expected = here(source, inputs, outputs, "hard", NO_LIBM)
            found, instructions = on_board(source, inputs, outputs, "hard", NO_LIBM)
        except subprocess.CalledProcessError as error:
            raise BitnasError(f"board: {error.cmd[0]} failed; is the network larger than 4 MB?") from error
    return found, expected, instructions


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    except FileNotFoundError:
        raise BitnasError(f"{command[0]}: it is not installed; install it") from None
    except subprocess.CalledProcessError as error:
        raise BitnasError(f"{command[0]}: {error.stderr.strip().splitlines()[-1]}") from error

"""Networks for ARM boards, run here by an emulator through a small C program."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import runtime
from runtime.target import BOARDS

PROGRAM = Path(__file__).with_name("device.c")
EMULATORS = {
    "aarch64": ("qemu-aarch64-static", "/usr/aarch64-linux-gnu"),
    "armv7": ("qemu-arm-static", "/usr/arm-linux-gnueabihf"),
}
"""The emulator of each board's family, and the folder of its C library."""
MOST_SECONDS = 300


def missing(board: str) -> list[str]:
    """The programs that are not installed here, of those that a board's networks are linked and run by."""
    return [p for p in (BOARDS[board].linker, EMULATORS[board][0]) if shutil.which(p) is None]


def emulated(
    network: runtime.CompiledNetwork, image: NDArray[np.float32], board: str, folder: Path
) -> NDArray[np.float32]:
    """The output of a network for a board.

    Args:
        network: compiled for the board.
        image: as many as it is compiled for, (N, C, H, W).
        board: of ``EMULATORS``.
        folder: for files; two runs at once need one each.

    Raises:
        subprocess.CalledProcessError: the program crashes.
    """
    emulator, root = EMULATORS[board]
    info = network.info
    shutil.copy(network.library, folder / "network.so")
    program = folder / "device"
    options = ["-O1", "-o", program, PROGRAM, folder / "network.so", f"-Wl,-rpath,{folder}", "-rdynamic"]
    subprocess.run([BOARDS[board].linker, *options], check=True)
    network.arguments[1].tofile(folder / "constants")
    image.tofile(folder / "input")
    sizes = [len(info.input_shape), int(np.prod(info.output_shape)), max(1, info.workspace_bytes)]
    shapes = [len(info.output_shape), *info.input_shape, *info.output_shape]
    words = [folder / "constants", folder / "input", folder / "output", *map(str, sizes + shapes)]
    command = [emulator, "-cpu", "max", "-L", root, program, *words]
    subprocess.run(command, check=True, timeout=MOST_SECONDS)
    return np.fromfile(folder / "output", np.float32).reshape(info.output_shape)

"""Networks in C on an emulated Cortex-M4, and the same C built for this machine beside them."""

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
PROGRAM = Path(__file__).with_name("on_bytes.c")
BOARD = Path(__file__).parents[2] / "examples" / "cortex_m4"
EXACT = ("-std=c99", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-O2")
NO_LIBM = "-DBITNAS_NO_LIBM"
M4 = ("-mcpu=cortex-m4", "-mthumb")
Floats = Literal["hard", "soft"]
FLOATS: dict[Floats, tuple[str, ...]] = {
    "hard": ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "soft": ("-mfloat-abi=soft",),
}
"""With the floating-point unit, which rounds a product and a sum once; by a library, which rounds twice."""
FUSED = ("-mfma",) if platform.machine() == "x86_64" else ()
"""What makes this machine round as the unit of a Cortex-M4 does; ARM's 64-bit machines do so untold."""
LINKED = ("-nostartfiles", "-specs=nano.specs", "-specs=rdimon.specs", "-T", str(BOARD / "mps2.ld"))
BOARD_OPTIONS = (
    "-M",
    "mps2-an386",
    "-nographic",
    "-monitor",
    "none",
    "-serial",
    "none",
    "-icount",
    "shift=0",
)
CORTEX_M4: dict[str, Floats] = {"cortex-m4": "hard", "cortex-m4-soft": "soft"}
"""Targets of the proof, by what computes floats."""
MOST_SECONDS = 300


class DiffersFromHereError(Exception):
    """The board computes something else than the same C built for this machine."""


def missing() -> str:
    """What is not installed here, of what builds and runs such networks; empty if nothing is."""
    absent = [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    asked = [COMPILER, "-print-file-name=libc_nano.a"]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    return "" if Path(found).is_absolute() else "not installed: newlib for arm-none-eabi"


def on_board(
    source: Path, images: NDArray[np.float32], outputs: int, floats: Floats = "hard", *options: str
) -> tuple[NDArray[np.float32], int]:
    """What a network in C gives on an emulated Cortex-M4.

    Args:
        source: the folder with ``network.c``; the program is built there, so two runs at once need one each.
        images: float32, (calls, ...), as many numbers for each call as it takes.
        outputs: how many numbers a call gives.
        floats: by the unit or by a library.
        options: further ones of the compiler.

    Returns:
        float32 (calls, outputs), and about how many thousand instructions the last call took.

    Raises:
        subprocess.CalledProcessError: it does not compile, or it crashes.
    """
    program = source / "board.elf"
    files = [PROGRAM, BOARD / "startup.c", source / "network.c"]
    built = [COMPILER, *EXACT, *M4, *FLOATS[floats], *options, "-I", source, *files, *LINKED, "-o", program]
    subprocess.run(built, check=True)
    words = [program.name, source / "input", source / "output"]
    asked = ",".join(["enable=on", "target=native", *(f"arg={word}" for word in words)])
    command = [EMULATOR, *BOARD_OPTIONS, "-kernel", program, "-semihosting-config", asked]
    return _run(command, source, images, outputs)


def here(
    source: Path, images: NDArray[np.float32], outputs: int, floats: Floats = "hard", *options: str
) -> NDArray[np.float32]:
    """What the same C gives on this machine, with roundings as on the board; arguments as of ``on_board``."""
    program = source / "here"
    fused = FUSED if floats == "hard" else ()
    files = [PROGRAM, source / "network.c"]
    built = ["gcc", *EXACT, *fused, *options, "-I", source, *files, "-o", program, "-lm"]
    subprocess.run(built, check=True)
    return _run([program, source / "input", source / "output"], source, images, outputs)[0]


def proven(source: Path, images: NDArray[np.float32], outputs: int, floats: Floats) -> NDArray[np.float32]:
    """What both give, to the bit and without the mathematical library; arguments as of ``on_board``.

    Raises:
        DiffersFromHereError: they give different outputs.
        subprocess.SubprocessError: it does not compile, it crashes, or it takes too long.
    """
    found, _ = on_board(source, images, outputs, floats, NO_LIBM)
    expected = here(source, images, outputs, floats, NO_LIBM)
    differing = (found.view(np.uint32) != expected.view(np.uint32)) & ~(np.isnan(found) & np.isnan(expected))
    if differing.any():
        calls = int(differing.any(axis=1).sum())
        raise DiffersFromHereError(f"{calls} of {len(images)} calls give other bits than the same C here")
    return found


def _run(
    command: list[str | Path], folder: Path, images: NDArray[np.float32], outputs: int
) -> tuple[NDArray[np.float32], int]:
    images.tofile(folder / "input")
    told = subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MOST_SECONDS
    )
    found = np.fromfile(folder / "output", np.float32)
    return found.reshape(len(images), outputs), int(told.stdout)

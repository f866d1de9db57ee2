"""What a network in C takes of a microcontroller: by its layout, and by a cross compiler if there is one."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import BitnasError

COMPILER, SIZE = "arm-none-eabi-gcc", "arm-none-eabi-size"
OPTIONS = (
    *("-std=c99", "-ffp-contract=off", "-DBITNAS_NO_LIBM", "-O2"),
    *("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
)
"""For a Cortex-M4 with its floating-point unit, as ``make size`` beside the network."""
BYTES_OF_FLOAT = 4


@dataclass(frozen=True)
class Layout:
    """Bytes by ``network.h``: of constants, of the arena, and of the arrays that a caller gives."""

    constants: int
    arena: int
    arrays: int


@dataclass(frozen=True)
class CortexM4:
    """Bytes of ``network.c`` on a Cortex-M4.

    Attributes:
        code: of machine code; the functions that a compiler adds, such as ``memcpy``, are not in it.
        constants: of what stays in flash.
        ram: of static memory.
        stack: of the deepest call.
        compiler: what tells so.
    """

    code: int
    constants: int
    ram: int
    stack: int
    compiler: str


def layout_of(header: Path) -> Layout:
    """What ``network.h`` states.

    Raises:
        BitnasError: it does not.
    """
    text = header.read_text(encoding="utf-8")
    found = {name: int(n) for name, n in re.findall(r"^#define BITNAS_(\w+)_SIZE (\d+)$", text, re.MULTILINE)}
    try:
        arrays = BYTES_OF_FLOAT * (found["INPUT"] + found["OUTPUT"])
        return Layout(found["CONSTANTS"], found["ARENA"], arrays)
    except KeyError as error:
        raise BitnasError(f"{header}: it does not state its sizes; write it again") from error


def on_cortex_m4(source: Path) -> CortexM4 | None:
    """What ``network.c`` takes, compiled; None where no ``arm-none-eabi-gcc`` is installed.

    Raises:
        BitnasError: it does not compile.
    """
    if shutil.which(COMPILER) is None or shutil.which(SIZE) is None:
        return None
    with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
        object_file = Path(folder) / "network.o"
        _told([COMPILER, *OPTIONS, "-fstack-usage", "-c", str(source), "-o", str(object_file)], source)
        sections = _told([SIZE, "-A", str(object_file)], source)
        frames = object_file.with_suffix(".su").read_text(encoding="utf-8").splitlines()
    version = _told([COMPILER, "-dumpfullversion"], source).strip()
    bytes_of = {kind: _sum(sections, kind) for kind in ("text", "rodata", "data", "bss")}
    ram = bytes_of["data"] + bytes_of["bss"]
    constants = bytes_of["rodata"] + bytes_of["data"]
    return CortexM4(bytes_of["text"], constants, ram, _deepest(frames), f"{COMPILER} {version}")


def _sum(sections: str, kind: str) -> int:
    """The bytes of all sections of a kind, such as ``.text`` and ``.text.startup``, by ``size -A``."""
    return sum(map(int, re.findall(rf"^\.{kind}\S*\s+(\d+)", sections, re.MULTILINE)))


def _deepest(frames: list[str]) -> int:
    """The entry calls each kernel, and kernels call nothing: its frame and the largest other one."""
    by_name = {line.split("\t")[0].rpartition(":")[2]: int(line.split("\t")[1]) for line in frames}
    entry = by_name.pop("bitnas_network", 0)
    return entry + max(by_name.values(), default=0)


def _told(command: list[str], source: Path) -> str:
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if found.returncode != 0:
        reason = first_error(found.stderr)
        raise BitnasError(f"{source}: it does not compile for a Cortex-M4 ({reason}); export it again")
    return found.stdout


def first_error(told: str) -> str:
    """What a compiler says is wrong, in a line; what follows is the place."""
    lines = told.strip().splitlines()
    return next((line.strip() for line in lines if "error" in line), lines[-1] if lines else "no message")

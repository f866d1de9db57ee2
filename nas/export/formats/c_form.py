"""C99 for devices without Python: one source file and its header."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.export.formats.base import ExportFormat, Run, formats
from runtime.formats.artifact import read_manifest
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.export.card import Card
    from nas.export.finished import Finished

SOURCE = "network.c"
BUILT_WITH = ("-std=c99", "-O2", "-march=native", "-shared", "-fPIC")
"""Options of the compiler where it is run here: for a machine with one rounding of a product and a sum,
where there is one, so that the output is that of the compiled library."""


class CForm(ExportFormat):
    """Plain loops in static memory, that need math.h, stdint.h and string.h alone."""

    name, title, holds_code = "c", "C source", True

    def write(self, finished: "Finished", folder: Path) -> None:
        """``network.h`` and ``network.c``."""
        import runtime

        for name, text in runtime.c_source(finished.module, finished.network.info.input_shape).items():
            (folder / name).write_text(text, encoding="utf-8")

    def opened(self, folder: Path) -> Run | None:
        """The network, compiled by this machine's C compiler."""
        if self.missing(folder):
            return None
        manifest = read_manifest(folder)
        entry = _built(folder / SOURCE)

        def run(images: "NDArray[np.float32]") -> "NDArray[np.float32]":
            outputs = np.empty((len(images), *manifest.output_shape[1:]), np.float32)
            for image, output in zip(np.ascontiguousarray(images, np.float32), outputs, strict=True):
                entry(image, output)
            return outputs

        return run

    def missing(self, folder: Path) -> str:
        """A C compiler."""
        return "" if shutil.which("cc") else "no C compiler (cc) is installed"

    def usage(self, card: "Card") -> str:
        """What to type to build it, and what to call."""
        return "\n".join(
            [
                "Needs a C99 compiler; link with `-lm`.",
                "",
                "    cc -std=c99 -O3 -march=native -c network.c",
                "",
                "`network.h` declares `void bitnas_network(const float *input, float *output)`: one image,",
                "scaled as above, channels first. Memory is static: one call at a time.",
            ]
        )


def _built(source: Path) -> Any:
    """The function of a source, compiled into a library of its own and loaded."""
    with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
        library = Path(folder) / "network.so"
        command = ["cc", *BUILT_WITH, str(source), "-o", str(library), "-lm"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        if found.returncode != 0:
            last = (found.stderr.strip().splitlines() or ["no message"])[-1]
            raise BitnasError(f"{source}: it does not compile ({last}); export it again")
        entry = ctypes.CDLL(str(library)).bitnas_network  # stays loaded when the file is gone
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
    entry.argtypes, entry.restype = (pointer, pointer), None
    return entry


formats.add("c", CForm())

"""C99 for devices without Python: a source file and its header, and a program that classifies image files."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.export.formats.base import ExportFormat, Rows, Run, formats
from runtime.formats.artifact import read_manifest
from runtime.formats.c_sizes import first_error
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.export.card import Card
    from nas.export.finished import Finished
    from runtime import ImageInput

SOURCE, HEADER = "network.c", "network.h"
FILE_CHANNELS = (1, 3)
"""Of images in PGM and PPM files."""
BUILT_WITH = ("-std=c99", "-ffp-contract=off", "-O2", "-march=native", "-shared", "-fPIC")
"""Options of the compiler where it is run here: for a machine with one rounding of a product and a sum,
where there is one, so that the output is that of the compiled library."""


class CForm(ExportFormat):
    """Plain loops in one arena of static memory, for devices as small as a Cortex-M4."""

    name, title, holds_code = "c", "C source", True

    def write(self, finished: "Finished", folder: Path) -> None:
        """``network.h``, ``network.c``; for images that files hold ``images.h``, ``main.c``, ``Makefile``."""
        import runtime

        shape = finished.network.info.input_shape
        for name, text in runtime.c_source(finished.module, shape, images_of(finished)).items():
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

    def figures(self, folder: Path) -> Rows:
        """Flash and RAM: by a compiler for a Cortex-M4, or else what the layout knows."""
        from runtime.formats.c_sizes import layout_of, on_cortex_m4

        layout, found = layout_of(folder / HEADER), on_cortex_m4(folder / SOURCE)
        parts = f"arena {layout.arena:,} bytes, input and output {layout.arrays:,}"
        if found is None:
            known = "by its layout; no arm-none-eabi-gcc is installed to tell the size of its code"
            return [
                ("flash without code", f"{layout.constants / 1000:.1f} kB", f"constants, {known}"),
                ("RAM without stack", f"{(layout.arena + layout.arrays) / 1000:.1f} kB", parts),
            ]
        flash, ram = found.code + found.constants, found.ram + layout.arrays + found.stack
        told = (
            f"constants {found.constants:,} bytes, code {found.code:,}, for a Cortex-M4 by {found.compiler}"
        )
        return [
            ("flash", f"{flash / 1000:.1f} kB", told),
            ("RAM", f"{ram / 1000:.1f} kB", f"{parts}, stack {found.stack:,}"),
        ]

    def usage(self, card: "Card") -> str:
        """What to type to build it, and what to call."""
        lines = [
            "Needs a C99 compiler. It allocates nothing: `BITNAS_ARENA_SIZE` in `network.h` is its bytes of",
            "static memory. Constants are `const`. With `-DBITNAS_NO_LIBM` it needs no math.h.",
            "",
        ]
        if len(card.input_shape) == 3 and card.input_shape[0] in FILE_CHANNELS:
            _, height, width = card.input_shape
            lines += [
                "    make                         # with NO_LIBM=1 without the mathematical library",
                f"    ./classify image.ppm         # PPM or PGM of {width}x{height}; says how to make one",
                "    make size                    # flash and RAM on a Cortex-M4, by arm-none-eabi-gcc",
                "",
            ]
        lines += [
            "In a program of yours, build `network.c` with `cc -std=c99 -ffp-contract=off -O3`. `network.h`",
            "declares `void bitnas_network(const float *input, float *output)`: one image, scaled as above,",
            "channels first. One call at a time.",
        ]
        return "\n".join(lines)


def images_of(finished: "Finished") -> "ImageInput | None":
    """How a program scales image files, and its classes' names; None where no such file holds the images."""
    import runtime

    data = finished.data
    if data.input_shape[0] not in FILE_CHANNELS:
        return None
    scaling = data.test.scaling
    return runtime.ImageInput(
        tuple(scaling.mean), tuple(scaling.deviation), data.largest, tuple(data.class_names)
    )


def _built(source: Path) -> Any:
    """The function of a source, compiled into a library of its own and loaded."""
    with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
        library = Path(folder) / "network.so"
        command = ["cc", *BUILT_WITH, str(source), "-o", str(library), "-lm"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        if found.returncode != 0:
            raise BitnasError(f"{source}: it does not compile ({first_error(found.stderr)}); export it again")
        entry = ctypes.CDLL(str(library)).bitnas_network  # stays loaded when the file is gone
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
    entry.argtypes, entry.restype = (pointer, pointer), None
    return entry


formats.add("c", CForm())

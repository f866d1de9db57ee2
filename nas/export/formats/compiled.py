"""The compiled library with its constants, and the program that runs it without bitnas."""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nas.export.formats.base import ExportFormat, Run, formats
from runtime.formats.artifact import COMPILED, library_manifest
from runtime.target import missing_flags

if TYPE_CHECKING:
    from nas.export.card import Card
    from nas.export.finished import Finished
    from runtime import CompiledNetwork


class Compiled(ExportFormat):
    """Machine code for the CPU that the search measured on; one image a call."""

    name, title, holds_code = COMPILED, "Compiled library", True

    def write(self, finished: "Finished", folder: Path) -> None:
        """Library, packed constants, a sample, ``predict.py`` and ``pictures.py``."""
        from runtime.formats.saving import write_library

        network = finished.network
        write_library(network.constants, network.library, network.sample(), folder)

    def opened(self, folder: Path) -> Run | None:
        """The library, loaded; the sample in the folder was run, and gave the same output to the bit."""
        import runtime

        return None if self.missing(folder) else runtime.load(folder).run

    def timed_call(self, folder: Path) -> Callable[[], object] | None:
        """The library's entry, without copies of images and outputs."""
        import runtime

        if self.missing(folder):
            return None
        network = runtime.load(folder)
        entry, arguments = network.entry, network.arguments
        return lambda: (network, entry(*arguments))  # which keeps the library loaded

    def missing(self, folder: Path) -> str:
        """Another CPU, or instructions that this one lacks."""
        manifest = library_manifest(folder)
        if manifest.architecture != platform.machine():
            return f"it is for {manifest.architecture}, this machine is {platform.machine()}"
        lacking = ", ".join(missing_flags(manifest.flags))
        return f"this CPU lacks {lacking}" if lacking else ""

    def usage(self, card: "Card") -> str:
        """The commands of ``predict.py``."""
        return "\n".join(
            [
                "Needs numpy and `apache-tvm-ffi`, and Pillow for image files.",
                "",
                "    python predict.py                        # the sample, compared to the bit",
                "    python predict.py photo.png folder/      # image files, scaled as in training",
                "    python predict.py images.npy             # an array",
                "",
                "From Python, with bitnas: `runtime.load(folder).run(images)`.",
            ]
        )


def artifact_kilobytes(network: "CompiledNetwork") -> float:
    """What is stored to run a network: its library and the file of its constants, in kB of 1000 bytes."""
    return (network.library.stat().st_size + network.stored_bytes) / 1000


formats.add(COMPILED, Compiled())

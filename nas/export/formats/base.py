"""The contract of a form in which a network is exported, and the registry by which forms are found."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.formats.artifact import COMPILED
from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nas.export.card import Card
    from nas.export.finished import Finished

    Images = NDArray[np.float32]
    Logits = NDArray[np.float32]

Run = Callable[["Images"], "Logits"]
"""Runs a network: scaled images, float32 (n, C, H, W), any n -> logits, float32 (n, classes)."""
Rows = list[tuple[str, str, str]]
"""Rows of a card: a figure, its value, and how it was come by."""


class ExportFormat(ABC):
    """A form of a network in an exported folder, such as a compiled library or C.

    Formats hold no state. ``nas export`` calls ``write``, then ``opened`` in the same folder, and compares
    the classes of all test images with torch's and with those of every other form. The folder is renamed
    when all of that holds. ``nas verify``, ``nas predict`` and ``nas benchmark`` call ``opened`` later.

    Attributes:
        name: what users type, lower-case letters and digits.
        title: what the card calls it.
        holds_code: whether its files hold code that runs: a library, a program, or source to be compiled.
        library_name: of a model card: what loads it.
    """

    name: str
    title: str
    holds_code: bool
    library_name: str = "bitnas"

    @abstractmethod
    def write(self, finished: "Finished", folder: Path) -> None:
        """Write the form's files, flat, into a folder that is not yet renamed.

        What says what the network is (``architecture.json`` or ``network.json``) is there already. No other
        form has files of the same names. Nothing is pickled.

        Raises:
            BitnasError: the network has no such form.
        """

    @abstractmethod
    def opened(self, folder: Path) -> Run | None:
        """The network of a folder, ready to run; None where something is missing here, as ``missing`` tells.

        The folder's manifest and sums were checked before.

        Raises:
            BitnasError: the files are not what ``write`` wrote.
        """

    def timed_call(self, folder: Path) -> Callable[[], object] | None:
        """One run of one image on one thread, with as little around it as can be; None as of ``opened``."""
        import numpy as np

        from runtime.formats.artifact import read_manifest

        run = self.opened(folder)
        image = np.zeros((1, *read_manifest(folder).input_shape[1:]), np.float32)
        return None if run is None else lambda: run(image)

    def missing(self, folder: Path) -> str:
        """Why the form cannot be run here, such as ``onnxruntime is not installed``; empty where it can."""
        return ""

    @abstractmethod
    def usage(self, card: "Card") -> str:
        """How to run the form, in Markdown, below a heading of its title."""

    def figures(self, folder: Path) -> Rows:
        """What the card states of the form beside its bytes and agreement, such as memory on a device."""
        return []

    def predict(self, folder: Path, images: "Images") -> "Logits | None":
        """Scaled images, float32 (n, C, H, W) -> logits (n, classes); None where it cannot be run here."""
        run = self.opened(folder)
        return None if run is None else run(images)


_HOMES = (
    "nas.export.formats.compiled",
    "nas.export.formats.onnx_form",
    "nas.export.formats.c_form",
    "nas.export.formats.weights",
)

formats: Registry[ExportFormat] = Registry("format", "formats", _HOMES)

DEFAULT = (COMPILED,)
"""What ``nas export`` writes unless told."""


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The names of forms that somebody asks for, in their order.

    Raises:
        InvalidInput: one is not known or is there twice, or there is none at all.
    """
    found = tuple(names)
    for place, name in enumerate(found):
        try:
            formats.get(name)
        except InvalidInput as error:
            raise error.of("formats") from error
        if name in found[:place]:
            raise InvalidInput("formats", f"'{name}' is given twice", "give it once")
    if not found:
        raise InvalidInput("formats", "there is none", f"give one or more of {', '.join(formats)}")
    return found


def known(names: Iterable[str], folder: Path) -> list[ExportFormat]:
    """The forms that a folder's manifest lists.

    Raises:
        BitnasError: one is not known here; a plug-in's, perhaps.
    """
    try:
        return [formats.get(name) for name in names]
    except InvalidInput as error:
        raise BitnasError(f"{folder}: it holds a form that is not known here ({error.problem})") from error

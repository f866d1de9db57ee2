"""What is found of an exported folder before anything in it runs: somebody else may have made it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.export.card import CARD, Card, read_card
from nas.export.formats.base import known
from nas.export.writing import EXPECTED
from nas.training.job import ARCHITECTURE, PUBLISHED
from runtime.formats.artifact import MANIFEST, Manifest, check_files, check_listed, read_manifest
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from nas.export.formats.base import ExportFormat

DATA_SUFFIXES = (".json", ".safetensors", ".md", ".onnx", ".bnz")
"""Of files that no machine runs; what a network of ONNX or of safetensors computes is said by these alone."""


@dataclass(frozen=True)
class Inspected:
    """A folder whose files are those of its manifest, none of which was used.

    Attributes:
        folder: where it is.
        manifest: what it lists.
        forms: of the network in it.
        card: what it states.
        identity: the name of the file that says what the network is.
        code: the files that hold code: what runs, or is compiled to run.
    """

    folder: Path
    manifest: Manifest
    forms: "tuple[ExportFormat, ...]"
    card: Card
    identity: str
    code: tuple[str, ...]


def inspect(folder: Path) -> Inspected:
    """Check an exported folder: only names, sizes, sums and JSON are looked at, and nothing is loaded.

    Raises:
        BitnasError: a path leaves the folder, a file is a link, missing, changed or not listed, tensors
            overlap or are larger than their file, a key or a form is not known, or there is code where none
            of the forms has any.
    """
    manifest = read_manifest(folder)
    check_listed(folder, manifest)
    check_files(folder, manifest)
    forms = known(manifest.formats, folder)
    code = tuple(name for name in manifest.files if not name.endswith(DATA_SUFFIXES))
    if code and not any(form.holds_code for form in forms):
        told = ", ".join(manifest.formats)
        raise BitnasError(f"{folder / code[0]}: no form of the folder ({told}) has such a file; remove it")
    _require(folder, manifest, CARD)
    card = read_card(folder)
    identity = PUBLISHED if card.search is None else ARCHITECTURE
    _require(folder, manifest, identity, EXPECTED)
    if card.input_shape and card.input_shape != [*manifest.input_shape[1:]]:
        raise BitnasError(f"{folder / CARD}: it tells of other images than {MANIFEST}; export it again")
    if card.forms and [form.name for form in card.forms] != [*manifest.formats]:
        raise BitnasError(f"{folder / CARD}: it tells of other forms than {MANIFEST}; export it again")
    return Inspected(folder, manifest, tuple(forms), card, identity, code)


def _require(folder: Path, manifest: Manifest, *names: str) -> None:
    """Refuse an artifact whose manifest vouches for less than ``nas export`` wrote."""
    for name in names:
        if name not in manifest.files:
            raise BitnasError(f"{folder / MANIFEST}: it lists no {name}; export it again")

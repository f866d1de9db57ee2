"""What lies in the folder of an exported network: whether it is what was exported, its card, its files."""

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nas.analysis.artifact_files import (
    TooMuchError,
    is_absent,
    opened_folder,
    read_file,
    take_file,
    vouched_manifest,
)
from nas.export.card import CARD, Card, Row, card_of
from nas.export.card_rows import card_rows
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from nas.ledger.artifacts import Exported
    from runtime.formats.artifact import Manifest

AS_EXPORTED, DIFFERS, ABSENT, UNCHECKED = "as exported", "changed", "not here", "not checked"
"""What is found of a folder, in words."""


@dataclass
class Effort:
    """What checking may cost: so many bytes, and so many seconds from now on."""

    bytes_left: int
    seconds: float
    _ends: float = field(init=False)

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.seconds

    @property
    def spent(self) -> bool:
        """Whether it is used up."""
        return self.bytes_left <= 0 or time.monotonic() > self._ends

    def spend(self, count: int) -> None:
        """Take bytes off it; TooMuchError where nothing is left."""
        self.bytes_left -= count
        if self.spent:
            raise TooMuchError


@dataclass(frozen=True)
class FileFound:
    """A file that the manifest lists: its bytes, None where it is not read, and what was found."""

    name: str
    size: int | None
    found: str


@dataclass(frozen=True)
class Looked:
    """What was found of an artifact's folder.

    Attributes:
        state: one of the words above.
        why: a line about it; empty where all is as exported.
        files: what its manifest lists; none where the manifest is not the one that was exported.
        manifest: as it was exported.
        card: what the network states of itself; None where there is none that can be trusted.
    """

    state: str
    why: str = ""
    files: tuple[FileFound, ...] = ()
    manifest: "Manifest | None" = None
    card: Card | None = None

    def figures(self) -> list[Row]:
        """Those of the card: each with its value and how it was come by."""
        return [] if self.card is None else card_rows(self.card)


def look_at(exported: "Exported", effort: Effort) -> Looked:
    """Hold the folder of an artifact against what the ledger and its manifest say."""
    path = exported.record.path
    if effort.spent:
        return Looked(UNCHECKED, "There was no time left to look.")
    try:
        with opened_folder(path) as folder:
            _, manifest = vouched_manifest(folder, path, exported.record.digest)
            files = tuple(_checked(folder, name, sha, effort) for name, sha in sorted(manifest.files.items()))
            card = card_of(read_file(folder, CARD), Path(CARD)) if _is_good(files, CARD) else None
    except BitnasError as error:
        return Looked(ABSENT if is_absent(error) else DIFFERS, str(error))
    return Looked(*_judged(files), files, manifest, card)


def _checked(folder: int, name: str, expected: str, effort: Effort) -> FileFound:
    """One file of a manifest against its sum."""
    digest = hashlib.sha256()

    def take(part: bytes) -> None:
        digest.update(part)
        effort.spend(len(part))

    try:
        size = take_file(folder, name, effort.bytes_left, take)
    except TooMuchError:
        return FileFound(name, None, UNCHECKED)
    except BitnasError as error:
        return FileFound(name, None, str(error).partition(": ")[2])
    return FileFound(name, size, AS_EXPORTED if digest.hexdigest() == expected else DIFFERS)


def _is_good(files: tuple[FileFound, ...], name: str) -> bool:
    return any(file.name == name and file.found == AS_EXPORTED for file in files)


def _judged(files: tuple[FileFound, ...]) -> tuple[str, str]:
    """The state of a folder by its files, and why."""
    wrong = [file.name for file in files if file.found not in (AS_EXPORTED, UNCHECKED)]
    if wrong:
        return DIFFERS, f"Not as they were exported: {', '.join(wrong)}; export it again"
    if late := [file.name for file in files if file.found == UNCHECKED]:
        return UNCHECKED, f"Too large to check here: {', '.join(late)}"
    return AS_EXPORTED, ""

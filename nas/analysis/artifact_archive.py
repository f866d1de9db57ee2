"""Packs an artifact as an archive: the files that its manifest lists, each of which must have its sum."""

import hashlib
import re
import stat
from datetime import datetime
from typing import IO, TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from nas.analysis.artifact_files import TooMuchError, opened_folder, take_file, vouched_manifest
from runtime.formats.artifact import MANIFEST
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from nas.ledger.artifacts import Exported

MOST_BYTES = 256_000_000
"""Of the files of an archive in all; networks for small devices take a thousandth of it."""
READABLE = stat.S_IFREG | 0o644
FIRST_YEAR, LAST_YEAR = 1980, 2107  # of a date in an archive


def archive_name(exported: "Exported") -> str:
    """What the archive is called, and the folder in it: ASCII letters, digits and dashes."""
    record = exported.record
    return "-".join([*re.findall(r"\w+", record.search, re.ASCII), "trial", str(record.number)])


def pack(exported: "Exported", into: IO[bytes]) -> None:
    """Write the archive of an artifact.

    What is read is what is checked: a file that changes meanwhile has another sum, and nothing is handed out.

    Raises:
        BitnasError: the folder is not what was exported, or is too large; what was written is worthless.
    """
    path, left = exported.record.path, MOST_BYTES
    top, date = archive_name(exported), _date(exported.record.created_at)
    with opened_folder(path) as folder, ZipFile(into, "w", ZIP_DEFLATED) as archive:
        content, manifest = vouched_manifest(folder, path, exported.record.digest)
        archive.writestr(_entry(f"{top}/{MANIFEST}", date), content)
        for name, expected in sorted(manifest.files.items()):
            left -= _add(archive, _entry(f"{top}/{name}", date), folder, name, expected, left)


def _add(archive: ZipFile, entry: ZipInfo, folder: int, name: str, expected: str, most: int) -> int:
    """Add a file of a folder; how many bytes it has."""
    digest = hashlib.sha256()
    with archive.open(entry, "w") as written:

        def take(part: bytes) -> None:
            digest.update(part)
            written.write(part)

        try:
            size = take_file(folder, name, most, take)
        except TooMuchError:
            megabytes = f"{MOST_BYTES / 1e6:g} MB"
            raise BitnasError(
                f"{name}: with it the archive is larger than {megabytes}; copy the folder"
            ) from None
    if digest.hexdigest() != expected:
        raise BitnasError(f"{name}: its checksum is wrong, the file was changed; export it again")
    return size


def _entry(name: str, date: tuple[int, int, int, int, int, int]) -> ZipInfo:
    entry = ZipInfo(name, date)
    entry.compress_type, entry.external_attr = ZIP_DEFLATED, READABLE << 16
    return entry


def _date(moment: datetime) -> tuple[int, int, int, int, int, int]:
    year = min(max(moment.year, FIRST_YEAR), LAST_YEAR)
    return year, moment.month, moment.day, moment.hour, moment.minute, moment.second

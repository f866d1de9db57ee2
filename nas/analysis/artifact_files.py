"""Reads the folder that a ledger says an artifact is in, and trusts neither of the two.

Whoever writes into a ledger could name any path, and whoever writes into the folder could put links, pipes
and endless files there. So every part of the path and every file is opened as what it is, never followed and
never waited for, and no more is read than was asked for. Only files count that the manifest lists, whose own
sum the ledger must have.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from runtime.formats.artifact import MANIFEST, Manifest, manifest_of
from search_spaces.errors import BitnasError

MOST_FILES = 200
MOST_TEXT = 4 << 20
"""Bytes of a manifest or a card: what a page reads whole."""
PART = 1 << 20
"""Bytes that are read at once."""

Take = Callable[[bytes], object]


class TooMuchError(Exception):
    """There is more to read than was allowed."""


@contextmanager
def opened_folder(path: str) -> Iterator[int]:
    """A descriptor of a folder, while the block runs.

    Raises:
        BitnasError: it is not there, or a part of its path is a link.
    """
    parts = Path(path).parts
    if not parts or parts[0] != os.sep or ".." in parts or "\0" in path:
        raise BitnasError(f"folder: the ledger names no absolute path but {path!r}; export it again")
    folder = os.open(os.sep, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[1:]:
            inner = _step(folder, part, path)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _step(folder: int, part: str, path: str) -> int:
    """Into a folder, which is no link."""
    try:
        return os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if _is_link(folder, part):
            raise BitnasError(f"folder: '{path}' leads over a link, which is not followed") from None
        _absent(path, error)


def _absent(path: str, error: OSError) -> NoReturn:
    if isinstance(error, PermissionError):
        raise BitnasError(f"folder: '{path}' is closed to the user that shows this page") from error
    problem = f"there is no artifact at '{path}' on this machine"
    fix = "it was removed or moved, or lies on the machine that exported it"
    raise BitnasError(f"folder: {problem}; {fix}") from FileNotFoundError(path)


def is_absent(error: BitnasError) -> bool:
    """Whether it says that there is no artifact, rather than one that is not as it was."""
    return isinstance(error.__cause__, FileNotFoundError)


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def take_file(folder: int, name: str, most: int, take: Take) -> int:
    """Give a file part by part to ``take``; how many bytes it had.

    Raises:
        BitnasError: it is not there, or is no file.
        TooMuchError: it has more bytes than ``most``, now or while it is read.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise BitnasError(f"{name!r}: it lies outside the artifact; export it again")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        file = os.open(name, flags, dir_fd=folder)
    except (OSError, ValueError) as error:
        what = "a link, which is not followed" if _is_link(folder, name) else "missing, or cannot be read"
        raise BitnasError(f"{name}: it is {what}; export it again") from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise BitnasError(f"{name}: it is no file; export it again")
        if found.st_size > most:
            raise TooMuchError
        return _take_all(file, most, take)
    except OSError as error:
        raise BitnasError(f"{name}: it cannot be read ({error.strerror}); check the disk") from error
    finally:
        os.close(file)


def _take_all(file: int, most: int, take: Take) -> int:
    total = 0
    while part := os.read(file, min(PART, most - total + 1)):
        total += len(part)
        if total > most:
            raise TooMuchError
        take(part)
    return total


def read_file(folder: int, name: str, most: int = MOST_TEXT) -> bytes:
    """All of a small file; BitnasError as ``take_file`` says."""
    parts: list[bytes] = []
    try:
        take_file(folder, name, most, parts.append)
    except TooMuchError:
        raise BitnasError(f"{name}: it is too large to be what was exported; export it again") from None
    return b"".join(parts)


def vouched_manifest(folder: int, path: str, digest: str) -> tuple[bytes, Manifest]:
    """The manifest of a folder, as bytes and as it is read, where its sum is ``digest``.

    Raises:
        BitnasError: there is none, it is another one, or it lists what cannot be in a folder.
    """
    try:
        content = read_file(folder, MANIFEST)
    except BitnasError as error:
        if is_absent(error):
            _absent(path, FileNotFoundError())
        raise
    if hashlib.sha256(content).hexdigest() != digest:
        problem = f"what lies at '{path}' is not what was exported"
        raise BitnasError(f"{MANIFEST}: {problem}: it was changed, or another network took its place")
    manifest = manifest_of(content, Path(MANIFEST))
    if len(manifest.files) > MOST_FILES:
        raise BitnasError(f"{MANIFEST}: it lists more than {MOST_FILES} files; export it again")
    for name in manifest.files:
        if Path(name).name != name or name == MANIFEST:
            raise BitnasError(f"{MANIFEST}: {name!r} lies outside the artifact; export it again")
    return content, manifest

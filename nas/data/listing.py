"""What lies in a folder: its files but for hidden ones, and which of them are images."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from runtime.formats.pictures import (
    SUFFIXES,
    UNREAD_SUFFIXES,
    NoPictureError,
    PictureError,
    open_picture,
    shown,
)
from search_spaces.errors import InvalidInput

Parts = tuple[str, ...]
"""A path in the folder, name by name."""


def refused(folder: Path, problem: str, fix: str) -> InvalidInput:
    """That a folder does not serve."""
    return InvalidInput("data", f"'{shown(folder)}': {problem}", fix)


def visible(folder: Path) -> list[Parts]:
    """The files in a folder and below, but for hidden ones, in order.

    Raises:
        InvalidInput: there is a link to a folder, or an image that is no file, or a folder cannot be read.
    """
    found: list[Parts] = []
    for at, folders, names in os.walk(folder, onerror=lambda error: _unreadable(folder, error)):
        here = Path(at).relative_to(folder).parts
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in sorted(folders):
            if Path(at, name).is_symlink():
                problem = f"{place((*here, name))} is a link to a folder, which is not followed"
                raise refused(folder, problem, "put the folder itself there, or remove the link")
        for name in names:
            parts = (*here, name)
            if name.startswith("."):
                continue
            if is_image(parts) and not Path(at, name).is_file():
                problem = f"{place(parts)} is a link to nothing, or no file"
                raise refused(folder, problem, "put the image there, or remove it")
            found.append(parts)
    for parts in found:
        _refuse_undecodable(folder, parts)
    return sorted(found)


def refuse_unread(folder: Path, files: Sequence[Parts]) -> None:
    """Refuse pictures in folders that are of a format that is not read.

    Raises:
        InvalidInput: there is one.
    """
    for parts in files:
        suffix = _suffix(parts)
        if len(parts) < 2 or suffix in SUFFIXES:
            continue
        if suffix in UNREAD_SUFFIXES:
            problem = f"{place(parts)} is not read, as its format ({suffix}) is not known"
            raise refused(folder, problem, "make it PNG or JPEG, or remove it")
        if not suffix and _is_picture(folder.joinpath(*parts)):
            problem = f"{place(parts)} is not read, as its name has no suffix"
            raise refused(folder, problem, "add the suffix of its format, or remove it")


def has_images(files: Sequence[Parts]) -> bool:
    """Whether there are images in folders, which are those of classes or splits."""
    return any(len(parts) > 1 and is_image(parts) for parts in files)


def _refuse_undecodable(folder: Path, parts: Parts) -> None:
    """Raises: a name is no text, so that no card could hold it."""
    try:
        "/".join(parts).encode()
    except UnicodeEncodeError as error:
        raise refused(folder, f"the name of {'/'.join(parts)!a} is no text in UTF-8", "rename it") from error


def _unreadable(folder: Path, error: OSError) -> None:
    problem = f"'{shown(error.filename)}' cannot be read ({error.strerror})"
    raise refused(folder, problem, "let it be read, or remove it") from error


def read_bytes(path: Path) -> bytes:
    """A file.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"'{shown(path)}' cannot be read ({error.strerror})"
        raise InvalidInput("data", problem, "let it be read, or remove it") from error


def is_hidden(name: str) -> bool:
    """Whether a folder is left out: of a system, an editor or an archive, as .git, __MACOSX, __pycache__."""
    return name.startswith((".", "__"))


def is_image(parts: Parts) -> bool:
    """Whether a file has the suffix of a format that is read."""
    return _suffix(parts) in SUFFIXES


def _suffix(parts: Parts) -> str:
    """Of a file's name, in small letters; a folder may hold a million, and a Path for each costs seconds."""
    return os.path.splitext(parts[-1])[1].lower()  # noqa: PTH122 - Path would take time for each of many names


def _is_picture(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        open_picture(read_bytes(path))
    except NoPictureError:
        return False
    except PictureError:
        return True
    return True


def place(parts: Parts) -> str:
    """A path in the folder, on one line."""
    return shown("/".join(parts))


def counted(files: Sequence[Parts]) -> str:
    """How many there are of each suffix, and the first of all."""
    suffixes = Counter(map(_suffix, files))
    kinds = [f"{count} {shown(kind) or 'without a suffix'}" for kind, count in suffixes.most_common(3)]
    return f"{' and '.join(kinds)}, as {place(files[0])}"

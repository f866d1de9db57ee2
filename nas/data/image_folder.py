"""What the ``datasets`` library would pass over in a folder of images without a word is refused."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from search_spaces.errors import InvalidInput

SPLIT_FOLDERS = {
    "train",
    "training",
    "validation",
    "valid",
    "val",
    "dev",
    "test",
    "testing",
    "eval",
    "evaluation",
}
PICTURES = {".heic", ".heif", ".avif", ".jxl", ".dng", ".nef", ".cr2"}
"""What cameras write and the library does not read."""


def refuse_left_out(folder: Path, files: Sequence[Path], images: Sequence[Path]) -> None:
    """Refuse a folder with images that are not read; ``images`` of the ``files`` are.

    Raises:
        InvalidInput: there are such; one line says which, and what to do.
    """
    _refuse_unlike_splits(folder)
    _refuse_unread(folder, images)
    _refuse_empty_classes(folder, files)
    _refuse_linked(folder, images)


def _refuse_unlike_splits(folder: Path) -> None:
    """The library knows splits by folders in lower case, and takes others, as Test, for more of the same.

    Raises:
        InvalidInput: there is such a folder, with folders of classes in it.
    """
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        holds = path.is_dir() and any(inner.is_dir() for inner in path.iterdir())
        if holds and name in SPLIT_FOLDERS and name != path.name:
            problem = f"'{folder}': {path.name} is not taken for a split, as it is written with capitals"
            raise InvalidInput("--data", problem, f"name it {name}")


def _refuse_unread(folder: Path, images: Sequence[Path]) -> None:
    """The library passes over images of other formats, and over folders that are no split.

    Raises:
        InvalidInput: there is a picture in one of its folders that is not read.
    """
    root, read = folder.resolve(), set(images)
    formats = {path.suffix.lower() for path in images} | PICTURES
    for path in sorted(_visible(root)):
        if path in read or path.parent == root:
            continue
        if path.suffix.lower() in formats or (not path.suffix and _is_picture(path)):
            problem = (
                f"'{folder}': {path.relative_to(root)} is not read, as its format or its folder is not known"
            )
            fix = "make it PNG or JPEG, in a folder of train, validation or test, or take it away"
            raise InvalidInput("--data", problem, fix)


def _is_picture(path: Path) -> bool:
    from PIL import Image

    try:
        Image.open(path).close()
    except Image.DecompressionBombError:
        return True
    except (OSError, SyntaxError, ValueError, struct.error):
        return False
    return True


def _visible(root: Path) -> Iterator[Path]:
    """The files that the library would look at."""
    for path in root.rglob("*"):
        if path.is_file() and not any(p.startswith((".", "__")) for p in path.relative_to(root).parts):
            yield path


def _refuse_empty_classes(folder: Path, paths: Sequence[Path]) -> None:
    """The library knows classes by their images: one that has a folder, but no image, would be missing.

    Raises:
        InvalidInput: there is such a class, and no metadata file that would tell the classes.
    """
    root = folder.resolve()  # as the library does
    if any(path.stem == "metadata" for path in paths):
        return
    full = {path.parent for path in paths if root in path.parent.parents}
    names = {path.name for path in full}  # a class that has none in one split may have some in another
    beside = (path for parent in {path.parent for path in full} for path in parent.iterdir())
    empty = sorted({path.name for path in beside if path.name not in names and _is_empty(path)})
    if empty:
        problem = f"'{folder}': the folder of the class {empty[0]} holds no image"
        raise InvalidInput("--data", problem, "give it some, or remove the folder")


def _refuse_linked(folder: Path, images: Sequence[Path]) -> None:
    """The library does not follow links to folders: their images would be missing.

    Raises:
        InvalidInput: there is such a link beside a folder that it reads, or in one.
    """
    root = folder.resolve()
    seen = {parent for path in images for parent in path.parents if parent == root or root in parent.parents}
    links = sorted(
        path for parent in seen for path in parent.iterdir() if path.is_symlink() and path.is_dir()
    )
    if links:
        problem = f"'{folder}': {links[0].relative_to(root)} is a link to a folder, which is not followed"
        raise InvalidInput("--data", problem, "put the folder itself there, or remove the link")


def _is_empty(path: Path) -> bool:
    """Whether it is a folder that the library looks into, without any file that it would see."""
    if not path.is_dir() or path.name.startswith((".", "__")):
        return False
    return not any(file.is_file() and not file.name.startswith(".") for file in path.rglob("*"))

"""Reads a folder with a folder of images for each class, perhaps in folders of splits; guesses nothing."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.data.images import Collection, Found, Item, decoded
from runtime.formats.pictures import SUFFIXES, UNREAD, NoPictureError, PictureError, open_picture, shown
from search_spaces.errors import InvalidInput

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Names of folders that stand for splits, in capitals or not."""

Parts = tuple[str, ...]
"""A path in the folder, name by name."""


@dataclass(frozen=True)
class Photo:
    """An image that is read: its place in the folder, its split and its class."""

    parts: Parts
    split: str
    label: str


class ImageFolder:
    """A folder of images; nothing is decoded before it is asked for.

    Raises:
        InvalidInput: an image in it would not be read, or read as what it may not be meant for.
    """

    def __init__(self, folder: Path, files: Sequence[Parts]) -> None:
        """``files`` is what ``visible`` found."""
        self._folder = folder
        images = [parts for parts in files if is_image(parts)]
        top = _wrappers(images)
        is_split = self._is_split(images, top)
        below = [parts for parts in images if len(parts) > top + 1 + is_split]  # others lie beside
        self._refuse_uneven(below)
        self._photos = [
            Photo(parts, SPLITS[parts[top].lower()] if is_split else "train", parts[-2]) for parts in below
        ]
        self._refuse_empty_classes(files)
        self.class_names = sorted({photo.label for photo in self._photos})
        if len(self.class_names) < 2:
            problem = f"it has images of one class only, {shown(self.class_names[0])}"
            raise self._refused(problem, "put those of each class into a folder of its own")

    @property
    def files(self) -> dict[str, Path]:
        """What is read: a path for each split, class and place in the folder."""
        return {
            f"{photo.split}/{photo.label}/{'/'.join(photo.parts)}": self._folder.joinpath(*photo.parts)
            for photo in self._photos
        }

    def read(self) -> Collection:
        """The data set."""
        splits = {photo.split: [p for p in self._photos if p.split == photo.split] for photo in self._photos}
        return Collection({name: self._found(photos) for name, photos in splits.items()}, self.class_names)

    def _found(self, photos: Sequence[Photo]) -> Found:
        numbers = {name: number for number, name in enumerate(self.class_names)}

        def title(index: int) -> str:
            return f"'{shown(self._folder.joinpath(*photos[index].parts))}'"

        def items() -> Iterator[Item]:
            for index, photo in enumerate(photos):
                data = read_bytes(self._folder.joinpath(*photo.parts))
                yield decoded(data, title(index)), numbers[photo.label]

        return Found(len(photos), items, title)

    def _is_split(self, images: Sequence[Parts], top: int) -> bool:
        """Whether the folders at ``top`` are splits: named so, each with folders of classes.

        Raises:
            InvalidInput: some are, and others not.
        """
        deep = {parts[top] for parts in images if len(parts) > top + 2}
        names = {parts[top] for parts in images if len(parts) > top + 1}
        splits = {name for name in names if name.lower() in SPLITS}
        if not splits & deep:
            if names and names == splits:
                self._refuse_unlabelled(images, top)
            return False
        for parts in images:
            if len(parts) > top + 1 and parts[top] not in splits & deep:
                split = min(splits & deep)
                if parts[top] in splits:
                    self._refuse_unlabelled([parts], top)
                problem = f"{place(parts)} is in no split, but {split} beside its folder is one"
                fix = "move it into a split, or rename that folder if it is a class"
                raise self._refused(problem, fix)
        return True

    def _refuse_unlabelled(self, images: Sequence[Parts], top: int) -> None:
        """Raises: a folder is named as a split, but images lie in it without a class."""
        parts = next(parts for parts in images if len(parts) == top + 2)
        problem = f"{place(parts)} is in no folder of a class, as {parts[top]} is the name of a split"
        raise self._refused(problem, f"put it in one in there, or rename {parts[top]} if that is the class")

    def _refuse_uneven(self, images: Sequence[Parts]) -> None:
        """Raises: folders of classes lie in one another, so that a class could be either of two."""
        usual = Counter(map(len, images)).most_common(1)[0][0]
        for parts in images:
            if len(parts) != usual:
                there, here = usual - 1, len(parts) - 1
                other = next(other for other in images if len(other) == usual)
                problem = f"{place(parts)} lies {_folders(here)} deep, but most images {_folders(there)}"
                fix = f"put it in the folder of its class, as {place(other)} is"
                raise self._refused(problem, fix)

    def _refuse_empty_classes(self, files: Sequence[Parts]) -> None:
        """Raises: a class has a folder, but no image in any split, so that it would be missing."""
        known = {photo.label for photo in self._photos}
        full = {parts[:end] for parts in files for end in range(1, len(parts))}
        for parent in sorted({photo.parts[:-2] for photo in self._photos}):
            for path in sorted(self._folder.joinpath(*parent).iterdir()):
                is_hidden = path.name.startswith((".", "__"))
                is_known = path.name in known or (*parent, path.name) in full
                if path.is_dir() and not is_hidden and not is_known:
                    problem = f"the folder of the class {shown(path.name)} holds no image"
                    raise self._refused(problem, "give it some, or remove the folder")

    def _refused(self, problem: str, fix: str) -> InvalidInput:
        return refused(self._folder, problem, fix)


def refused(folder: Path, problem: str, fix: str) -> InvalidInput:
    """That a folder does not serve."""
    return InvalidInput("--data", f"'{shown(folder)}': {problem}", fix)


def visible(folder: Path) -> list[Parts]:
    """The files in a folder and below, but for hidden ones, in order.

    Raises:
        InvalidInput: there is a link to a folder, or an image that is no file, or a folder cannot be read.
    """
    found: list[Parts] = []
    for at, folders, names in os.walk(folder, onerror=lambda error: _unreadable(folder, error)):
        here = Path(at).relative_to(folder).parts
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
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
        suffix = os.path.splitext(parts[-1])[1].lower()  # noqa: PTH122 - a Path for each costs seconds
        if len(parts) < 2 or suffix in SUFFIXES:
            continue
        if suffix in UNREAD:
            problem = f"{place(parts)} is not read, as its format ({suffix}) is not known"
            raise refused(folder, problem, "make it PNG or JPEG, or take it away")
        if not suffix and _is_picture(folder.joinpath(*parts)):
            problem = f"{place(parts)} is not read, as its name has no suffix"
            raise refused(folder, problem, "add the suffix of its format, or take it away")


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
        raise InvalidInput("--data", problem, "let it be read, or remove it") from error


def _wrappers(images: Sequence[Parts]) -> int:
    """How many folders are around all others, as ``data`` in ``data/cat/1.png`` and ``data/dog/1.png``."""
    top = 0
    while True:
        inner = [parts for parts in images if len(parts) > top + 1]
        names = {parts[top] for parts in inner}
        is_wrapper = len(names) == 1 and all(len(parts) > top + 2 for parts in inner)
        if not is_wrapper or min(names).lower() in SPLITS:
            return top
        top += 1


def is_image(parts: Parts) -> bool:
    """Whether a file has the suffix of a format that is read."""
    return os.path.splitext(parts[-1])[1].lower() in SUFFIXES  # noqa: PTH122 - a Path for each costs seconds


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


def _folders(count: int) -> str:
    return "1 folder" if count == 1 else f"{count} folders"

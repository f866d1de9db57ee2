"""Reads a folder with a folder of images for each class, perhaps in folders of splits; guesses nothing."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.data.images import Collection, Found, Item, decoded
from nas.data.listing import Parts, counted, is_hidden, is_image, place, read_bytes, refused
from runtime.formats.pictures import shown
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
        self._refuse_empty(files, below[0][:top] if is_split else None)
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

    def _refuse_empty(self, files: Sequence[Parts], splits: Parts | None) -> None:
        """Raises: a folder of a class, or of a split in the folder ``splits``, holds files, but no image.

        Or a class has no image in any split. Empty may be the folder of a split, or of a class in one split.
        """
        known = {photo.label for photo in self._photos}
        full = {photo.parts[:end] for photo in self._photos for end in range(1, len(photo.parts))}
        parents = sorted({photo.parts[:-2] for photo in self._photos})
        within = [(*parent, name) for parent in parents for name in self._folders_in(parent)]
        beside = [] if splits is None else [(*splits, name) for name in self._folders_in(splits)]
        for parts in (*within, *(each for each in beside if each[-1].lower() in SPLITS)):
            if parts not in full:
                self._refuse_files_in(parts, files)
        for parts in within:
            if parts not in full and parts[-1] not in known:
                problem = f"the folder of the class {shown(parts[-1])} holds no image"
                raise self._refused(problem, "give it some, or remove the folder")

    def _folders_in(self, parent: Parts) -> list[str]:
        """The names of those that are not hidden."""
        found = self._folder.joinpath(*parent).iterdir()
        return sorted(path.name for path in found if path.is_dir() and not is_hidden(path.name))

    def _refuse_files_in(self, parts: Parts, files: Sequence[Parts]) -> None:
        """Raises: there are files in a folder without images."""
        within = [each for each in files if each[: len(parts)] == parts]
        if within:
            problem = f"the folder {place(parts)} holds no image, but {counted(within)}"
            hidden = f".{shown(parts[-1])}"
            fix = f"make them images of a format that is read, or remove it, or hide it as {hidden}"
            raise self._refused(problem, fix)

    def _refused(self, problem: str, fix: str) -> InvalidInput:
        return refused(self._folder, problem, fix)


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


def _folders(count: int) -> str:
    return "1 folder" if count == 1 else f"{count} folders"

"""The cache of decoded images: bytes on disk that are mapped into memory, by what they were made from.

A folder holds ``train.pixels.npy``, ``train.labels.npy`` and so on, and ``about.json``. It is written aside
and renamed, so that it is whole or not there.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from nas.data.data_set import Scaling, Source, Split
from nas.data.images import Collection, ColourError, Found, to_array
from runtime.folders import cache_folder
from search_spaces.errors import InvalidInput, Parameter

VERSION = "4"  # of what is written here, and how images are decoded
DESCRIPTION_FILE = "about.json"
SPLITS = ("train", "validation", "test")
CHUNK = 1 << 20
MAX_CLASSES = 100_000

Progress = Callable[[int, int], None]
"""Is told how many images of how many are decoded."""


class About(BaseModel):
    """What a folder of the cache holds.

    Attributes:
        splits: those there are.
        classes: how many.
        class_names: in the order of the labels; may be empty.
        shape: (H, W, C).
        mean: by channel, over the training images, in 0..255.
        deviation: likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    splits: list[str]
    classes: int = Field(ge=2)
    class_names: list[str]
    shape: tuple[int, int, int]
    mean: list[float]
    deviation: list[float]


def key_of(digest: str, size: int | None) -> str:
    """What decoded images are known by: the digest of what was read, and the size asked for."""
    return hashlib.sha256(f"{VERSION} {size} {digest}".encode()).hexdigest()


def digest_of(files: Mapping[str, str | Path], told: str = "") -> str:
    """A digest of a data set, the same on every machine that has the same.

    Args:
        files: by what each is to the data set, its split and its place in the folder: a path here, whose
            bytes count, or an address, which counts as it is.
        told: what is known of them from elsewhere, such as the names of their classes.
    """
    digest = hashlib.sha256(told.encode())
    for place, file in sorted(files.items(), key=lambda item: item[0]):
        digest.update(os.fsencode(f"\n{place} "))
        path = Path(file)
        if not path.is_file():
            digest.update(str(file).encode())
            continue
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def about(folder: Path) -> About | None:
    """What a folder of the cache holds; None where it is not there, or not whole."""
    try:
        held = About.model_validate_json((folder / DESCRIPTION_FILE).read_bytes())
        read(folder, held)
    except (OSError, EOFError, ValueError):  # pydantic's errors are values', too
        return None
    return held


def read(folder: Path, held: About) -> Source:
    """The splits, their pixels mapped into memory."""
    scaling = Scaling(tuple(held.mean), tuple(held.deviation))

    def split(name: str) -> Split:
        pixels = np.load(folder / _pixels(name), mmap_mode="r", allow_pickle=False)
        return Split.whole(pixels, np.load(folder / _labels(name), allow_pickle=False), scaling)

    return Source(**{name: split(name) for name in held.splits})


def write(folder: Path, collection: Collection, size: int | None, progress: Progress) -> About:
    """Decode a data set into ``folder``.

    Raises:
        InvalidInput: an image or a label is not like the others, or is missing; one class only; no image to
            train on. Nothing is left behind.
    """
    if not collection.splits.get("train"):
        found = ", ".join(collection.splits) or "none"
        raise InvalidInput("data", f"it has no split called train, but {found}", "name one so")
    _make(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-") as aside:
        try:
            held = _decode(Path(aside), collection, size, None, progress)
        except ColourError:  # grey ones came first
            held = _decode(Path(aside), collection, size, 3, progress)
        (Path(aside) / DESCRIPTION_FILE).write_text(held.model_dump_json(), encoding="utf-8")
        _move(Path(aside), folder)
    return held


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"'{folder}', where decoded images are kept, cannot be made ({error.strerror})"
        raise InvalidInput("NAS_CACHE", problem, "name a folder that can be written") from error


def _move(aside: Path, folder: Path) -> None:
    """Rename; where another process was first, or left half of it, that one stays or goes."""
    whole = Path(f"{aside}-whole")
    shutil.copytree(aside, whole, copy_function=os.link)  # the temporary folder removes itself
    try:
        whole.rename(folder)
    except OSError:
        if about(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)
            whole.rename(folder)
        else:
            shutil.rmtree(whole)


def _decode(
    aside: Path, collection: Collection, size: int | None, channels: int | None, progress: Progress
) -> About:
    splits = {name: collection.splits[name] for name in SPLITS if name in collection.splits}
    total = sum(found.count for found in splits.values())
    writer = _Writer(aside, collection.class_names, size, channels, lambda done: progress(done, total))
    labels = {name: writer.write(name, found) for name, found in splits.items() if found.count}
    height, width, depth = writer.shape
    mean, deviation = _statistics(np.load(aside / _pixels("train"), mmap_mode="r", allow_pickle=False))
    return About(
        splits=list(labels),
        classes=_classes(labels, collection.class_names),
        class_names=list(collection.class_names),
        shape=(height, width, depth),
        mean=mean,
        deviation=deviation,
    )


class _Writer:
    """Writes decoded splits, all of them of the first image's shape."""

    def __init__(
        self,
        folder: Path,
        class_names: Sequence[str],
        size: int | None,
        channels: int | None,
        progress: Callable[[int], None],
    ) -> None:
        self.shape: tuple[int, ...] = ()
        self._folder, self._names = folder, class_names
        self._size, self._channels = size, channels
        self._progress, self._done = progress, 0

    def write(self, split: str, found: Found) -> NDArray[np.int64]:
        """Decode a split; gives its labels."""
        labels = np.empty(found.count, np.int64)
        pixels: NDArray[np.uint8] | None = None
        for index, (image, label) in enumerate(found.items()):
            where = found.title(index) if found.title else f"image {index} of {split}"
            array = to_array(image, self._channels, self._size, where)
            if pixels is None:
                self.shape, self._channels = self.shape or array.shape, array.shape[2]
                shape = found.count, *self.shape
                path = self._folder / _pixels(split)
                pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
            labels[index] = _checked(array, label, self.shape, self._names, where)
            pixels[index] = array
            self._done += 1
            if self._done % 100 == 0 or index + 1 == found.count:
                self._progress(self._done)
        np.save(self._folder / _labels(split), labels, allow_pickle=False)
        return labels


def _pixels(split: str) -> str:
    return f"{split}.pixels.npy"


def _labels(split: str) -> str:
    return f"{split}.labels.npy"


def _checked(
    array: NDArray[np.uint8],
    label: int | None,
    shape: tuple[int, ...],
    names: Sequence[str],
    where: str,
) -> int:
    """The label, once the image is like the others and the label one that there is."""
    if array.shape != shape:
        problem = f"{where} is {_sides(array.shape)}, those before it {_sides(shape)}"
        raise InvalidInput("data", problem, ("bring them to one size with ", Parameter("image_size")))
    if label is None or label == -1:
        raise InvalidInput("data", f"{where} has no label", "give it one, or remove it")
    if not isinstance(label, int | np.integer) or label < 0:
        raise InvalidInput("data", f"{where} has the label {label!r}", "number the classes from 0")
    if names and label >= len(names):
        problem = f"{where} has label {label}, but there are {len(names)} classes"
        raise InvalidInput("data", problem, "mend the label")
    return int(label)


def _sides(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _classes(labels: dict[str, NDArray[np.int64]], names: Sequence[str]) -> int:
    """How many there are; every one must have an image to train on."""
    count = len(names) or int(max(found.max() for found in labels.values())) + 1
    if count > MAX_CLASSES:
        raise InvalidInput("data", f"it has labels up to {count - 1}", "number the classes from 0")
    trained = np.bincount(labels["train"], minlength=count)
    if (trained > 0).sum() < 2:
        raise InvalidInput("data", "all its training images are of one class", "give two classes at least")
    if not trained.all():
        lacking = int(np.flatnonzero(trained == 0)[0])
        name = f" ({names[lacking]})" if names else ""
        problem = f"no training image is of class {lacking}{name}"
        raise InvalidInput("data", problem, "number the classes from 0 and give images of each")
    return count


def _statistics(pixels: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation by channel; what is constant is left at its size."""
    sums = np.zeros((2, pixels.shape[3]))
    for start in range(0, len(pixels), 1000):
        part = pixels[start : start + 1000].astype(np.float64)
        sums += part.sum((0, 1, 2)), np.square(part).sum((0, 1, 2))
    mean, square = sums / (pixels.size / pixels.shape[3])
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return [round(float(m), 3) for m in mean], [round(float(d), 3) or 1.0 for d in deviation]


def entry(key: str) -> Path:
    """The folder of a key."""
    return cache_folder() / "data" / key[:32]

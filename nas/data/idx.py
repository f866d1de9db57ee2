"""Reads IDX files, MNIST's format: a header of big-endian numbers, then bytes."""

import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from nas.data.images import Collection, Found, Item
from search_spaces.errors import InvalidInput

_IMAGES = re.compile(r"(?P<split>train|t10k|test|validation)[-_.]images[-_.]idx3[-_.]ubyte(\.gz)?")
_SPLITS = {"t10k": "test"}
MAX_COMPRESSION = 1100  # times smaller than what it holds: what gzip reaches at best
_BYTES = 0x08  # the code of unsigned bytes in a header


def is_idx(folder: Path) -> bool:
    """Whether a folder holds images in IDX files."""
    return any(_IMAGES.fullmatch(path.name) for path in folder.iterdir())


def files(folder: Path) -> list[Path]:
    """The files that are read."""
    images = [path for path in sorted(folder.iterdir()) if _IMAGES.fullmatch(path.name)]
    return [file for path in images for file in (path, _labels_of(path))]


def read(folder: Path) -> Collection:
    """The data set in a folder.

    Raises:
        InvalidInput: a file is missing, cut short, or of another type.
    """
    splits = {}
    for path in sorted(folder.iterdir()):
        if match := _IMAGES.fullmatch(path.name):
            name = match["split"]
            splits[_SPLITS.get(name, name)] = _found(path)
    return Collection(splits)


def _found(path: Path) -> Found:
    images, labels = _read(path, 3), _read(_labels_of(path), 1)
    if len(images) != len(labels):
        problem = f"'{path.name}' has {len(images)} images, but there are {len(labels)} labels"
        raise InvalidInput("data", problem, "take both files from one source")

    def items() -> Iterator[Item]:
        return ((image, int(label)) for image, label in zip(images, labels, strict=True))

    return Found(len(images), items)


def _labels_of(images: Path) -> Path:
    """The file of labels beside one of images; it may be compressed or not, whatever the other is."""
    name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for path in (images.with_name(name), images.with_name(f"{name}.gz")):
        if path.exists():
            return path
    raise InvalidInput("data", f"'{images.name}' has no labels beside it", f"put {name} there")


def _read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(cast(IO[bytes], file), path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        reason = str(error) or type(error).__name__
        raise InvalidInput("data", f"'{path.name}' cannot be read ({reason})", "fetch it again") from error


def _parse(file: IO[bytes], path: Path, dimensions: int) -> NDArray[np.uint8]:
    header = file.read(4 + 4 * dimensions)
    if header[:4] != bytes([0, 0, _BYTES, dimensions]) or len(header) < 4 + 4 * dimensions:
        problem = f"'{path.name}' is no IDX file of bytes in {dimensions} dimensions"
        raise InvalidInput("data", problem, "fetch it again")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if not all(shape):
        raise InvalidInput("data", f"'{path.name}' holds no images", "give some")
    if math.prod(shape) > path.stat().st_size * MAX_COMPRESSION:
        raise InvalidInput("data", f"'{path.name}' holds less than its header says", "fetch it again")
    data = file.read(math.prod(shape) + 1)
    if len(data) != math.prod(shape):
        less = "less" if len(data) < math.prod(shape) else "more"
        raise InvalidInput("data", f"'{path.name}' holds {less} than its header says", "fetch it again")
    return np.frombuffer(data, np.uint8).reshape(shape)

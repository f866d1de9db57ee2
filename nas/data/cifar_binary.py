"""Reads CIFAR-10 and CIFAR-100 in their binary form: records of labels and 3072 bytes, plane by plane."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nas.data.images import Collection, Found, Item
from search_spaces.errors import InvalidInput

PIXELS = 3 * 32 * 32
CIFAR10_FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
CIFAR100_FILES = {"train": ["train.bin"], "test": ["test.bin"]}
TEN_NAMES, HUNDRED_NAMES = "batches.meta.txt", "fine_label_names.txt"


def is_cifar(folder: Path) -> bool:
    """Whether a folder holds either of them."""
    return (folder / CIFAR10_FILES["train"][0]).exists() or (folder / CIFAR100_FILES["train"][0]).exists()


def is_pickled(folder: Path) -> bool:
    """Whether a folder holds the form for Python, which is pickled."""
    names = ("batches.meta", "data_batch_1", "test_batch")
    is_hundred = (folder / "meta").exists() and (folder / "train").is_file()
    return is_hundred or any((folder / name).is_file() for name in names)


def files(folder: Path) -> list[Path]:
    """The files that are read."""
    names = [name for names in _parts(folder).values() for name in names]
    return [folder / name for name in (*names, TEN_NAMES, HUNDRED_NAMES) if (folder / name).exists()]


def read(folder: Path) -> Collection:
    """The data set in a folder; CIFAR-100 with its hundred fine labels.

    Raises:
        InvalidInput: a file is missing or no whole number of records long.
    """
    is_ten = _parts(folder) is CIFAR10_FILES
    splits = {
        split: _found([folder / name for name in names], 1 if is_ten else 2)
        for split, names in _parts(folder).items()
    }
    names = folder / (TEN_NAMES if is_ten else HUNDRED_NAMES)
    return Collection(splits, _names(names) if names.exists() else ())


def _names(path: Path) -> Sequence[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("data", f"'{path.name}' is no list of names", "fetch it again") from error
    found = [line.strip() for line in lines if line.strip()]
    if len(set(found)) < max(2, len(found)):
        problem = f"'{path.name}' holds fewer than two names, or one twice"
        raise InvalidInput("data", problem, "give each class a line of its own, or remove the file")
    return found


def _parts(folder: Path) -> dict[str, list[str]]:
    return CIFAR10_FILES if (folder / CIFAR10_FILES["train"][0]).exists() else CIFAR100_FILES


def _found(paths: Sequence[Path], labels: int) -> Found:
    record = labels + PIXELS
    sizes = []
    for path in paths:
        if not path.exists():
            raise InvalidInput("data", f"'{path.name}' is missing beside the others", "fetch it again")
        size = path.stat().st_size
        if size % record or not size:
            problem = f"'{path.name}' has {size} bytes, which are no whole number of {record}-byte records"
            raise InvalidInput("data", problem, "fetch it again")
        sizes.append(size // record)

    def items() -> Iterator[Item]:
        for path in paths:
            for one in np.fromfile(path, np.uint8).reshape(-1, record):
                # the last label is the finest
                yield one[labels:].reshape(3, 32, 32).transpose(1, 2, 0), int(one[labels - 1])

    return Found(sum(sizes), items)

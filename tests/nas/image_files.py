"""Files of images for tests of reading data, and what refusing them looks like."""

import gzip
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from nas.data import DataSet, load
from runtime.folders import cache_folder
from search_spaces.errors import InvalidInput


def pictures(count: int, *shape: int, seed: int = 0) -> Any:
    """Random pictures, and labels of three classes in turn."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % 3


def png(array: Any, mode: str | None = None) -> bytes:
    """A picture as a file."""
    stream = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(stream, "PNG")
    return stream.getvalue()


def image_folder(folder: Path, side: int = 8) -> None:
    """A folder of pictures for each of three classes, the first being grey."""
    images, labels = pictures(30, side, side, 3)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / "train" / ("apple", "bean", "corn")[label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image, "L" if label == 0 else None))


def parquet(path: Path, columns: dict[str, Any]) -> None:
    """A parquet file of the hub's kind: images as structs of bytes, and a note of what the columns are."""
    features = {
        "img": {"_type": "Image"},
        "other": {"_type": "Image"},
        "label": {"names": ["x", "y", "z"], "_type": "ClassLabel"},
        "name": {"dtype": "string", "_type": "Value"},
        "number": {"dtype": "int64", "_type": "Value"},
    }
    note = {"info": {"features": {name: features[name] for name in columns}}}
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    arrays = {
        name: pyarrow.array(values, picture if "Image" in str(features[name]) else None)
        for name, values in columns.items()
    }
    table = pyarrow.table(arrays).replace_schema_metadata({"huggingface": json.dumps(note)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)


def packed(images: Any) -> list[dict[str, Any]]:
    """Images as the hub's files hold them."""
    return [{"bytes": png(image), "path": None} for image in images]


def refused(path: Path | str, problem: str, **options: Any) -> None:
    """One line says what is wrong, and nothing is left in the cache."""
    with pytest.raises(InvalidInput, match=problem) as caught:
        load(str(path), **options)
    assert "\n" not in str(caught.value)
    assert not list(cache_folder().glob("data/*"))


def found(data: DataSet) -> tuple[Any, Any]:
    """All training and validation images that the data set holds, in their order in the file."""
    train = data.read().train
    return train.take(np.arange(len(train))), train.labels


def idx_folder(folder: Path, packed: bool = False) -> tuple[Any, Any]:
    """MNIST's four files."""
    given = {name: pictures(60, 6, 5, seed=seed) for name, seed in (("train", 1), ("t10k", 2))}
    idx_files(folder, given, packed)
    return given["train"]


def idx_files(folder: Path, given: dict[str, tuple[Any, Any]], packed: bool = False) -> None:
    """IDX files of images (n, H, W) and labels, by split."""
    folder.mkdir()
    for split, (images, labels) in given.items():
        for kind, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            data = header + array.tobytes()
            name = f"{split}-{kind}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)


def cifar_files(folder: Path, images: Any, labels: Any, hundred: bool = False) -> None:
    """CIFAR in its binary form, of images (n, 32, 32, 3), the first six of which are for testing, too."""
    folder.mkdir()
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    columns = [labels[:, None] * 0, labels[:, None]] if hundred else [labels[:, None]]
    records = np.concatenate([*columns, planes], axis=1).astype(np.uint8)
    names = ["train.bin"] if hundred else [f"data_batch_{i}.bin" for i in range(1, 6)]
    for name, part in zip(names, np.array_split(records, len(names)), strict=True):
        (folder / name).write_bytes(part.tobytes())
    (folder / ("test.bin" if hundred else "test_batch.bin")).write_bytes(records[:6].tobytes())

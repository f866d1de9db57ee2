"""Reads what the ``datasets`` library reads: folders of images, parquet files, and names on its hub."""

import os
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from nas.data.images import Collection, Found, Item
from search_spaces.errors import InvalidInput

FORMATS = ("parquet", "arrow", "imagefolder")
"""Its builders that hold images, and that open nothing pickled."""

_SPLITS = {"val": "validation", "valid": "validation", "dev": "validation"}
_LABELS = ("label", "labels", "fine_label")  # the column that counts where several could


class Hub:
    """A data set of the library's, by a path or a name; nothing is read before it is asked for.

    Raises:
        InvalidInput: the library does not know it, or not in a format that holds images.
    """

    def __init__(self, name: str, cache: Path) -> None:
        """``cache`` is a folder for what the library writes meanwhile, None for its own place."""
        import datasets

        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it raises is told in one line
        self._name = name
        path = Path(name)
        options: dict[str, Any] = {"cache_dir": str(cache)}
        if path.is_file():
            options["data_files"] = str(path)
            name = path.suffix.lstrip(".")
            if name not in FORMATS:
                problem = f"'{self._name}' is no {' or '.join(FORMATS[:2])} file"
                raise InvalidInput("--data", problem, "give one, or a folder of images by class")
        self._builder = _clearly(self._name, lambda: datasets.load_dataset_builder(name, **options))
        if self._builder.dataset_name is None or _format(self._builder) not in FORMATS:
            problem = f"'{self._name}' is read as {_format(self._builder)}, which holds no images"
            raise InvalidInput("--data", problem, f"give one of {', '.join(FORMATS)}")

    @property
    def files(self) -> dict[str, str]:
        """What is read: a path or an address for each split and place in its folder."""
        found: dict[str, str] = {}
        for split, paths in (self._builder.config.data_files or {}).items():
            names = [str(path) for path in paths]
            root = os.path.commonpath(names) if len(names) > 1 else os.path.dirname(names[0])  # noqa: PTH120 - Path would spoil addresses
            found |= {f"{split}/{os.path.relpath(name, root)}": name for name in names}
        return found

    def read(self) -> Collection:
        """The data set.

        Raises:
            InvalidInput: a file is broken, or which column holds the images or the labels cannot be told.
        """
        import datasets

        def prepare() -> Any:
            self._builder.download_and_prepare()
            return self._builder.as_dataset()

        tables = _clearly(self._name, prepare)
        first = next(iter(tables.values()))
        image = self._column(first.features, lambda kind: isinstance(kind, datasets.Image), "images")
        label = self._label(first.features)
        names = self._names(tables, first, label)
        splits = {
            _SPLITS.get(str(name), str(name)): self._found(table, image, label, names)
            for name, table in tables.items()
        }
        return Collection(splits, names)

    def _label(self, features: Any) -> str:
        import datasets

        classed = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
        known = [name for name in _LABELS if name in classed] or [
            name for name in _LABELS if name in features
        ]
        if known:
            return known[0]

        def is_label(kind: Any) -> bool:
            if isinstance(kind, datasets.ClassLabel):
                return True
            whole = isinstance(kind, datasets.Value) and ("int" in kind.dtype or kind.dtype == "string")
            return not classed and whole

        return self._column(features, is_label, "labels")

    def _column(self, features: Any, fits: Any, what: str) -> str:
        names = [name for name, kind in features.items() if fits(kind)]
        if not names and what == "labels" and _format(self._builder) == "imagefolder":
            problem = f"'{self._name}' has images of one class only, or none by class"
            raise InvalidInput("--data", problem, "put those of each class into a folder of its own")
        if len(names) == 1:
            return str(names[0])
        found = f"columns {', '.join(names)} could be" if names else "no column is"
        problem = f"'{self._name}': {found} its {what}; it has {', '.join(features)}"
        fix = "keep one column of images, and one called label"
        raise InvalidInput("--data", problem, fix)

    def _names(self, tables: Any, first: Any, label: str) -> Sequence[str]:
        kind = first.features[label]
        if getattr(kind, "names", None):
            return [str(name) for name in kind.names]
        if getattr(kind, "dtype", None) == "string":
            words = {word for table in tables.values() for word in table.unique(label)}
            return sorted(str(word) for word in words if word is not None)
        return ()

    def _found(self, table: Any, image: str, label: str, names: Sequence[str]) -> Found:
        numbers: dict[Any, int] = {name: number for number, name in enumerate(names)}

        def items() -> Iterator[Item]:
            undecoded = table.select_columns([image, label]).cast_column(image, _undecoded())
            for index, row in enumerate(undecoded):
                packed, value = row[image], row[label]
                if packed is None:
                    raise InvalidInput("--data", f"image {index} is missing", "remove its row")
                where = packed["path"] or f"image {index} of {self._name}"
                picture = _clearly(where, partial(_decoded, packed))
                yield picture, numbers[value] if isinstance(value, str) else value

        return Found(len(table), items)


def _undecoded() -> Any:
    import datasets

    return datasets.Image(decode=False)


def _decoded(packed: dict[str, Any]) -> Any:
    """The picture in a row: the bytes of a file, or its path. The library itself would leave it open."""
    from PIL import Image

    data = packed["bytes"] if packed["bytes"] is not None else Path(packed["path"]).read_bytes()
    picture = Image.open(BytesIO(data))
    picture.load()
    return picture


def _format(builder: Any) -> str:
    """``parquet`` for the builder of that format."""
    return str(type(builder).__module__).rsplit(".", 1)[-1]


def _clearly(what: str, do: Any) -> Any:
    """Do it; what the library raises becomes one line."""
    import datasets.exceptions
    import pyarrow
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError

    try:
        return do()
    except (
        datasets.exceptions.DatasetsError,
        datasets.exceptions.DatasetGenerationError,
        pyarrow.ArrowInvalid,
        OSError,  # PIL's and the network's, too
        ValueError,
        SyntaxError,  # PIL's for broken PNG files
        struct.error,  # PIL's for files that end early
        DecompressionBombError,
    ) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
        reason = "it is no image" if isinstance(error, UnidentifiedImageError | struct.error) else reason
        raise InvalidInput("--data", f"'{what}' cannot be read ({reason})", "mend or replace it") from error

"""Reads what the ``datasets`` library reads: folders of images, parquet files, and names on its hub."""

import os
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from nas.data.image_folder import refuse_left_out
from nas.data.images import Collection, Found, Item
from search_spaces.errors import InvalidInput

FORMATS = ("parquet", "arrow", "imagefolder")
"""Its builders that hold images, and that open nothing pickled."""

_SPLITS = {"val": "validation", "valid": "validation", "dev": "validation"}
_LABELS = ("label", "labels", "fine_label")  # the column that counts where several could
_WORDS = ("string", "large_string", "string_view")


class Hub:
    """A data set of the library's, by a path or a name; nothing is read before it is asked for.

    Raises:
        InvalidInput: the library does not know it, or not in a format that holds images.
    """

    def __init__(self, name: str, cache: Path) -> None:
        """``cache`` is a folder for what the library writes meanwhile, None for its own place."""
        import datasets
        import huggingface_hub

        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it raises is told in one line
        huggingface_hub.logging.set_verbosity(datasets.logging.CRITICAL)
        self._name = name
        path = Path(name)
        options: dict[str, Any] = {"cache_dir": str(cache)}
        if path.is_file():
            options["data_files"] = str(path)
            name = path.suffix.lstrip(".")
            if name not in FORMATS:
                problem = f"'{self._name}' is no {' or '.join(FORMATS[:2])} file"
                raise InvalidInput("--data", problem, "give one, or a folder of images by class")
        self._builder = _clearly(self._name, lambda: _builder(name, options))
        if self._builder.dataset_name is None or _format(self._builder) not in FORMATS:
            problem = f"'{self._name}' is read as {_format(self._builder)}, which holds no images"
            raise InvalidInput("--data", problem, f"give one of {', '.join(FORMATS)}")
        if path.is_dir() and _format(self._builder) == "imagefolder":
            refuse_left_out(path, [Path(file) for file in self.files.values()], self._images())

    @property
    def files(self) -> dict[str, str]:
        """What is read: a path or an address for each split and place in its folder."""
        found: dict[str, str] = {}
        for split, paths in (self._builder.config.data_files or {}).items():
            names = [str(path) for path in paths]
            root = os.path.commonpath(names) if len(names) > 1 else os.path.dirname(names[0])  # noqa: PTH120 - Path would spoil addresses
            found |= {f"{split}/{os.path.relpath(name, root)}": name for name in names}
        return found

    @property
    def told(self) -> str:
        """What a data set's card says of its columns, and of the names of its classes; empty without one."""
        features = self._builder.info.features
        return "" if features is None else str(features)

    def read(self) -> Collection:
        """The data set.

        Raises:
            InvalidInput: a file is broken, or which column holds the images or the labels cannot be told.
        """
        known = _clearly(self._name, self._known_features)
        if known is not None:
            self._columns(known)  # what does not serve is refused before all is copied

        def prepare() -> Any:
            self._builder.download_and_prepare()
            return self._builder.as_dataset()

        tables = _clearly(self._name, prepare)
        self._refuse_dropped(sum(len(table) for table in tables.values()))
        first = next(iter(tables.values()))
        image, label = self._columns(first.features)
        names = self._names(tables, first, label)
        splits = {
            _SPLITS.get(str(name), str(name)): self._found(table, image, label, names)
            for name, table in tables.items()
        }
        return Collection(splits, names)

    def _images(self) -> list[Path]:
        """The files of images in a folder of them."""
        known = tuple(self._builder.EXTENSIONS)
        return [Path(file) for file in self.files.values() if file.lower().endswith(known)]

    def _refuse_dropped(self, count: int) -> None:
        """Where a metadata file tells the labels, the library leaves out what it does not name."""
        if _format(self._builder) != "imagefolder" or count >= (of := len(self._images())):
            return
        problem = f"'{self._name}': its metadata file has no line for {of - count} of its {of} images"
        raise InvalidInput("--data", problem, "add their labels, or remove them")

    def _known_features(self) -> Any:
        """The columns and their types before anything is prepared; None where they cannot be told."""
        import datasets
        import pyarrow.parquet

        paths = list(self.files.values())
        if self._builder.info.features is not None or _format(self._builder) != "parquet":
            return self._builder.info.features
        if not paths or not Path(paths[0]).is_file():
            return None
        return datasets.Features.from_arrow_schema(pyarrow.parquet.read_schema(paths[0]))

    def _columns(self, features: Any) -> tuple[str, str]:
        """Those of the images and of the labels."""
        import datasets

        image = self._column(features, lambda kind: isinstance(kind, datasets.Image), "images")
        return image, self._label(features)

    def _label(self, features: Any) -> str:
        """The column of the labels.

        Raises:
            InvalidInput: there are several, or none, or it holds neither whole numbers nor words.
        """
        import datasets

        classed = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
        known = [name for name in _LABELS if name in classed] or [
            name for name in _LABELS if name in features
        ]
        if known:
            return self._checked(known[0], features[known[0]])

        def is_label(kind: Any) -> bool:
            if isinstance(kind, datasets.ClassLabel):
                return True
            return not classed and _type_name(kind) != "bool" and _is_label(kind)

        return self._column(features, is_label, "labels")

    def _checked(self, name: str, kind: Any) -> str:
        """``name``, where that column can hold labels."""
        if not _is_label(kind):
            problem = f"'{self._name}': its column {name} is of type {_type_name(kind)}, which is no label"
            raise InvalidInput("--data", problem, "make it whole numbers from 0, or words")
        return name

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
        if getattr(kind, "dtype", None) in _WORDS:
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


def _is_label(kind: Any) -> bool:
    """Whether a column of this type can hold labels."""
    import datasets

    if not isinstance(kind, datasets.Value):
        return isinstance(kind, datasets.ClassLabel)
    return kind.dtype in (*_WORDS, "bool") or kind.dtype.startswith(("int", "uint"))


def _type_name(kind: Any) -> str:
    """``float64``, ``List``, ``dict``: what to call the type of a column."""
    import datasets

    return str(kind.dtype) if isinstance(kind, datasets.Value) else type(kind).__name__


def _undecoded() -> Any:
    import datasets

    return datasets.Image(decode=False)


def _decoded(packed: dict[str, Any]) -> Any:
    """The picture in a row: the bytes of a file, or its path. The library itself would leave it open.

    Raises:
        ValueError: it is none, or a broken one; PIL's words for it are about buffers and offsets.
    """
    from PIL import Image

    data = packed["bytes"] if packed["bytes"] is not None else Path(packed["path"]).read_bytes()
    try:
        picture = Image.open(BytesIO(data))
        picture.load()
    except (OSError, SyntaxError, ValueError, struct.error):
        raise ValueError("it is a broken image, or none") from None
    return picture


def _builder(name: str, options: dict[str, Any]) -> Any:
    """The library's builder for a folder, a format or a name on the hub.

    Raises:
        InvalidInput: it is neither here nor on the hub, or comes with a script.
    """
    import datasets
    from huggingface_hub.errors import HFValidationError

    try:
        return datasets.load_dataset_builder(name, **options)
    except (datasets.exceptions.DatasetNotFoundError, ConnectionError, HFValidationError) as error:
        is_away = isinstance(error, ConnectionError)
        reason = "the hub does not answer" if is_away else " ".join(str(error).split())
        problem = f"'{name}' is no folder or file here, and no name on the hub that can be reached ({reason})"
        raise InvalidInput("--data", problem, "mend the path or the name") from error
    except datasets.exceptions.DataFilesNotFoundError as error:
        fix = (
            "give images by class, parquet, IDX files named as MNIST's, or the folder of CIFAR's binary form"
        )
        raise InvalidInput("--data", f"'{name}' holds nothing that is known as data", fix) from error
    except RuntimeError as error:  # of the script, which the library does not run
        if "script" not in str(error):
            raise
        script = Path(name).name.removesuffix(".py") + ".py"
        problem = f"'{name}' comes with a script that reads it, {script}, and no script is run"
        fix = "remove the script, or give parquet, or images by class"
        raise InvalidInput("--data", problem, fix) from error


def _format(builder: Any) -> str:
    """``parquet`` for the builder of that format."""
    return str(type(builder).__module__).rsplit(".", 1)[-1]


def _clearly(what: str, do: Any) -> Any:
    """Do it; what the library raises becomes one line."""
    import datasets.exceptions
    import pyarrow
    from PIL.Image import DecompressionBombError

    try:
        return do()
    except InvalidInput:
        raise
    except (
        datasets.exceptions.DatasetsError,
        datasets.exceptions.DatasetGenerationError,
        pyarrow.ArrowInvalid,
        OSError,  # the network's, too
        ValueError,
        DecompressionBombError,
    ) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
        raise InvalidInput("--data", f"'{what}' cannot be read ({reason})", "mend or replace it") from error

"""Reads what the ``datasets`` library reads: folders of images, parquet files, and names on its hub."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nas.data.columns import class_names, columns
from nas.data.images import Collection, Found, Item, decoded
from nas.data.listing import read_bytes, visible
from runtime.formats.pictures import shown
from search_spaces.errors import InvalidInput

FORMATS = ("parquet", "arrow", "imagefolder")
"""Its builders that hold images, and that open nothing pickled."""

_SPLITS = {"val": "validation", "valid": "validation", "dev": "validation"}


class Hub:
    """A data set of the library's, by a path or a name; nothing is read before it is asked for.

    Raises:
        InvalidInput: the library does not know it, or not in a format that holds images.
    """

    def __init__(self, name: str, cache: Path) -> None:
        """``cache`` is a folder for what is written meanwhile."""
        import datasets
        import huggingface_hub

        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it raises is told in one line
        huggingface_hub.logging.set_verbosity(datasets.logging.CRITICAL)
        self._name = name
        path = Path(name)
        options: dict[str, Any] = {"cache_dir": str(cache)}
        if path.exists():
            name = str(plainly_named(path, cache / "links"))
        if path.is_file():
            options["data_files"] = name
            name = path.suffix.lstrip(".").lower()
            if name not in FORMATS[:2]:
                problem = f"'{self._name}' is no {' or '.join(FORMATS[:2])} file"
                raise InvalidInput("data", problem, "give one, or a folder of images by class")
        self._builder = _clearly(self._name, lambda: _builder(name, self._name, options))
        if self._builder.dataset_name is None or _format(self._builder) not in FORMATS:
            problem = f"'{self._name}' is read as {_format(self._builder)}, which holds no images"
            raise InvalidInput("data", problem, f"give one of {', '.join(FORMATS)}")

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
            columns(self._name, known)  # what does not serve is refused before all is copied

        def prepare() -> Any:
            self._builder.download_and_prepare()
            return self._builder.as_dataset()

        tables = _clearly(self._name, prepare)
        self._refuse_dropped(sum(len(table) for table in tables.values()))
        image, label = columns(self._name, next(iter(tables.values())).features)
        names = class_names(list(tables.values()), label)
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
        raise InvalidInput("data", problem, "add their labels, or remove them")

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

    def _found(self, table: Any, image: str, label: str, names: Sequence[str]) -> Found:
        numbers: dict[Any, int] = {name: number for number, name in enumerate(names)}

        def items() -> Iterator[Item]:
            undecoded = table.select_columns([image, label]).cast_column(image, _undecoded())
            for index, row in enumerate(undecoded):
                packed, value = row[image], row[label]
                if packed is None:
                    raise InvalidInput("data", f"image {index} is missing", "remove its row")
                where = f"'{shown(packed['path'] or f'image {index} of {self._name}')}'"
                yield decoded(_bytes(packed), where), numbers[value] if isinstance(value, str) else value

        return Found(len(table), items)


def _undecoded() -> Any:
    import datasets

    return datasets.Image(decode=False)


def _bytes(packed: dict[str, Any]) -> bytes:
    """The bytes of the file in a row, which may be its path."""
    data: bytes | None = packed["bytes"]
    return read_bytes(Path(packed["path"])) if data is None else data


def plainly_named(path: Path, links: Path) -> Path:
    """A path whose name the library does not take for a pattern: links in ``links`` where it would."""
    plain = path.resolve()
    if re.fullmatch(r"[\w./ -]+", str(plain)):
        return path
    links.mkdir()
    if path.is_file():
        (link := links / f"data{path.suffix.lower()}").symlink_to(plain)
        return link
    for parts in visible(path):
        link = links.joinpath(*parts)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(plain.joinpath(*parts))
    return links


def _builder(name: str, title: str, options: dict[str, Any]) -> Any:
    """The library's builder for a folder, a format or a name on the hub; ``title`` is what users call it.

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
        problem = (
            f"'{title}' is no folder or file here, and no name on the hub that can be reached ({reason})"
        )
        raise InvalidInput("data", problem, "mend the path or the name") from error
    except datasets.exceptions.DataFilesNotFoundError as error:
        fix = (
            "give images by class, parquet, IDX files named as MNIST's, or the folder of CIFAR's binary form"
        )
        raise InvalidInput("data", f"'{title}' holds nothing that is known as data", fix) from error
    except RuntimeError as error:  # of the script, which the library does not run
        if "script" not in str(error):
            raise
        script = Path(title).name.removesuffix(".py") + ".py"
        problem = f"'{title}' comes with a script that reads it, {script}, and no script is run"
        fix = "remove the script, or give parquet, or images by class"
        raise InvalidInput("data", problem, fix) from error


def _format(builder: Any) -> str:
    """``parquet`` for the builder of that format."""
    return str(type(builder).__module__).rsplit(".", 1)[-1]


def _clearly(what: str, do: Any) -> Any:
    """Do it; what the library raises becomes one line."""
    import datasets.exceptions
    import pyarrow

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
    ) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
        raise InvalidInput("data", f"'{what}' cannot be read ({reason})", "mend or replace it") from error

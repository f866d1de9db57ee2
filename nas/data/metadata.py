"""Reads a folder of images whose labels ``metadata.csv``, ``.jsonl`` or ``.parquet`` tells."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nas.data.columns import class_names, label_column
from nas.data.image_folder import SPLITS
from nas.data.images import Collection, Found, Item, decoded
from nas.data.listing import Parts, is_image, place, read_bytes, refused
from runtime.formats.pictures import shown

FORMATS = (".csv", ".jsonl", ".parquet")
FILE_COLUMN = "file_name"


def is_metadata(parts: Parts) -> bool:
    """Whether a file is one that tells labels."""
    path = Path(parts[-1])
    return path.stem == "metadata" and path.suffix in FORMATS


class DescribedFolder:
    """A folder of images, each of which has a line in a metadata file in its folder or above.

    Raises:
        InvalidInput: a file cannot be read, or is not about just the images that there are.
    """

    def __init__(self, folder: Path, files: Sequence[Parts]) -> None:
        """``files`` is what ``listing.visible`` found."""
        self._folder = folder
        self._told = [parts for parts in files if is_metadata(parts)]
        images = [parts for parts in files if is_image(parts)]
        tables = [self._table(parts) for parts in self._told]
        columns = {label_column(str(folder), _without_file(table.features)) for table in tables}
        if len(columns) > 1:
            problem = f"its metadata files have labels in the columns {' and '.join(sorted(columns))}"
            raise refused(folder, problem, "name the column label in all of them")
        (label,) = columns
        self.class_names = class_names(tables, label)
        self._labels = self._by_image(tables, label, images)
        self._splits = self._by_split(images)

    @property
    def files(self) -> dict[str, Path]:
        """What is read: a path for each split and place in the folder, and for the metadata files."""
        images = {f"{split}/{'/'.join(p)}": p for split, found in self._splits.items() for p in found}
        described = {f"metadata/{'/'.join(parts)}": parts for parts in self._told}
        return {key: self._folder.joinpath(*parts) for key, parts in (images | described).items()}

    def read(self) -> Collection:
        """The data set."""
        splits = {split: self._found(images) for split, images in self._splits.items()}
        return Collection(splits, self.class_names)

    def _found(self, images: Sequence[Parts]) -> Found:
        numbers: dict[Any, int] = {name: number for number, name in enumerate(self.class_names)}

        def title(index: int) -> str:
            return f"'{shown(self._folder.joinpath(*images[index]))}'"

        def items() -> Iterator[Item]:
            for index, parts in enumerate(images):
                label = self._labels[parts]
                number = numbers[label] if isinstance(label, str) else label
                yield decoded(read_bytes(self._folder.joinpath(*parts)), title(index)), number

        return Found(len(images), items, title)

    def _table(self, parts: Parts) -> Any:
        """A metadata file, as a table of the ``datasets`` library."""
        import datasets
        import pyarrow

        path = self._folder.joinpath(*parts)
        try:
            table = datasets.Dataset(_read(path))
        except (pyarrow.ArrowInvalid, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise refused(self._folder, f"{place(parts)} cannot be read ({reason})", "mend it") from error
        if FILE_COLUMN not in table.features:
            problem = f"{place(parts)} has no column {FILE_COLUMN}, but {', '.join(table.features)}"
            raise refused(self._folder, problem, f"name the column of the paths {FILE_COLUMN}")
        return table

    def _by_image(self, tables: Sequence[Any], label: str, images: Sequence[Parts]) -> dict[Parts, Any]:
        """The label of each image.

        Raises:
            InvalidInput: an image has none, or two, or is not there.
        """
        found: dict[Parts, Any] = {}
        for parts, table in zip(self._told, tables, strict=True):
            for name, value in zip(table[FILE_COLUMN], table[label], strict=True):
                image = (*parts[:-1], *Path(str(name)).parts)
                if found.setdefault(image, value) != value:
                    raise refused(self._folder, f"{place(image)} has two labels", "remove one of its lines")
        there = set(images)
        if absent := sorted(set(found) - there):
            problem = f"a metadata file names {place(absent[0])}, which is no image there"
            raise refused(self._folder, problem, "add it, or remove its line")
        if without := [parts for parts in images if parts not in found]:
            problem = f"its metadata file has no line for {len(without)} of its {len(images)} images"
            fix = f"add their labels, or remove them, as {place(without[0])}"
            raise refused(self._folder, problem, fix)
        return found

    def _by_split(self, images: Sequence[Parts]) -> dict[str, list[Parts]]:
        """The images of each split; all are to train on, unless all lie in folders named as splits."""
        named = [parts for parts in images if len(parts) > 1 and parts[0].lower() in SPLITS]
        if len(named) < len(images):
            if named:
                other = next(parts for parts in images if parts not in named)
                problem = f"{place(other)} is in no split, but {place(named[0][:1])} beside it is one"
                raise refused(self._folder, problem, "move it into a split, or rename that folder")
            return {"train": list(images)}
        splits: dict[str, list[Parts]] = {}
        for parts in images:
            splits.setdefault(SPLITS[parts[0].lower()], []).append(parts)
        return splits


def _without_file(features: Any) -> dict[str, Any]:
    return {name: kind for name, kind in features.items() if name != FILE_COLUMN}


def _read(path: Path) -> Any:
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    if path.suffix == ".csv":
        return pyarrow.csv.read_csv(path)
    return pyarrow.json.read_json(path) if path.suffix == ".jsonl" else pyarrow.parquet.read_table(path)

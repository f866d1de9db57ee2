"""Which columns of a table hold the images and the labels, and what the classes are called."""

from collections.abc import Sequence
from typing import Any

from search_spaces.errors import InvalidInput

LABEL_COLUMNS = ("label", "labels", "fine_label")
"""The column that counts where several could."""

STRING_TYPES = ("string", "large_string", "string_view")


def columns(name: str, features: Any) -> tuple[str, str]:
    """Those of the images and of the labels, by the features of the ``datasets`` library.

    Args:
        name: of the data set, for errors.
        features: name and type of each column.

    Raises:
        InvalidInput: there are several, or none.
    """
    import datasets

    image = _column(name, features, lambda kind: isinstance(kind, datasets.Image), "images")
    return image, label_column(name, features)


def label_column(name: str, features: Any) -> str:
    """The column of the labels.

    Raises:
        InvalidInput: there are several, or none, or it holds neither whole numbers nor words.
    """
    import datasets

    classed = [column for column, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    known = [column for column in LABEL_COLUMNS if column in classed] or [
        column for column in LABEL_COLUMNS if column in features
    ]
    if known:
        return _checked(name, known[0], features[known[0]])

    def is_label(kind: Any) -> bool:
        if isinstance(kind, datasets.ClassLabel):
            return True
        return not classed and _type_name(kind) != "bool" and _is_label(kind)

    return _column(name, features, is_label, "labels")


def class_names(tables: Sequence[Any], label: str) -> Sequence[str]:
    """The names of the classes in the column ``label``: its own, or its words in order; else none."""
    kind = tables[0].features[label]
    if getattr(kind, "names", None):
        return [str(name) for name in kind.names]
    if getattr(kind, "dtype", None) in STRING_TYPES:
        words = {word for table in tables for word in table.unique(label)}
        return sorted(str(word) for word in words if word is not None)
    return ()


def _checked(name: str, column: str, kind: Any) -> str:
    """``column``, where it can hold labels."""
    if not _is_label(kind):
        problem = f"'{name}': its column {column} is of type {_type_name(kind)}, which is no label"
        raise InvalidInput("data", problem, "make it whole numbers from 0, or words")
    return column


def _column(name: str, features: Any, fits: Any, what: str) -> str:
    names = [column for column, kind in features.items() if fits(kind)]
    if len(names) == 1:
        return str(names[0])
    found = f"columns {', '.join(names)} could be" if names else "no column is"
    problem = f"'{name}': {found} its {what}; it has {', '.join(features)}"
    fix = "keep one column of images, and one called label"
    raise InvalidInput("data", problem, fix)


def _is_label(kind: Any) -> bool:
    """Whether a column of this type can hold labels."""
    import datasets

    if not isinstance(kind, datasets.Value):
        return isinstance(kind, datasets.ClassLabel)
    return kind.dtype in (*STRING_TYPES, "bool") or kind.dtype.startswith(("int", "uint"))


def _type_name(kind: Any) -> str:
    """``float64``, ``List``, ``dict``: what to call the type of a column."""
    import datasets

    return str(kind.dtype) if isinstance(kind, datasets.Value) else type(kind).__name__

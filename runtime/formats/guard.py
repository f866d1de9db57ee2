"""What is checked of an artifact's files before any of them is used: somebody else may have written them."""

import json
import stat
import struct
from math import prod
from pathlib import Path
from typing import Any

from search_spaces.errors import BitnasError

MAX_BYTES = 1 << 32
"""Of a file, and of each block of memory that a manifest asks for."""
MAX_TEXT = 4 << 20
"""Bytes of a file of JSON, and of the header of a safetensors file: what is parsed whole."""
DTYPE_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


class TwiceError(ValueError):
    """A key is in an object twice: two readers could take either."""


def strict_json(content: bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is none, has a key twice in an object, or is nested too deeply.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TwiceError("a key is there twice")
    return found


def check_name(name: str, manifest: Path) -> None:
    """Refuse a name that is not of a file right in the folder.

    Raises:
        BitnasError: it is none.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise BitnasError(f"{manifest}: {name!r} lies outside the artifact; export it again")


def check_regular(path: Path) -> None:
    """Refuse what is no file of a size that can be: links, folders, pipes; nothing is opened.

    Raises:
        BitnasError: it is missing, no file, or too large.
    """
    try:
        found = path.lstat()
    except OSError as error:
        raise BitnasError(f"{path}: the file is missing; export it again") from error
    if stat.S_ISLNK(found.st_mode):
        raise BitnasError(f"{path}: it is a link, which is not followed; export it again")
    if not stat.S_ISREG(found.st_mode):
        raise BitnasError(f"{path}: it is no file; export it again")
    most = MAX_TEXT if path.suffix == ".json" else MAX_BYTES
    if found.st_size > most:
        raise BitnasError(f"{path}: it has more than {most:,} bytes; export it again")


def check_tensors(path: Path) -> None:
    """Refuse a safetensors file whose tensors do not fill it, one behind the other.

    Raises:
        BitnasError: it is malformed, or tensors overlap, leave gaps, or are larger than the file.
    """
    try:
        _check_header(path)
    except (OSError, ValueError) as error:
        raise BitnasError(f"{path}: it does not hold its tensors ({error}); export it again") from error


def _check_header(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(MAX_TEXT, size - 8):
            raise ValueError("its header is larger than the file, or than a header may be")
        header = strict_json(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    notes = header.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(value, str) for value in notes.values()):
        raise ValueError("its metadata is no text")
    reached = 0
    for begin, end, name in sorted((*_span(entry, name), name) for name, entry in header.items()):
        if begin != reached:
            how = "overlaps another" if begin < reached else "leaves a gap before it"
            raise ValueError(f"tensor {name!r} {how}")
        reached = end
    if reached != size - 8 - length:
        raise ValueError(f"its tensors end at byte {reached:,} of {size - 8 - length:,}")


def _span(entry: Any, name: str) -> tuple[int, int]:
    """Where a tensor's bytes begin and end, behind the header."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r} has other keys than dtype, shape and data_offsets")
    shape, offsets = (_counts(entry[key], name) for key in ("shape", "data_offsets"))
    width = DTYPE_BYTES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if width is None or len(offsets) != 2:
        raise ValueError(f"tensor {name!r} has no known type, or no two offsets")
    if offsets[1] - offsets[0] != width * prod(shape):
        raise ValueError(f"tensor {name!r} has other bytes than its shape takes")
    return offsets[0], offsets[1]


def _counts(values: Any, name: str) -> list[int]:
    if not isinstance(values, list) or not all(type(v) is int and 0 <= v <= MAX_BYTES for v in values):
        raise ValueError(f"tensor {name!r} has a shape or offsets that are no counts")
    return values

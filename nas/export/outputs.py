"""Folders to write into: those that do not serve are refused before any work is done."""

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from search_spaces.errors import InvalidInput, Parameter


def check_output(parameter: str, output: Path, halves: Collection[Path] = ()) -> None:
    """Refuse a folder that holds something or cannot be written, before any work is done.

    Args:
        parameter: what users name it by.
        output: the folder.
        halves: files in it that do not count: what a kill left of them will be written over.

    Raises:
        InvalidInput: it does not serve; nothing is left there.
    """
    try:
        is_taken = os.path.lexists(output) and (not output.is_dir() or bool({*output.iterdir()} - {*halves}))
        if not is_taken:
            _make_aside(output)
    except OSError as error:
        problem = f"'{output}' cannot be written ({error.strerror})"
        raise InvalidInput(parameter, problem, "name another folder") from error
    if is_taken:
        raise InvalidInput(parameter, f"'{output}' is there already", "name a folder that is new or empty")


def check_outputs(output: Path, c_source: Path | None) -> None:
    """Refuse folders for a network and for its C form that do not serve, before any work is done.

    Raises:
        InvalidInput: one does not, or the first would lie in the second.
    """
    check_output("output", output)
    if c_source is None:
        return
    check_output("c_source", c_source)
    if c_source.resolve() in (output.resolve(), *output.resolve().parents):
        problem = (f"'{c_source}' would hold what ", Parameter("output"), " writes")
        raise InvalidInput("c_source", problem, "name a folder of its own")


def _make_aside(folder: Path) -> None:
    """Make what is missing of a folder under another name, as rights alone do not tell, and remove it."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    with tempfile.TemporaryDirectory(dir=there, prefix=".bitnas-") as aside:
        (Path(aside) / folder.relative_to(there)).mkdir(parents=True, exist_ok=True)

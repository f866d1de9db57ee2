"""Folders: new ones, written aside and renamed so that one that is there is whole, and the user's cache."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_spaces.errors import BitnasError, InvalidInput


@contextmanager
def new_folder(directory: Path) -> Iterator[Path]:
    """A folder to write into; it becomes ``directory``, which is new or empty, when all is written.

    Raises:
        InvalidInput: the folder holds something.
        BitnasError: it cannot be written.
    """
    directory = directory.absolute()  # of "." nothing could be renamed
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InvalidInput("output", f"'{directory}' is there already", "name a folder that is new or empty")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            yield aside
            aside.chmod(0o755)
            aside.replace(directory)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise BitnasError(
            f"output: '{directory}' cannot be written ({error.strerror}); choose another"
        ) from error


def cache_folder() -> Path:
    """Where decoded images and compiled kernels are kept: NAS_CACHE, or the user's folder for such things."""
    chosen = os.environ.get("NAS_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bitnas"

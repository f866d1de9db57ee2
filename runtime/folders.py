"""Folders: new ones, written aside and renamed so that one that is there is whole; the user's cache, and a
place for locks."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


PRIVATE = "bitnas-{user}"
"""The name of a folder that all of a user's processes on a machine share."""
MOST_TAKEN = 100


def private_folder() -> Path:
    """A folder among the system's temporary ones that this user alone can read and write, for locks.

    Where the name is taken by what is not such a folder of this user's, such as a link that somebody has put
    there, the next name serves: all processes of the user find the same.

    Raises:
        BitnasError: there can be none.
    """
    base = Path(tempfile.gettempdir()) / PRIVATE.format(user=os.getuid())
    for number in range(MOST_TAKEN):
        path = base if number == 0 else base.with_name(f"{base.name}-{number}")
        try:
            with suppress(FileExistsError):
                path.mkdir(mode=0o700)
            if _is_private(path):
                return path
        except OSError as error:
            raise _no_private(base, str(error.strerror)) from error
    raise _no_private(base, f"{MOST_TAKEN} such names are taken by others")


def _is_private(path: Path) -> bool:
    """Whether a path is a folder of this user's, no link; one that others may enter is closed to them."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return False
    if stat.S_IMODE(found.st_mode) != 0o700:
        path.chmod(0o700)
    return True


def _no_private(path: Path, why: str) -> BitnasError:
    return BitnasError(f"TMPDIR: there can be no folder '{path}' for locks ({why}); choose another place")

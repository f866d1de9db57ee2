"""The folder that runs are written into: made if it is not there, and written by one process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_spaces.errors import BitnasError, InvalidInput, Parameter

LOCK = ".bitnas-export"
"""A file of the folder that whoever writes there keeps locked."""


@contextmanager
def writing_into(folder: Path, parameter: str) -> Iterator[None]:
    """Make ``folder``, if it is not there, and keep others from writing runs there meanwhile.

    Args:
        folder: its parent is there.
        parameter: what gave it.

    Raises:
        InvalidInput: it cannot be a folder, or another process writes runs there.
        BitnasError: nothing can be written there.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(parameter, f"'{folder}' is not a folder", "give a new one, or one with runs")
    if not folder.resolve().parent.is_dir():
        raise InvalidInput(parameter, f"there is no folder '{folder.parent}'", "make it, or choose another")
    try:
        folder.mkdir(exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise cannot_write(folder, parameter, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            fix = "wait for it, or choose another folder"
            raise InvalidInput(parameter, f"another process writes runs into '{folder}'", fix) from error
        yield


def cannot_write(folder: Path, parameter: str, error: OSError) -> BitnasError:
    """What to say where the system refuses."""
    why = f": cannot write into '{folder}' ({error.strerror}); choose another folder"
    return BitnasError(Parameter(parameter), why)


def other_search(folder: Path, parameter: str, name: str) -> InvalidInput:
    """What to say where the folder has runs of another search of that name."""
    problem = f"'{folder}' has runs of another search called '{name}'"
    return InvalidInput(parameter, problem, "choose another folder")

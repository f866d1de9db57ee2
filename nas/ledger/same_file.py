"""Whether the file of a SQLite ledger is still the one that was opened; SQLite itself does not notice."""

from pathlib import Path

from search_spaces.errors import Parameter, StorageError


class SameFile:
    """Remembers which file a path names at the first look, and holds all others against it.

    Args:
        path: of the database.
        shown: its URL.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self._path = path.absolute()
        self._shown = shown
        self._first: tuple[int, int] | None = None

    def check(self) -> None:
        """Compare the device and the inode.

        Raises:
            StorageError: the path names another file now, or none.
        """
        try:
            found = self._path.stat()
        except OSError:
            raise self._changed() from None
        now = found.st_dev, found.st_ino
        self._first = self._first or now
        if now != self._first:
            raise self._changed()

    def _changed(self) -> StorageError:
        problem = f": {self._shown} cannot be used (its file was moved, deleted or replaced while in use)"
        return StorageError(Parameter("storage"), problem, "; put that file back, and start again")

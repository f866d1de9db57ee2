"""A folder for what Ray and Tune write, which is gone with the process that made it, or soon after."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "bitnas-ray-"
LONGEST = 40
"""Of the folder for temporary files: Ray's sockets are in it, whose paths have at most 107 characters."""


class OwnFolder:
    """A new folder, locked while its process lives: what a killed one has left, the next one removes.

    Attributes:
        path: of the folder.
    """

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        if len(str(parent)) > LONGEST:
            parent = Path("/tmp")  # noqa: S108 - mkdtemp makes it safe
        _sweep(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it; may be repeated."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)  # Ray's last processes may still write to it
            os.close(self._lock)
            self._lock = -1


def _sweep(parent: Path) -> None:
    """Remove the folders of this user whose processes were killed."""
    for left in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, or somebody else removes it, or its process lives
            if left.stat().st_uid == os.getuid():
                lock = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
                finally:
                    os.close(lock)

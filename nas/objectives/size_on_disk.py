"""Size on disk: the file of the trained network, its weights entropy coded."""

from nas.formatting import kilobytes
from nas.objectives.base import Objective
from nas.objectives.reported import Reported


class SizeOnDisk(Reported):
    """``network.bnz`` of the trained network, in kB of 1000 bytes; the training reports it after each epoch.

    How well codes can be coded depends on what was learned, so nothing is known of it before.
    """

    def __init__(self) -> None:
        super().__init__("size_on_disk", unit="kB", title="size on disk")

    def check_limit(self, limit: float) -> str | None:
        """A size is more than nothing."""
        return Objective.check_limit(self, limit)

    def show(self, value: float | None) -> str:
        """Two decimals."""
        return kilobytes(value)

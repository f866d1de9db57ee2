"""Size: what a network's parameters take."""

from nas.formatting import kilobytes
from nas.objectives.base import Figures, Objective, ObjectiveValue


class Size(Objective):
    """The parameters, each at the bits of its code, in kB of 1000 bytes (``search_spaces.size``)."""

    name, title, unit, limit = "size", "size", "kB", "max_size_kb"

    def of(self, trial: Figures) -> ObjectiveValue | None:
        """As the architecture says."""
        return None if trial.size_kb is None else ObjectiveValue.exact(trial.size_kb)

    def show(self, value: float | None) -> str:
        """Two decimals."""
        return kilobytes(value)

"""Whether a machine is slower than it was in recent batches, and whether that is its speed from now on."""

from collections import deque
from statistics import median

MAX_DRIFT = 0.1
"""The reference may take this share longer than it did recently."""
RECENT_BATCHES = 25
"""Batches whose median is what it took recently."""
STEADY_BATCHES = 5
"""So many drifted batches in a row that agree with each other show that the machine has another speed."""


class DriftWatch:
    """Compares batches by what the reference took in their quietest moments, in milliseconds."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT_BATCHES)
        self._drifted: deque[float] = deque(maxlen=STEADY_BATCHES)

    def drift(self, quietest_ms: float) -> float:
        """The share by which the reference takes longer than it did recently; negative where less."""
        return quietest_ms / median(self._recent or [quietest_ms]) - 1

    def accept(self, quietest_ms: float) -> None:
        """A batch counts."""
        self._drifted.clear()
        self._recent.append(quietest_ms)

    def is_new_speed(self, quietest_ms: float) -> bool:
        """Whether a drifted batch is one of several in a row of one speed, which then is the machine's."""
        self._drifted.append(quietest_ms)
        is_steady = max(self._drifted) <= min(self._drifted) * (1 + MAX_DRIFT)
        if len(self._drifted) < STEADY_BATCHES or not is_steady:
            return False
        self._recent.clear()
        self._drifted.clear()
        return True

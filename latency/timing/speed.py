"""How fast a machine is at the moment: told by a reference, work that is always the same."""

from collections import deque
from collections.abc import Callable

import numpy as np

Sampler = Callable[[int, float], list[float]]
"""Takes (number of samples, milliseconds a sample at least), returns milliseconds a run for each."""

QUIET_PERCENT = 10  # of the reference's times are taken for quiet ones
REMEMBERED_TIMES = 2000
REFERENCE_SAMPLES, REFERENCE_SAMPLE_MS = 3, 1
MIN_TIMES = 20
MAX_SPEED_CHANGE = 0.2  # the share by which a machine may be faster or slower and still be the same


class ReferenceSpeed:
    """What a reference takes, now and in quiet moments.

    ``usual_ms``, which methods take, is what it takes at the speed that times are to be given for, if that is
    known.
    """

    def __init__(self, reference: Sampler) -> None:
        self._reference = reference
        self._times: deque[float] = deque(maxlen=REMEMBERED_TIMES)
        self._batch: list[float] = []

    def begin(self) -> None:
        """A batch of measurements begins."""
        self._batch = []

    @property
    def quietest_ms(self) -> float:
        """What it took in the quietest moments of the batch."""
        return float(np.percentile(self._batch, QUIET_PERCENT))

    def time(self) -> float:
        """What the reference takes now, in milliseconds."""
        found = min(self._reference(REFERENCE_SAMPLES, REFERENCE_SAMPLE_MS))
        self._times.append(found)
        self._batch.append(found)
        return found

    def quiet_ms(self, usual_ms: float | None) -> float:
        """What it takes when nothing else runs on its core."""
        while len(self._times) < MIN_TIMES:
            self.time()
        found = float(np.percentile(self._times, QUIET_PERCENT))
        is_a_bit_slower = usual_ms is not None and 0 < found / usual_ms - 1 < MAX_SPEED_CHANGE
        return usual_ms if is_a_bit_slower and usual_ms is not None else found

    def base_ms(self, usual_ms: float | None) -> float:
        """What it takes at the speed that times are given for: the usual one, where that can be."""
        if usual_ms is not None and self.is_comparable(usual_ms):
            return usual_ms
        return self.quiet_ms(usual_ms)

    def is_comparable(self, usual_ms: float) -> bool:
        """Whether times can be given for the usual speed."""
        return abs(usual_ms / self.quiet_ms(usual_ms) - 1) <= MAX_SPEED_CHANGE

    def forget(self) -> None:
        """Forget the batch: it was measured at another speed."""
        for _ in self._batch[: len(self._times)]:
            self._times.pop()

    def restart(self) -> None:
        """Forget how fast the machine was: from now on it has another speed."""
        self._times.clear()

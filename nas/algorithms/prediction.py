"""What a search's objectives and limits will be, each by a Gaussian process of its own."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nas.algorithms.archive import Known, Rows
from nas.algorithms.genome import Genome
from nas.algorithms.hypervolume import Floats
from nas.algorithms.surrogate import Kernel, Process, Settings, learn, standard

MOST_POINTS = 256
"""Trials that a process knows: it is cubic in them."""
MOST_OF_EXACT = 160
"""Of what is exact before training, and computed exactly for the candidates that promise most."""
MOST_TO_LEARN = 128
"""Trials that its settings are learned from."""
LEAST = 4
"""Trials that there must be before anything is predicted."""
_GROWTH = 1.15
"""The settings are learned anew when there are so many times as many trials."""
_LEAST_ERROR = 1e-3
"""An error rate of 0 is taken for this one."""


@dataclass(frozen=True)
class Warp:
    """A scale on which a loss is nearer to normal: the logarithm of an error rate or of a cost."""

    is_logarithm: bool
    shift: float = 0.0

    @classmethod
    def of(cls, losses: Floats) -> "Warp":
        """The scale for losses like these: shares that are to be large, costs, or anything."""
        if len(losses) and losses.min() >= -1.0 and losses.max() <= 0.0:
            return cls(True, 1.0 + _LEAST_ERROR)
        return cls(bool(len(losses)) and bool(losses.min() > 0.0))

    def there(self, losses: Floats) -> Floats:
        """On the scale."""
        return np.log(losses + self.shift) if self.is_logarithm else losses

    def back(self, values: Floats) -> Floats:
        """From the scale."""
        return np.exp(np.minimum(values, 700.0)) - self.shift if self.is_logarithm else values


@dataclass(frozen=True)
class Predictor:
    """Predicts one objective; of one that is exact before training only the middle, as cheaply as it goes."""

    warp: Warp
    process: Process
    is_exact: bool

    def __call__(self, one_hot: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of networks (m, sum of sizes) on the warped scale: (m,) each."""
        if self.is_exact:
            mean = self.process.mean(one_hot)
            return mean, np.full(len(mean), self.process.noise)
        mean, deviation = self.process.predict(one_hot)
        return mean, np.hypot(deviation, self.process.noise)


@dataclass
class Predictions:
    """Makes predictors; the settings that it has learned are kept."""

    genome: Genome
    _settings: dict[tuple[int, int], Settings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kernel = Kernel(self.genome)

    def predictor(self, known: Known, some: Rows, column: int, *, is_exact: bool) -> Predictor | None:
        """For one column of the losses, from ``some`` trials; None where too few have it.

        Running trials take part where ``known`` has a value for them, and nothing is learned from it.
        """
        has_value = known.is_usable & np.isfinite(known.losses[:, column])
        if not is_exact:
            has_value &= ~known.is_stopped
        ended = np.flatnonzero(has_value & ~known.is_running)
        if len(ended) < LEAST:
            return None
        warp = Warp.of(known.losses[ended, column])
        settings = self._learned(known, column, ended, warp)
        rows = some[has_value[some]]
        rows = rows[bounded(np.arange(0), len(rows), MOST_OF_EXACT)] if is_exact else rows
        values = warp.there(known.losses[rows, column])
        process = Process(self._kernel, settings, known.codes[rows], values, np.ones(len(rows)))
        return Predictor(warp, process, is_exact)

    def _learned(self, known: Known, column: int, rows: Rows, warp: Warp) -> Settings:
        """From the first so many trials, that an instance which starts over learns the same."""
        count = milestone(len(rows))
        if (column, count) not in self._settings:
            first = rows[:count]
            front = np.flatnonzero(np.isin(first, known.front_of(first)))
            some = first[bounded(front, count, MOST_TO_LEARN)]
            values = warp.there(known.losses[some, column])
            middle, scale = standard(values)
            self._settings[column, count] = learn(self._kernel, known.codes[some], (values - middle) / scale)
        return self._settings[column, count]


def milestone(count: int) -> int:
    """The last number of trials up to ``count`` at which settings are learned."""
    found = step = LEAST
    while step <= count:
        found, step = step, int(step * _GROWTH) + 1
    return found


def bounded(front: Rows, count: int, most: int) -> Rows:
    """Which of so many trials a model is to know: the front, the latest, and evenly spread ones; in order."""
    if count <= most:
        return np.arange(count)
    thinned = front[np.linspace(0, len(front) - 1, min(len(front), most // 2)).astype(np.intp)]
    some = np.union1d(thinned, np.arange(count - most // 4, count))
    rest = np.setdiff1d(np.arange(count), some)
    spread = rest[np.linspace(0, len(rest) - 1, most - len(some)).astype(np.intp)]
    return np.union1d(some, spread)

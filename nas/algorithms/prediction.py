"""What a search's objectives and limits will be, each by a Gaussian process of its own."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nas.algorithms.archive import Known
from nas.algorithms.dormancy import Codes
from nas.algorithms.genome import Genome
from nas.algorithms.hypervolume import Floats, crowding, non_dominated
from nas.algorithms.surrogate import Kernel, Process, Settings, learn, standard

Rows = npt.NDArray[np.intp]

MOST_POINTS = 320
"""Trials that a process knows: it is cubic in them."""
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
    """Predicts one objective."""

    warp: Warp
    process: Process

    def quantiles(self, codes: Codes, deviations: Floats) -> Floats:
        """The losses of networks (m, c), so many standard deviations (q,) from the middle: (q, m)."""
        mean, deviation = self.process.predict(codes)
        spread = np.hypot(deviation, self.process.noise)
        return self.warp.back(mean + deviations[:, None] * spread)

    def below(self, codes: Codes, limit: float) -> Floats:
        """How likely the losses of networks (m, c) are no more than a limit: (m,)."""
        from scipy.special import ndtr

        mean, deviation = self.process.predict(codes)
        spread = np.hypot(deviation, self.process.noise)
        return np.asarray(ndtr((self.warp.there(np.array(limit)) - mean) / spread))

    def draw(self, codes: Codes, random: np.random.Generator) -> Floats:
        """One of the functions that may be: (m,)."""
        return self.warp.back(self.process.draw(codes, random))


@dataclass
class Predictions:
    """Makes predictors; the settings that it has learned are kept."""

    genome: Genome
    _settings: dict[tuple[int, int], Settings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kernel = Kernel(self.genome)

    def predictor(self, known: Known, column: int, *, is_exact: bool) -> Predictor | None:
        """For one column of the losses; None where too few trials have it.

        Running trials take part where ``known`` has a value for them, and nothing is learned from it.
        """
        has_value = known.is_usable & np.isfinite(known.losses[:, column])
        rows = np.flatnonzero(has_value if is_exact else has_value & ~known.is_stopped)
        ended = rows[~known.is_running[rows]]
        if len(ended) < LEAST:
            return None
        warp = Warp.of(known.losses[ended, column])
        settings = self._learned(known, column, ended, warp)
        some = rows[bounded(known.losses[rows], MOST_POINTS)]
        values = warp.there(known.losses[some, column])
        noise = np.ones(len(some))
        return Predictor(warp, Process(self._kernel, settings, known.codes[some], values, noise))

    def _learned(self, known: Known, column: int, rows: Rows, warp: Warp) -> Settings:
        """From the first so many trials, that an instance which starts over learns the same."""
        count = milestone(len(rows))
        if (column, count) not in self._settings:
            first = rows[:count]
            some = first[bounded(known.losses[first], MOST_TO_LEARN)]
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


def bounded(losses: Floats, most: int) -> Rows:
    """Which trials (n, w) a model is to know: the front, the latest, and evenly spread ones; in order."""
    count = len(losses)
    if count <= most:
        return np.arange(count)
    filled = np.where(np.isfinite(losses), losses, np.inf)
    front = np.flatnonzero(non_dominated(filled))
    front = front[np.argsort(-crowding(filled[front]), kind="stable")][: most // 2]
    latest = np.arange(count - most // 4, count)
    some = np.union1d(front, latest)
    rest = np.setdiff1d(np.arange(count), some)
    spread = rest[np.linspace(0, len(rest) - 1, most - len(some)).astype(np.intp)]
    return np.union1d(some, spread)

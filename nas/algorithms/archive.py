"""What an algorithm knows of a search's trials, as arrays; each trial is read once, however often it asks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import is_

import numpy as np
import numpy.typing as npt

from nas.algorithms.dormancy import Codes, Mask
from nas.algorithms.genome import Genome
from nas.algorithms.hypervolume import Floats, non_dominated
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import Objective, objective

Rows = npt.NDArray[np.intp]

_STOPPED = (TrialState.PRUNED, TrialState.PAUSED)


@dataclass(frozen=True)
class Known:
    """Trials by number: their choices, and what came of them.

    Attributes:
        numbers: of the trials (n,).
        codes: their choices (n, c); only those of ``is_usable`` mean something.
        losses: their objectives and limits (n, w), in the order of ``SearchConfig.watched``; NaN where one is
            not known.
        is_usable: which have choices that the space still offers (n,).
        is_front: which may be on the front: complete, and within the limits (n,).
        is_stopped: which were stopped before their end (n,).
        is_running: which are still to end (n,).
        is_beaten: which are not on the front for certain, and need not be compared (n,).
        epochs: how many they have been through (n,).
        objectives: how many of the losses are objectives, the first ones.
    """

    numbers: Rows
    codes: Codes
    losses: Floats
    is_usable: Mask
    is_front: Mask
    is_stopped: Mask
    is_running: Mask

    is_beaten: Mask
    epochs: Rows
    objectives: int

    def __len__(self) -> int:
        return len(self.codes)

    def front(self) -> Rows:
        """The rows of the front, by their first objective."""
        return self.front_of(np.flatnonzero(~self.is_beaten))

    def front_of(self, rows: Rows) -> Rows:
        """Those of ``rows`` that no other of them beats, by their first objective."""
        losses = self.losses[rows, : self.objectives]
        places = np.flatnonzero(self.is_front[rows] & np.isfinite(losses).all(axis=1))
        places = places[non_dominated(losses[places])]
        return rows[places[np.argsort(losses[places, 0], kind="stable")]]


class Archive:
    """The trials of a search, each read once, until its record changes."""

    def __init__(self, genome: Genome, config: SearchConfig) -> None:
        self._genome, self._config = genome, config
        self._objectives = len(config.objectives)
        self._watched = [objective(name) for name in config.watched]
        self._kept: dict[int, TrialRecord] = {}
        self._table = np.zeros(0, dtype=self._row_type())
        self._settled: list[TrialRecord] = []
        self._numbers = np.zeros(0, dtype=np.intp)
        self.digests: set[str | None] = set()
        self.keys: set[bytes] = set()

    def read(self, history: Sequence[TrialRecord], number: int) -> Known:
        """The trials but ``number``; ``digests`` and ``keys`` then hold all that was ever read."""
        if not all(map(is_, history, self._settled)) or len(history) < len(self._settled):
            self._settle([])
        later = history[len(self._settled) :]
        self._add([trial for trial in later if self._kept.get(trial.number) is not trial])
        self._settle([*self._settled, *takewhile(lambda trial: trial.state.finished, later)])
        rest = [trial.number for trial in history[len(self._settled) :]]
        numbers = np.concatenate([self._numbers, np.asarray(rest, dtype=np.intp)])
        rows = self._table[np.sort(numbers[numbers != number])]
        return Known(**{name: rows[name] for name in rows.dtype.names or ()}, objectives=self._objectives)

    def _add(self, trials: Iterable[TrialRecord]) -> None:
        """Read trials that are new, or have changed."""
        for trial in trials:
            self._grow(trial.number + 1)
            self._table[trial.number] = self._row(trial)
            self._kept[trial.number] = trial

    def _settle(self, trials: list[TrialRecord]) -> None:
        """The first trials have all ended; what one of them beats is never on the front again."""
        if not trials:
            self._table["is_beaten"] = False
        before = [] if not trials else self._settled
        self._settled = trials
        self._numbers = np.fromiter((trial.number for trial in trials), dtype=np.intp, count=len(trials))
        if len(trials) > len(before):
            rows = self._table[self._numbers]
            known = Known(
                **{name: rows[name] for name in rows.dtype.names or ()}, objectives=self._objectives
            )
            is_beaten = np.ones(len(trials), dtype=bool)
            is_beaten[known.front()] = False
            self._table["is_beaten"][self._numbers] = is_beaten

    def _row_type(self) -> np.dtype[np.void]:
        codes = ("codes", np.int16, (len(self._genome.names),))
        losses = ("losses", np.float64, (len(self._watched),))
        names = "is_usable", "is_front", "is_stopped", "is_running", "is_beaten"
        flags = [(name, np.bool_) for name in names]
        return np.dtype([("numbers", np.intp), codes, losses, *flags, ("epochs", np.int64)])

    def _grow(self, size: int) -> None:
        if size > len(self._table):
            more = np.zeros(max(size, 2 * len(self._table)) - len(self._table), dtype=self._table.dtype)
            self._table = np.concatenate([self._table, more])

    def _row(self, trial: TrialRecord) -> tuple[object, ...]:
        codes = None if trial.choices is None else self._genome.codes_of(trial.choices)
        self.digests.add(trial.digest)
        if codes is not None:
            self.keys.add(codes.tobytes())
        return (
            trial.number,
            np.zeros(len(self._genome.names)) if codes is None else codes,
            [self._loss(trial, o) for o in self._watched],
            codes is not None,
            trial.state is TrialState.COMPLETE and not self._config.broken(trial),
            trial.state in _STOPPED,
            trial.state in (TrialState.QUEUED, TrialState.RUNNING),
            False,
            trial.epochs_done or 0,
        )

    def _loss(self, trial: TrialRecord, of: Objective) -> float:
        """NaN where it is not known, or only of a training that goes on."""
        is_known = (
            of.is_known_before_training or trial.state is TrialState.COMPLETE or trial.state in _STOPPED
        )
        value = of.of(trial) if is_known else None
        return np.nan if value is None else of.loss(value.value)

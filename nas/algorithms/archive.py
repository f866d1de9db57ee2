"""What an algorithm knows of a search's trials, as arrays; each trial is read once, however often it asks."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nas.algorithms.dormancy import Codes, Mask
from nas.algorithms.genome import Genome
from nas.algorithms.hypervolume import Floats
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import objective


@dataclass(frozen=True)
class Known:
    """Trials by number: their choices, and what came of them.

    Attributes:
        codes: their choices (n, c); only those of ``is_usable`` mean something.
        losses: their objectives and limits (n, w), in the order of ``SearchConfig.watched``; NaN where one is
            not known.
        is_usable: which have choices that the space still offers (n,).
        is_front: which may be on the front: complete, and within the limits (n,).
        is_stopped: which were stopped before their end (n,).
        is_running: which are still to end (n,).
    """

    codes: Codes
    losses: Floats
    is_usable: Mask
    is_front: Mask
    is_stopped: Mask
    is_running: Mask

    def __len__(self) -> int:
        return len(self.codes)


class Archive:
    """The trials of a search, of which those that have ended are kept."""

    def __init__(self, genome: Genome, config: SearchConfig) -> None:
        self._genome, self._config = genome, config
        self._watched = [objective(name) for name in config.watched]
        self._kept: dict[int, TrialRecord] = {}
        self._table = np.zeros(0, dtype=self._row_type())
        self.digests: set[str | None] = set()
        self.keys: set[bytes] = set()

    def read(self, history: Iterable[TrialRecord], number: int) -> Known:
        """The trials but ``number``; ``digests`` and ``keys`` then hold all that was ever read."""
        kept = self._kept
        others = [trial for trial in history if trial.number != number]
        fresh = [trial for trial in others if kept.get(trial.number) is not trial]
        self._grow(1 + max((trial.number for trial in fresh), default=-1))
        for trial in fresh:
            self._table[trial.number] = self._row(trial)
            if trial.state.finished:
                kept[trial.number] = trial
        numbers = np.fromiter((trial.number for trial in others), dtype=np.intp, count=len(others))
        rows = self._table[np.sort(numbers)]
        return Known(**{name: rows[name] for name in Known.__dataclass_fields__})

    def _row_type(self) -> np.dtype[np.void]:
        codes = ("codes", np.int16, (len(self._genome.names),))
        losses = ("losses", np.float64, (len(self._watched),))
        flags = [(name, np.bool_) for name in ("is_usable", "is_front", "is_stopped", "is_running")]
        return np.dtype([codes, losses, *flags])

    def _grow(self, size: int) -> None:
        if size > len(self._table):
            more = np.zeros(max(size, 2 * len(self._table)) - len(self._table), dtype=self._table.dtype)
            self._table = np.concatenate([self._table, more])

    def _row(self, trial: TrialRecord) -> tuple[object, ...]:
        codes = None if trial.choices is None else self._genome.codes_of(trial.choices)
        values = [(o, o.of(trial)) for o in self._watched]
        losses = [np.nan if value is None else o.loss(value.value) for o, value in values]
        self.digests.add(trial.digest)
        if codes is not None:
            self.keys.add(codes.tobytes())
        return (
            np.zeros(len(self._genome.names)) if codes is None else codes,
            losses,
            codes is not None,
            trial.state is TrialState.COMPLETE and not self._config.broken(trial),
            trial.state is TrialState.PRUNED,
            not trial.state.finished,
        )

"""``auto``: a start that fills the space, then what promises the largest gain of hypervolume by a model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from nas import seeds
from nas.algorithms.archive import Archive, Known
from nas.algorithms.base import Algorithm, Choices, ExhaustedError, Proposal, Screened, algorithms
from nas.algorithms.breeding import Bred, Breeder
from nas.algorithms.dormancy import Codes
from nas.algorithms.gain import Gain
from nas.algorithms.genome import Genes, Genome, design
from nas.algorithms.hypervolume import Floats, crowding, ranks
from nas.algorithms.judging import Judge
from nas.algorithms.prediction import LEAST, MOST_POINTS, Predictions, Predictor, bounded
from nas.ledger.records import SearchConfig, TrialRecord
from nas.objectives import objective
from search_spaces.search_space import SearchSpace, every

MOST_TO_START = 16
"""Trials of the start; of short searches a third."""
PARENTS = 64
"""Trials whose children are bred: the best fronts."""
SHORT, SCREENED = 200, 24
"""Candidates whose expected gain is computed, and those of them whose costs are computed exactly."""
DRAW_EVERY = 4
"""One trial in so many follows a function drawn from the model, not the expectation over all."""
_SPACE, _DESIGN = 2**31, 2**31 + 1
"""What seeds are for, beside those of the trials, which have their numbers."""
_MOST_KEPT, _MOST_LISTED = 20_000, 20_000


@dataclass(frozen=True)
class Candidate:
    """What may be proposed."""

    choices: Choices
    screened: Screened


class Auto(Algorithm):
    """Finds good fronts with few trainings; docs/search.md tells how."""

    def __init__(self, space: SearchSpace, config: SearchConfig) -> None:
        self._space, self._config = space, config
        self._genome = Genome(space, seeds.derive(config.seed, seeds.PROPOSE, _SPACE))
        self._archive = Archive(self._genome, config)
        self._predictions = Predictions(self._genome)
        self._watched = [objective(name) for name in config.watched]
        self._is_exact = [o.is_known_before_training for o in self._watched]
        limits = [config.limited.get(o.name) for o in self._watched]
        self._limits = np.array(
            [
                np.inf if limit is None else o.loss(limit)
                for o, limit in zip(self._watched, limits, strict=True)
            ]
        )
        self._start = min(MOST_TO_START, max(LEAST, config.trials // 3))
        self._design = design(self._genome, self._start, seeds.derive(config.seed, seeds.PROPOSE, _DESIGN))
        self._candidates: dict[tuple[tuple[str, str | int], ...], Candidate] = {}

    def ask(
        self, number: int, history: Sequence[TrialRecord], passed_over: Sequence[TrialRecord] = ()
    ) -> Proposal:
        """One of the start's architectures, or the one that promises most."""
        known = self._archive.read(history, number)
        random = np.random.default_rng(
            seeds.derive(self._config.seed, seeds.PROPOSE, number, len(passed_over))
        )
        taken = self._archive.digests | {trial.digest for trial in passed_over}
        keys = set(self._archive.keys)
        for trial in passed_over:
            codes = self._genome.codes_of(trial.choices or {})
            if codes is not None:
                keys.add(codes.tobytes())
        is_new: Callable[[Candidate], bool] = lambda candidate: candidate.screened.digest not in taken  # noqa: E731
        if known.is_usable.sum() >= self._start:
            found = self._by_model(number, known, keys, is_new, random)
        else:
            row = self._design[number % self._start]
            found = self._first([row] if not passed_over else [], is_new, random)
        found = found or self._first(self._genome.random_genes(SCREENED, random), is_new, random)
        return Proposal((found or self._listed(is_new, random)).choices)

    # by the model

    def _by_model(
        self,
        number: int,
        known: Known,
        keys: set[bytes],
        is_new: Callable[[Candidate], bool],
        random: np.random.Generator,
    ) -> Candidate | None:
        """The candidate that promises most; None where none is new and within the limits."""
        known, judge = self._judge(known)
        breeder = Breeder(self._genome, judge.promise, keys, random)
        bred = breeder.breed(self._parents(known)).best(SHORT)
        if not len(bred.genes):
            return None
        is_draw = number % DRAW_EVERY == DRAW_EVERY - 1
        losses = judge.drawn(bred.codes, random) if is_draw else judge.outcomes(bred.codes)
        worth = judge.worth(losses) * judge.allowed(bred.codes)
        order = np.argsort(-worth, kind="stable")
        return self._best_screened(judge, bred.genes[order], losses[:, order], is_new, random)

    def _best_screened(
        self,
        judge: Judge,
        genes: Genes,
        losses: Floats,
        is_new: Callable[[Candidate], bool],
        random: np.random.Generator,
    ) -> Candidate | None:
        """The best of the first few, their costs now exact."""
        found = [(row, self._candidate(genes[row], random)) for row in range(min(SCREENED, len(genes)))]
        good = [(row, one) for row, one in found if is_new(one) and one.screened.over is None]
        if not good:
            return None
        exact = losses[:, [row for row, _ in good]]
        for place, (_, candidate) in enumerate(good):
            for column, o in enumerate(self._watched):
                if o.name in candidate.screened.values:
                    exact[:, place, column] = o.loss(candidate.screened.values[o.name])
        return good[int(np.argmax(judge.worth(exact)))][1]

    def _judge(self, known: Known) -> tuple[Known, Judge]:
        predictors = self._predictors(known)
        waiting = known.is_running & known.is_usable
        if waiting.any():
            known = self._believed(known, predictors, waiting)
            predictors = self._predictors(known)
        objectives = len(self._config.objectives)
        losses = known.losses[known.is_front, :objectives]
        losses = losses[np.isfinite(losses).all(axis=1)]
        gain = Gain(losses) if len(losses) else None
        return known, Judge(predictors, self._is_exact, objectives, self._limits, gain)

    def _predictors(self, known: Known) -> list[Predictor | None]:
        return [
            self._predictions.predictor(known, column, is_exact=is_exact)
            for column, is_exact in enumerate(self._is_exact)
        ]

    def _believed(self, known: Known, predictors: Sequence[Predictor | None], waiting: Codes) -> Known:
        """Running trials as if they had ended as predicted, so that workers keep apart (Ginsbourger 2010)."""
        losses = known.losses.copy()
        rows = np.flatnonzero(waiting)
        for column, predictor in enumerate(predictors):
            if predictor is not None:
                middle = predictor.quantiles(known.codes[rows], np.zeros(1))[0]
                losses[rows, column] = np.where(
                    np.isfinite(losses[rows, column]), losses[rows, column], middle
                )
        return replace(known, losses=losses, is_front=known.is_front | waiting)

    def _parents(self, known: Known) -> Codes:
        """The choices of the best trials."""
        objectives = known.losses[:, : len(self._config.objectives)]
        rows = np.flatnonzero(known.is_usable & known.is_front & np.isfinite(objectives).all(axis=1))
        if not len(rows):
            return known.codes[known.is_usable][-PARENTS:]
        rows = rows[bounded(objectives[rows], MOST_POINTS)]
        rank = ranks(objectives[rows])
        order = np.lexsort((-crowding(objectives[rows]), rank))
        return known.codes[rows[order[:PARENTS]]]

    # candidates

    def _first(
        self,
        genes: Sequence[Genes] | Genes,
        is_new: Callable[[Candidate], bool],
        random: np.random.Generator,
    ) -> Candidate | None:
        """The first that is new, if possible one within the limits."""
        new = [one for one in (self._candidate(row, random) for row in genes) if is_new(one)]
        return next((one for one in new if one.screened.over is None), new[0] if new else None)

    def _listed(self, is_new: Callable[[Candidate], bool], random: np.random.Generator) -> Candidate:
        """The first new one of a small space; ExhaustedError where there is none."""
        for index, choices in enumerate(every(self._space)):
            if index >= _MOST_LISTED:
                return self._candidate(self._genome.random_genes(1, random)[0], random)
            candidate = self._cached(choices)
            if is_new(candidate):
                return candidate
        raise ExhaustedError("every architecture of the space was proposed")

    def _candidate(self, genes: Genes, random: np.random.Generator) -> Candidate:
        return self._cached(self._genome.choices_of(genes, random))

    def _cached(self, choices: Choices) -> Candidate:
        key = tuple(choices.items())
        if key not in self._candidates:
            if len(self._candidates) >= _MOST_KEPT:
                self._candidates.clear()
            self._candidates[key] = Candidate(choices, self._screen(choices))
        return self._candidates[key]

    def _screen(self, choices: Choices) -> Screened:
        screen = getattr(self, "screen", None)
        if screen is not None:
            return screen(choices)
        return Screened(self._space.propose(lambda name, _: choices[name]).digest)


algorithms.add("auto", Auto)

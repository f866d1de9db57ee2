"""``auto``: a start that fills the space, then what promises the largest gain of hypervolume by a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas import seeds
from nas.algorithms.archive import Archive, Known, Rows
from nas.algorithms.base import Algorithm, Choices, ExhaustedError, Proposal, Screened, algorithms
from nas.algorithms.breeding import Breeder
from nas.algorithms.dormancy import Codes, Mask
from nas.algorithms.gain import Gain
from nas.algorithms.genome import Genes, Genome, design
from nas.algorithms.hypervolume import Floats, ranks
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
HUNT = 1
HE = 4
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
        known, front, judge = self._judge(known)
        hunts = HUNT and number % HE == HUNT and judge.gain is not None
        if hunts:
            def prom(codes):
                forecast = judge.forecast(codes)
                dev = np.where(np.asarray(judge.is_exact), 0.0, -1.5)[None]
                return judge.best(judge.losses(forecast, dev), 0) * judge.allowed(forecast) + 1e-9*judge.worth(judge.losses(forecast,dev))
            breeder = Breeder(self._genome, prom, keys, random)
        else:
            breeder = Breeder(self._genome, judge.promise, keys, random)
        bred = breeder.breed(self._parents(known, front)).best(SHORT)
        if not len(bred.genes):
            return None
        is_draw = number % DRAW_EVERY == DRAW_EVERY - 1
        forecast = judge.forecast(bred.codes)
        losses = judge.drawn(bred.codes, random) if is_draw else judge.outcomes(forecast)
        worth = (judge.best(losses, 0)+1e-9*judge.worth(losses) if hunts else judge.worth(losses)) * judge.allowed(forecast)
        order = np.argsort(-worth, kind="stable")
        if hunts: return self._candidate(bred.genes[order[0]], random)
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

    def _judge(self, known: Known) -> tuple[Known, Rows, Judge]:
        """What is known, with what is believed of running trials; its front; and who judges by it."""
        front = known.front()
        predictors = self._predictors(known, front)
        waiting = known.is_running & known.is_usable
        if waiting.any():
            known = self._believed(known, predictors, waiting)
            front = known.front()
            predictors = self._predictors(known, front)
        objectives = known.losses[:, : known.objectives]
        gain = Gain(objectives[front], objectives[known.is_front]) if len(front) else None
        return (
            known,
            front,
            Judge(self._genome, predictors, self._is_exact, known.objectives, self._limits, gain, objectives[front]),
        )

    def _predictors(self, known: Known, front: Rows) -> list[Predictor | None]:
        some = bounded(front, len(known), MOST_POINTS)
        return [
            self._predictions.predictor(known, some, column, is_exact=is_exact)
            for column, is_exact in enumerate(self._is_exact)
        ]

    def _believed(self, known: Known, predictors: Sequence[Predictor | None], waiting: Mask) -> Known:
        """Running trials as if they had ended as predicted, so that workers keep apart (Ginsbourger 2010)."""
        losses = known.losses.copy()
        rows = np.flatnonzero(waiting)
        one_hot = self._genome.one_hot(known.codes[rows])
        for column, predictor in enumerate(predictors):
            if predictor is not None:
                middle = predictor.warp.back(predictor(one_hot)[0])
                losses[rows, column] = np.where(
                    np.isfinite(losses[rows, column]), losses[rows, column], middle
                )
        return replace(known, losses=losses, is_front=known.is_front | waiting)

    def _parents(self, known: Known, front: Rows) -> Codes:
        """The choices of the front, and while it is short of the trials that are best but for it."""
        usable = np.flatnonzero(known.is_usable & known.is_front)
        losses = known.losses[usable, : known.objectives]
        usable = usable[np.isfinite(losses).all(axis=1)][-MOST_POINTS:]
        if len(front) < PARENTS // 4 and len(usable):
            order = np.argsort(ranks(known.losses[usable, : known.objectives]), kind="stable")
            front = np.union1d(front, usable[order[: PARENTS // 4]])
        front = front[known.is_usable[front]]
        return known.codes[front if len(front) else np.flatnonzero(known.is_usable)[-PARENTS:]]

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

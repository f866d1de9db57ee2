"""``auto``: a start that fills the space, then what promises the largest gain of hypervolume by a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from threadpoolctl import ThreadpoolController

from nas import seeds
from nas.algorithms.archive import Archive, Known, Rows
from nas.algorithms.base import Algorithm, Proposal, algorithms
from nas.algorithms.breeding import Bred, Breeder
from nas.algorithms.candidates import Candidate, Candidates
from nas.algorithms.dormancy import Mask
from nas.algorithms.gain import Gain
from nas.algorithms.genome import Genes, Genome, design
from nas.algorithms.hypervolume import Floats, ranks
from nas.algorithms.judging import Judge
from nas.algorithms.prediction import LEAST, MOST_POINTS, Predictions, Predictor, bounded
from nas.ledger.records import SearchConfig, TrialRecord
from nas.objectives import objective
from search_spaces.search_space import SearchSpace

MOST_TO_START = 16
"""Trials of the start; of short searches a third."""
PARENTS = 64
"""Trials whose children are bred, while the front is shorter."""
SHORT, SCREENED, AT_ONCE = 200, 24, 8
"""Candidates whose expected gain is computed, those of them whose costs are computed at most, and after how
many of these it is enough to have found one."""
HUNT_EVERY, DRAW_EVERY = 3, 6
"""One trial in so many hunts for the best accuracy; one follows a function drawn from the model."""
HUNTS, HUNT_EARLY = (6, 44), 2
"""From so many trials after the start to so many, where hunts find most, they are more frequent. With three
objectives they are not: there is more to be found elsewhere."""
COST_EVERY, LEAST_STEP = 12, 0.01
"""One trial in so many hunts for the least cost, while a step is at least this share of the range."""
_SPACE, _DESIGN = 2**31, 2**31 + 1
"""What seeds are for, beside those of the trials, which have their numbers."""


@dataclass(frozen=True)
class _Round:
    """One ask: what is known, and what must not be proposed, by digest and by codes."""

    number: int
    known: Known
    taken: set[str | None]
    keys: set[bytes]
    random: np.random.Generator


class Auto(Algorithm):
    """Finds good fronts with few trainings; docs/search.md tells how.

    Attributes:
        draw_every: one trial in so many follows a function drawn from the model, instead of the mean.
        is_hunting: whether some trials look for the best in one objective alone.
    """

    draw_every = DRAW_EVERY
    is_hunting = True

    def __init__(self, space: SearchSpace, config: SearchConfig) -> None:
        self._config = config
        self._genome = Genome(space, self._seed(_SPACE))
        self._candidates = Candidates(space, self._genome)
        self._archive = Archive(self._genome, config)
        self._predictions = Predictions(self._genome)
        self._watched = [objective(name) for name in config.watched]
        self._is_exact = [o.is_known_before_training for o in self._watched]
        self._uncertain = [c for c in range(len(config.objectives)) if not self._is_exact[c]]
        self._limits = np.array(
            [o.loss(config.limited[o.name]) if o.name in config.limited else np.inf for o in self._watched]
        )
        self._start = min(MOST_TO_START, max(LEAST, config.trials // 3))
        self._design = design(self._genome, self._start, self._seed(_DESIGN))

    @cached_property
    def _threads(self) -> ThreadpoolController:
        # a BLAS of its own, which is limited only if it is there by now
        import scipy.linalg  # noqa: F401 - loads its BLAS

        return ThreadpoolController()

    def ask(
        self, number: int, history: Sequence[TrialRecord], passed_over: Sequence[TrialRecord] = ()
    ) -> Proposal:
        """One of the start's architectures, or the one that promises most."""
        # many small products: more threads than one only get into each other's way
        with self._threads.limit(limits=1):
            found = self._asked(number, history, passed_over)
        return Proposal(found.choices, parents=found.parents)

    def _asked(
        self, number: int, history: Sequence[TrialRecord], passed_over: Sequence[TrialRecord]
    ) -> Candidate:
        self._candidates.screen = getattr(self, "screen", None)
        asked = self._round(number, history, passed_over)
        is_start = asked.known.is_usable.sum() < self._start
        found = self._of_start(asked, passed_over) if is_start else self._by_model(asked)
        return found or self._candidates.listed(asked.taken, asked.random)

    def _seed(self, *path: int) -> int:
        return seeds.derive(self._config.seed, seeds.PROPOSE, *path)

    def _round(
        self, number: int, history: Sequence[TrialRecord], passed_over: Sequence[TrialRecord]
    ) -> _Round:
        known = self._archive.read(history, number)
        passed = [self._genome.codes_of(trial.choices or {}) for trial in passed_over]
        return _Round(
            number,
            known,
            self._archive.digests | {trial.digest for trial in passed_over},
            self._archive.keys | {codes.tobytes() for codes in passed if codes is not None},
            np.random.default_rng(self._seed(number, len(passed_over))),
        )

    def _of_start(self, asked: _Round, passed_over: Sequence[TrialRecord]) -> Candidate | None:
        """The next of the start; where that is known or over a limit, a uniform draw."""
        own = [] if passed_over else [self._design[asked.number % self._start]]
        draws = self._genome.random_genes(SCREENED, asked.random)
        return self._candidates.first([*own, *draws], asked.taken, asked.random)

    def _by_model(self, asked: _Round) -> Candidate | None:
        """The candidate that promises most; draws where none is new and within the limits."""
        known, front, judge = self._judge(asked)
        parents = self._parents(known, front)
        found, worth = self._best(asked, judge, known, parents)
        is_cost = judge.hunted is not None and self._is_exact[judge.hunted]
        if is_cost and worth < LEAST_STEP:
            found, _ = self._best(asked, replace(judge, hunted=None), known, parents)
        draws = self._genome.random_genes(SCREENED, asked.random)
        return found or self._candidates.first(draws, asked.taken, asked.random)

    def _best(
        self, asked: _Round, judge: Judge, known: Known, parents: Rows
    ) -> tuple[Candidate | None, float]:
        """The best of those that promise most, by what they cost exactly, and what it is worth."""
        breeder = Breeder(self._genome, judge.promise, asked.keys, asked.random)
        bred = breeder.breed(known.codes[parents], known.numbers[parents].tolist()).best(SHORT)
        return self._screened(asked, judge, bred) if len(bred.genes) else (None, 0.0)

    def _screened(self, asked: _Round, judge: Judge, bred: Bred) -> tuple[Candidate | None, float]:
        forecast = judge.forecast(bred.codes)
        is_drawn = asked.number % self.draw_every == 0
        losses = judge.drawn(bred.codes, asked.random) if is_drawn else judge.outcomes(forecast)
        order = np.argsort(-judge.worth(losses) * judge.allowed(forecast), kind="stable")[:SCREENED]
        good = self._affordable(asked, bred.genes, order)
        if not good:
            return None, 0.0
        exact = losses[:, [row for row, _ in good]]
        for place, (_, candidate) in enumerate(good):
            self._correct(exact[:, place], candidate)
        worth = judge.worth(exact)
        row, candidate = good[int(np.argmax(worth))]
        return replace(candidate, parents=bred.parents[row]), float(worth.max())

    def _affordable(self, asked: _Round, genes: Genes, order: Rows) -> list[tuple[int, Candidate]]:
        """The rows of the first that are new and within all limits, of few where there is one among them."""
        good = list[tuple[int, Candidate]]()
        for start in range(0, len(order), AT_ONCE):
            for row in order[start : start + AT_ONCE].tolist():
                one = self._candidates.of(genes[row], asked.random)
                if one.screened.over is None and one.screened.digest not in asked.taken:
                    good.append((row, one))
            if good:
                break
        return good

    def _correct(self, losses: Floats, candidate: Candidate) -> None:
        """Put what is known of a candidate in the place of what was predicted (s, w)."""
        for column, o in enumerate(self._watched):
            if o.name in candidate.screened.values:
                losses[:, column] = o.loss(candidate.screened.values[o.name])

    def _judge(self, asked: _Round) -> tuple[Known, Rows, Judge]:
        """What is known, with what is believed of running trials; its front; and who judges by it."""
        known, front = asked.known, asked.known.front()
        predictors = self._predictors(known, front)
        if (waiting := known.is_running & known.is_usable).any():
            known = self._believed(known, predictors, waiting)
            front = known.front()
            predictors = self._predictors(known, front)
        losses = known.losses[:, : known.objectives]
        # what the space cannot give, such as a published network, sets no scale
        own = losses[known.is_front & known.is_usable]
        own = own[np.isfinite(own).all(axis=1)]  # of one that runs nothing may be known yet
        gain = Gain(losses[front], own) if len(front) and len(own) else None
        hunted = self._hunted(asked.number)
        judge = Judge(self._genome, predictors, self._is_exact, known.objectives, self._limits, gain, hunted)
        return known, front, judge

    def _hunted(self, number: int) -> int | None:
        """The one objective that a trial is to be best in: each cost at first, then an accuracy or a cost."""
        if not self.is_hunting:
            return None
        costs = [c for c in range(len(self._config.objectives)) if self._is_exact[c]]
        if 0 <= number - self._start < len(costs):
            return costs[number - self._start]
        if costs and number % COST_EVERY == 0:
            return costs[number // COST_EVERY % len(costs)]
        is_early = len(self._config.objectives) <= 2 and HUNTS[0] <= number - self._start < HUNTS[1]
        every = HUNT_EARLY if is_early else HUNT_EVERY
        if number % every != 1 or not self._uncertain:
            return None
        return self._uncertain[number // every % len(self._uncertain)]

    def _predictors(self, known: Known, front: Rows) -> list[Predictor | None]:
        some = bounded(front, len(known), MOST_POINTS)
        return [
            self._predictions.predictor(known, some, column, is_exact=is_exact)
            for column, is_exact in enumerate(self._is_exact)
        ]

    def _believed(self, known: Known, predictors: Sequence[Predictor | None], waiting: Mask) -> Known:
        """Running trials as if they had ended as predicted, so that workers keep apart (Ginsbourger 2010)."""
        losses, rows = known.losses.copy(), np.flatnonzero(waiting)
        one_hot = self._genome.one_hot(known.codes[rows])
        for column, predictor in enumerate(predictors):
            if predictor is not None:
                told, middle = losses[rows, column], predictor.warp.back(predictor(one_hot)[0])
                losses[rows, column] = np.where(np.isfinite(told), told, middle)
        return replace(known, losses=losses, is_front=known.is_front | waiting)

    def _parents(self, known: Known, front: Rows) -> Rows:
        """The rows of the front, and while it is short of the trials that are best but for it."""
        usable = np.flatnonzero(known.is_usable & known.is_front)
        losses = known.losses[usable, : known.objectives]
        usable = usable[np.isfinite(losses).all(axis=1)][-MOST_POINTS:]
        if len(front) < PARENTS // 4 and len(usable):
            order = np.argsort(ranks(known.losses[usable, : known.objectives]), kind="stable")
            front = np.union1d(front, usable[order[: PARENTS // 4]])
        front = front[known.is_usable[front]]
        return front if len(front) else np.flatnonzero(known.is_usable)[-PARENTS:]


class Process(Auto):
    """The model of ``auto`` alone: every trial follows a function drawn from it (Thompson 1933)."""

    draw_every = 1
    is_hunting = False


algorithms.add("auto", Auto)
algorithms.add("gp", Process)

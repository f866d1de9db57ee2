"""A trial that is being evaluated, as its search sees it: what is to be evaluated, what is recorded of it,
whether it goes on, and how it ends."""

from dataclasses import dataclass, replace
from statistics import fmean

from nas import seeds
from nas.ledger.checkpoints import tensors_of
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import EpochRecord
from nas.ledger.history import History
from nas.ledger.mistakes import Predictions
from nas.ledger.records import SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.objectives import ObjectiveValue
from nas.trials.costing import over_limits
from nas.trials.evaluating import Evaluation, Halt, Outcome, Step
from nas.trials.pace import Pace
from nas.trials.proposing import Found, objectives_without_value
from nas.trials.reporting import ACCURACY, TRAIN_LOSS, Values, check_agreement, further, known_before
from nas.trials.stopping import Decision, Stopping
from search_spaces.errors import BitnasError


@dataclass(frozen=True)
class Books:
    """What the trials of a search are recorded in and judged by."""

    ledger: Ledger
    claims: Claims
    history: History
    stopping: Stopping
    pace: Pace

    def place(self, number: int) -> int:
        """A trial's place among those that are not copies, which come before all others."""
        return number - sum(trial.same_as is not None for trial in self.history.trials)


class TrialRun:
    """A claimed trial that is being evaluated, by this process or another.

    Whoever evaluates it gets ``evaluation``; each of its steps goes to ``on_step``, what came out to
    ``take``, until there is no ``evaluation`` any more: then the trial has ended, or is paused.
    """

    def __init__(self, books: Books, config: SearchConfig, claim: Claim, found: Found) -> None:
        self.claim, self.found, self.config = claim, found, config
        self._claims, self._books = books.claims, books
        self._is_audited = 0 <= books.place(claim.trial.number) < config.audit
        repeats = max(config.repeats, 2 if self._is_audited else 1)
        self._budget = found.budget or config.epochs
        self._results: list[Values] = []
        self._weights: bytes | None = None
        self._predictions: Predictions | None = None
        self._is_over = False
        self._before: Values = {}
        self._last: Values = {}
        self._step = 0
        self.evaluations = [
            Evaluation(
                found.candidate,
                self._budget,
                seeds.training_seed(config.seed, claim.trial.number, index),
                checkpoint=None if index else self._kept(),
            )
            for index in range(repeats)
        ]

    @property
    def evaluation(self) -> Evaluation | None:
        """What is to be evaluated now; None once the trial has ended, or is paused."""
        done = len(self._results)
        return None if self._is_over else self.evaluations[done]

    @property
    def pauses(self) -> tuple[int, ...]:
        """After which steps of its first evaluation the trial may be paused."""
        stopping, number = self._books.stopping, self.claim.trial.number
        if not stopping.pauses or self._is_audited:
            return ()
        before = self.claim.trial.epochs_done or 0
        return tuple(rung for rung in stopping.pruner.rungs(number) if before < rung < self._budget)

    def _kept(self) -> bytes | None:
        """The checkpoint of a trial that was paused."""
        trial = self.claim.trial
        return tensors_of(self._books.ledger, trial.search, trial.number) if trial.epochs_done else None

    def on_step(self, step: Step) -> Halt | None:
        """Record a step, and decide whether it is the last.

        Raises:
            BitnasError: its values contradict what was told before the training.
            StaleClaimError: the trial is another's.
        """
        if step.number == 0:
            self._before = step.values
            return self._over(self._agreeing({}, step.values))
        self._books.pace.trained_s += step.seconds
        self._step, self._last = step.number, step.values
        is_first = not self._results  # the one that is recorded, and that counts for the pruner
        if is_first:
            self._record(step)
        self._agreeing(self._before, step.values)
        return self._decided(step.number) if is_first else None

    def take(self, outcome: Outcome) -> None:
        """End the trial or pause it, or go on to its next evaluation, by what came out of one."""
        if outcome.halt is not None:
            self._stop(outcome.halt, outcome.kept)
            self._is_over = True
            return
        self._results.append({**self._before, **self._agreeing(self._before, outcome.values)})
        self._weights = outcome.weights if self._weights is None else self._weights
        self._predictions = outcome.predictions if self._predictions is None else self._predictions
        self._before, self._last, self._step = {}, {}, 0
        if len(self._results) == len(self.evaluations):
            self._complete()
            self._is_over = True

    def _record(self, step: Step) -> None:
        others = {name: v for name, v in step.values.items() if name not in (TRAIN_LOSS, ACCURACY)}
        told = step.values.get(TRAIN_LOSS), step.values.get(ACCURACY)
        self._claims.record_epoch(self.claim, EpochRecord(step.number, *told, step.seconds, others))

    def _agreeing(self, before: Values, values: Values) -> Values:
        """Values, none of which contradicts what was told before the training."""
        check_agreement(self.config.evaluator, known_before(self.found.cost.costs, before), values)
        return values

    def _over(self, values: Values) -> Halt | None:
        """Why not to begin, by what is known before."""
        cost = self.found.cost
        over = over_limits(self.config, replace(cost, costs={**cost.costs, **further(values)}))
        return None if over is None else Halt(over)

    def _decided(self, step: int) -> Halt | None:
        """Whether the pruner stops an evaluation after a step."""
        if step >= self._budget or self._is_audited:
            return None
        before = self.claim.trial.epochs_done or 0
        decision = self._books.stopping.decide(self.claim.trial.number, step, gone_on_from=before)
        return None if decision is Decision.GO else Halt(decision.value, decision is Decision.PAUSE)

    def _stop(self, halt: Halt, kept: bytes) -> None:
        """Pause or end a trial that was stopped: before its first step it was over a limit."""
        values = {**self.found.cost.costs, **further({**self._before, **self._last})}
        accuracy = self._last.get(ACCURACY)
        if not self._step:
            self._claims.finish(self.claim, TrialState.INFEASIBLE, error=halt.why, values=values)
        elif halt.is_pause:
            step = self._step
            self._claims.pause(self.claim, epoch=step, accuracy=accuracy, values=values, checkpoint=kept)
        else:
            self._claims.finish(self.claim, TrialState.PRUNED, accuracy=accuracy, values=values)

    def _complete(self) -> None:
        """End a trial that was evaluated to the end, by the means of what came out."""
        results = self._results
        means = {name: fmean(result[name] for result in results) for name in results[0]}
        values = {**self.found.cost.costs, **further(means)}
        self._check_promise(means.get(ACCURACY), values)
        self._claims.finish(
            self.claim,
            TrialState.COMPLETE,
            accuracy=means.get(ACCURACY),
            accuracies=[result[ACCURACY] for result in results if ACCURACY in result],
            values=values,
            weights=self._weights,
            predictions=self._predictions,
        )

    def _check_promise(self, accuracy: float | None, values: dict[str, ObjectiveValue]) -> None:
        cost, trial = self.found.cost, replace(self.claim.trial, accuracy=accuracy, costs=values)
        trial = replace(trial, latency_ms=cost.latency_ms, size_kb=cost.size_kb)
        if missing := objectives_without_value(self.config, trial):
            told, name = ", ".join(missing), self.config.evaluator
            raise BitnasError(f"evaluator: '{name}' gave no {told}; have it return that")

"""One trial from its claim to its end: propose, cost, evaluate, record."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

from nas import seeds
from nas.algorithms.base import Algorithm, Choices, Screened
from nas.algorithms.choosing import algorithm
from nas.evaluators.base import Evaluator, PrunedError
from nas.ledger.checkpoints import tensors_of
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import Cost
from nas.ledger.history import History
from nas.ledger.records import SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.measuring.machine_lock import MachineLock
from nas.objectives import ObjectiveValue
from nas.trials.costing import Costing, over_limits
from nas.trials.failures import one_line
from nas.trials.first import read_first
from nas.trials.proposing import Found, PassedOver, Proposer, choose, objectives_without_value
from nas.trials.reporting import (
    ACCURACY,
    Halt,
    TrialReport,
    Values,
    check_agreement,
    checked,
    further,
    known_before,
)
from nas.trials.stopping import Decision, Stopping
from search_spaces.architecture import read_architecture
from search_spaces.errors import BitnasError, ExhaustedError
from search_spaces.search_space import Candidate, SearchSpace


@dataclass
class TrialRunner:
    """Runs the trials of one search, one at a time. Whatever it raises leaves the trial running."""

    ledger: Ledger
    claims: Claims
    search: str
    config: SearchConfig
    space: SearchSpace
    algorithm: Algorithm
    evaluator: Evaluator
    costing: Costing
    lock: MachineLock

    def __post_init__(self) -> None:
        self.history = History(self.ledger, self.search)
        self.stopping = Stopping(self.ledger, self.history, self.search, self.config)
        self.use(self.config)

    def use(self, config: SearchConfig) -> None:
        """Go on with the search's settings as they are now: a relative limit is known."""
        if config is not self.config:
            self.algorithm = algorithm(self.space, config)
        self.config = self.costing.config = config
        self.algorithm.screen = self._screened
        self.proposer = Proposer(self.space, config, self.algorithm, self.costing, self.history)

    def _screened(self, choices: Choices) -> Screened:
        """What choices cost. Where that fails, a trial of them would fail, too: better propose others."""
        candidate = choose(self.space, choices)
        try:
            return self.costing.screened(candidate)
        except Exception as error:  # of an evaluator's `costs`, or of a plug-in's objective
            return Screened(candidate.digest, over=one_line(error))

    def run(self, claim: Claim, check: Callable[[], None]) -> None:
        """Bring a claimed trial to a final state; ``check`` is called often and may raise to leave it.

        An architecture that was stored by an earlier claim is taken over: it may be known to others.
        """
        try:
            found = self._found(claim, check)
        except ExhaustedError as exhausted:
            self.claims.end_search(str(exhausted), claim)
            return
        check()
        if found.over:
            self.claims.finish(claim, TrialState.INFEASIBLE, error=found.over)
            if found.ends:
                self.claims.end_search(found.ends)
        else:
            self._evaluate(claim, found, check)
        self.algorithm.tell(self.ledger.trial(self.search, claim.trial.number))

    def settle(self, claim: Claim) -> None:
        """Measure the kernels of a trained trial that were estimated, and record what it then costs."""
        cost = self.costing.settled(read_architecture(str(claim.trial.architecture)))
        self.claims.record_cost(claim, replace(cost, costs={**claim.trial.costs, **cost.costs}))
        self.claims.release(claim)

    def measure(self, claim: Claim) -> None:
        """Time the whole network of a trial, and record it."""
        started = time.monotonic()
        measured = self.costing.bench.measure(read_architecture(str(claim.trial.architecture)))
        seconds = time.monotonic() - started
        self.costing.pace.add_front(seconds)
        self.claims.record_measured(claim, measured=measured, seconds=seconds)

    def _found(self, claim: Claim, check: Callable[[], None]) -> Found:
        """What the trial is to try, recorded with what it costs."""
        trial = claim.trial
        if trial.architecture is not None:
            candidate = self._stored(trial.choices, trial.architecture)
            cost = self.costing.before_training(candidate)
            self.claims.record_cost(claim, cost)
            over = over_limits(self.config, cost)
            return Found(trial.choices, candidate, trial.budget, cost, over)
        passed = PassedOver(trial.number)
        self.history.refresh()
        if (first := self._first(trial.number)) and self._is_recorded(claim, first, passed):
            return first
        while True:
            self.history.refresh()
            found = self.proposer.find(passed, check)
            if self._is_recorded(claim, found, passed):
                return found
            # another worker has just proposed the same
            passed.add(found.choices or {}, found.candidate.digest)

    def _first(self, number: int) -> Found | None:
        """What the search was told to begin with; it is not passed over where it breaks a limit."""
        place = self._place(number)
        if not 0 <= place < len(self.config.first):
            return None
        candidate, choices = read_first(self.space, self.config.first[place])
        cost = self.costing.before_training(candidate)
        return Found(choices, candidate, None, cost, over_limits(self.config, cost))

    def _is_recorded(self, claim: Claim, found: Found, passed: PassedOver) -> bool:
        return self.claims.propose(
            claim,
            choices=found.choices,
            architecture=found.candidate.to_json(),
            digest=found.candidate.digest,
            budget=found.budget,
            passed_over=len(passed),
            passed_samples=passed.samples(self.config),
            cost=found.cost,
        )

    def _stored(self, choices: dict[str, str | int] | None, architecture: str) -> Candidate:
        """The candidate of a trial that was begun before; architectures of your own come from the choices."""
        if choices is None:
            return read_architecture(architecture)
        try:
            return choose(self.space, choices)
        except KeyError:  # the space has changed since
            return read_architecture(architecture)

    def _evaluate(self, claim: Claim, found: Found, check: Callable[[], None]) -> None:
        """Evaluate, as often as the search repeats it, and end the trial."""
        results, weights = list[Values](), None
        for index in range(self._repeats(claim)):
            report = self._report(claim, found, check, index)
            try:
                with self.lock.shared() as give_way:
                    report.on_check = _both(check, give_way)
                    given = self.evaluator.evaluate(found.candidate, self._budget(found), report)
            except PrunedError:
                if report.stopped is None:
                    raise
            finally:
                self.costing.pace.trained_s += report.trained_s
            if report.stopped is not None:
                self._stop(claim, found.cost, report, report.stopped)
                return
            results.append({**report.before, **self._agreeing(found, report.before, checked(given))})
            weights = report.weights if weights is None else weights
        self._complete(claim, found.cost, results, weights)

    def _repeats(self, claim: Claim) -> int:
        return max(self.config.repeats, 2 if self._is_audited(claim) else 1)

    def _is_audited(self, claim: Claim) -> bool:
        return 0 <= self._place(claim.trial.number) < self.config.audit

    def _place(self, number: int) -> int:
        """A trial's place among those that are not copies, which come before all others."""
        return number - sum(trial.same_as is not None for trial in self.history.trials)

    def _report(self, claim: Claim, found: Found, check: Callable[[], None], index: int) -> TrialReport:
        """Of one evaluation; the first of several is the one that counts for the pruner."""
        number, is_first = claim.trial.number, index == 0

        def on_step(step: int, values: Values) -> Halt | None:
            self._agreeing(found, report.before if step else {}, values)
            if step == 0:
                return self._over(found, values)
            return self._decided(claim, found, step) if is_first else None

        seed = seeds.training_seed(self.config.seed, number, index)
        kept = tensors_of(self.ledger, self.search, number) if is_first and claim.trial.epochs_done else None
        told = self.claims, claim, seed, check, on_step, self._budget(found)
        report = TrialReport(*told, is_recorded=is_first, checkpoint=kept)
        return report

    def _agreeing(self, found: Found, before: Values, values: Values) -> Values:
        """Values, none of which contradicts what was told before the training."""
        check_agreement(self.config.evaluator, known_before(found.cost.costs, before), values)
        return values

    def _budget(self, found: Found) -> int:
        return found.budget or self.config.epochs

    def _over(self, found: Found, values: Values) -> Halt | None:
        """Why not to begin, by what is known before."""
        known = replace(found.cost, costs={**found.cost.costs, **further(values)})
        over = over_limits(self.config, known)
        return None if over is None else Halt(over)

    def _decided(self, claim: Claim, found: Found, step: int) -> Halt | None:
        """Whether the pruner stops an evaluation after a step."""
        if step >= self._budget(found) or self._is_audited(claim):
            return None
        before = claim.trial.epochs_done or 0
        decision = self.stopping.decide(claim.trial.number, step, gone_on_from=before)
        return None if decision is Decision.GO else Halt(decision.value, decision is Decision.PAUSE)

    def _stop(self, claim: Claim, cost: Cost, report: TrialReport, halt: Halt) -> None:
        """Pause or end a trial that was stopped: before its first step it was over a limit."""
        values = {**cost.costs, **further({**report.before, **report.last})}
        accuracy = report.last.get(ACCURACY)
        if not report.step:
            self.claims.finish(claim, TrialState.INFEASIBLE, error=halt.why, values=values)
        elif halt.is_pause:
            step, kept = report.step, report.kept
            self.claims.pause(claim, epoch=step, accuracy=accuracy, values=values, checkpoint=kept)
        else:
            self.claims.finish(claim, TrialState.PRUNED, accuracy=accuracy, values=values)

    def _complete(self, claim: Claim, cost: Cost, results: list[Values], weights: bytes | None) -> None:
        """End a trial that was evaluated to the end, by the means of what came out."""
        means = {name: fmean(result[name] for result in results) for name in results[0]}
        values = {**cost.costs, **further(means)}
        self._check_promise(claim, cost, means.get(ACCURACY), values)
        self.claims.finish(
            claim,
            TrialState.COMPLETE,
            accuracy=means.get(ACCURACY),
            accuracies=[result[ACCURACY] for result in results if ACCURACY in result],
            values=values,
            weights=weights,
        )

    def _check_promise(
        self, claim: Claim, cost: Cost, accuracy: float | None, values: dict[str, ObjectiveValue]
    ) -> None:
        trial = replace(
            claim.trial, accuracy=accuracy, latency_ms=cost.latency_ms, size_kb=cost.size_kb, costs=values
        )
        if missing := objectives_without_value(self.config, trial):
            told = ", ".join(missing)
            raise BitnasError(f"evaluator: '{self.config.evaluator}' gave no {told}; have it return that")


def _both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        one()
        other()

    return both

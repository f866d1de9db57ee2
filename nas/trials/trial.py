"""One trial from its claim to its end: propose, cost, evaluate, record."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

from nas import seeds
from nas.algorithms import pruners
from nas.algorithms.base import Algorithm, ExhaustedError
from nas.algorithms.choosing import algorithm
from nas.evaluators.base import Evaluator, PrunedError
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import Cost
from nas.ledger.history import History
from nas.ledger.records import SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.measuring.machine_lock import MachineLock
from nas.objectives import ObjectiveValue
from nas.trials.costing import Costing, over_limits
from nas.trials.proposing import Found, PassedOver, Proposer, choose, objectives_without_value
from nas.trials.reporting import ACCURACY, TrialReport, Values, checked, further
from search_spaces.architecture import Architecture
from search_spaces.errors import BitnasError
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
        self.use(self.config)

    def use(self, config: SearchConfig) -> None:
        """Go on with the search's settings as they are now: a relative limit is known."""
        if config is not self.config:
            self.algorithm = algorithm(self.space, config)
        self.config = self.costing.config = config
        self.algorithm.screen = lambda choices: self.costing.screened(choose(self.space, choices))
        self.proposer = Proposer(self.space, config, self.algorithm, self.costing, self.history)

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
        cost = self.costing.settled(Architecture.from_json(str(claim.trial.architecture)))
        self.claims.record_cost(claim, replace(cost, costs={**claim.trial.costs, **cost.costs}))
        self.claims.release(claim)

    def measure(self, claim: Claim) -> None:
        """Time the whole network of a trial, and record it."""
        started = time.monotonic()
        measured = self.costing.bench.measure(Architecture.from_json(str(claim.trial.architecture)))
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
        while True:
            self.history.refresh()
            found = self.proposer.find(passed, check)
            if self._is_recorded(claim, found, passed):
                return found
            # another worker has just proposed the same
            passed.add(found.choices or {}, found.candidate.digest)

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
            return Architecture.from_json(architecture)
        try:
            return choose(self.space, choices)
        except KeyError:  # the space has changed since
            return Architecture.from_json(architecture)

    def _evaluate(self, claim: Claim, found: Found, check: Callable[[], None]) -> None:
        """Evaluate, as often as the search repeats it, and end the trial."""
        results, weights = list[Values](), None
        for index in range(self.config.repeats):
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
                self._stop(claim, found.cost, report)
                return
            results.append({**report.before, **checked(given)})
            weights = report.weights if weights is None else weights
        self._complete(claim, found.cost, results, weights)

    def _report(self, claim: Claim, found: Found, check: Callable[[], None], index: int) -> TrialReport:
        def on_step(step: int, values: Values) -> str | None:
            return self._why_stop(found, step, values)

        number = claim.trial.number
        seed = seeds.training_seed(self.config.seed, number, index)
        return TrialReport(self.claims, claim, seed, check, on_step, is_recorded=index == 0)

    def _budget(self, found: Found) -> int:
        return found.budget or self.config.epochs

    def _why_stop(self, found: Found, step: int, values: Values) -> str | None:
        """Why to stop an evaluation after a step; None: go on."""
        if step == 0:
            known = replace(found.cost, costs={**found.cost.costs, **further(values)})
            return over_limits(self.config, known)
        pruner = pruners.pruners.get(self.config.pruner)
        accuracy = values.get(ACCURACY)
        if step >= self._budget(found) or accuracy is None or self.config.pruner == "none":
            return None
        return "below its rivals" if pruner.should_prune(accuracy, self._rivals(found.cost, step)) else None

    def _rivals(self, cost: Cost, epoch: int) -> list[float]:
        self.history.refresh()
        cheaper = pruners.rivals(cost, self.config, self.history.trials)
        accuracies = self.claims.epoch_accuracies(epoch)
        return [accuracy for number, accuracy in accuracies.items() if number in cheaper]

    def _stop(self, claim: Claim, cost: Cost, report: TrialReport) -> None:
        """End a trial that was stopped: before its first step it was over a limit."""
        values = {**cost.costs, **further({**report.before, **report.last})}
        if not report.last:
            self.claims.finish(claim, TrialState.INFEASIBLE, error=report.stopped, values=values)
        else:
            self.claims.finish(claim, TrialState.PRUNED, accuracy=report.last.get(ACCURACY), values=values)

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

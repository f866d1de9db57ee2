"""The trials of a search, from the claim of one to its end: propose, cost, have it evaluated, record."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from nas.algorithms.base import Algorithm, Choices, Screened
from nas.algorithms.choosing import algorithm
from nas.evaluators.base import Evaluator
from nas.ledger.claims import Claim, Claims
from nas.ledger.history import History
from nas.ledger.records import SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.measuring.machine_lock import MachineLock
from nas.trials.costing import Costing, over_limits
from nas.trials.evaluating import evaluate
from nas.trials.failures import one_line
from nas.trials.first import read_first
from nas.trials.proposing import Found, PassedOver, Proposer, candidate_of, choose
from nas.trials.running import Books, TrialRun
from nas.trials.stopping import Stopping
from search_spaces.architecture import read_architecture
from search_spaces.errors import ExhaustedError
from search_spaces.search_space import SearchSpace


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
        self.books = Books(self.ledger, self.claims, self.history, self.stopping, self.costing.pace)
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
        """Bring a claimed trial to a final state, or pause it, all in this process; ``check`` is called often
        and may raise to leave it."""
        run = self.begin(claim, check)
        while run is not None and run.evaluation is not None:
            with self.lock.shared() as give_way:
                outcome = evaluate(self.evaluator, run.evaluation, run.on_step, _both(check, give_way))
            run.take(outcome)
        if run is not None:
            self.tell(claim)

    def begin(self, claim: Claim, check: Callable[[], None]) -> TrialRun | None:
        """Decide what a claimed trial is to try, and what that costs; None where it ends with that.

        An architecture that was stored by an earlier claim is taken over: it may be known to others.
        """
        try:
            found = self._found(claim, check)
        except ExhaustedError as exhausted:
            self.claims.end_search(str(exhausted), claim)
            return None
        check()
        if found.over:
            self.claims.finish(claim, TrialState.INFEASIBLE, error=found.over)
            if found.ends:
                self.claims.end_search(found.ends)
            self.tell(claim)
            return None
        return TrialRun(self.books, self.config, claim, found)

    def tell(self, claim: Claim) -> None:
        """Let the algorithm know what has become of a trial."""
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
            candidate = candidate_of(self.space, trial.choices, trial.architecture)
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
        place = self.books.place(number)
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
            parents=found.parents,
            passed_over=len(passed),
            passed_samples=passed.samples(self.config),
            cost=found.cost,
        )


def _both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        one()
        other()

    return both

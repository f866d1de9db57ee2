"""Evaluates an architecture, wherever that may be: tells each step to whoever decides, knows no ledger."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from nas.evaluators.base import Evaluator, PrunedError
from nas.ledger.mistakes import Predictions
from nas.trials.reporting import Values, checked
from search_spaces.search_space import Candidate


@dataclass(frozen=True)
class Halt:
    """Why an evaluation does not go on; it may later, where it is but a pause."""

    why: str
    is_pause: bool = False


@dataclass(frozen=True)
class Evaluation:
    """One evaluation that is to be done.

    Attributes:
        candidate: what is evaluated.
        budget: the last step that there may be.
        seed: for everything that is random in it.
        checkpoint: what an earlier run kept before it was paused; None: start anew.
    """

    candidate: Candidate
    budget: int
    seed: int
    checkpoint: bytes | None = None


@dataclass(frozen=True)
class Step:
    """What an evaluation tells after a step; 0 is before the first.

    Attributes:
        number: which step.
        values: what it gave, by objective.
        seconds: how long it took, without waiting for others and for who decides.
        keep: gives what a later run goes on from.
    """

    number: int
    values: Values
    seconds: float
    keep: Callable[[], bytes]


OnStep = Callable[[Step], Halt | None]
"""Whether to stop after a step; None to go on."""
OnCheck = Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """How an evaluation has ended.

    Attributes:
        values: what it gave in the end; none where it was stopped.
        weights: a trained network's tensors, as a safetensors file.
        predictions: what that network gets wrong.
        halt: why it was stopped, if it was.
        kept: what a later run goes on from, once it was paused.
    """

    values: Values = field(default_factory=dict)
    weights: bytes | None = None
    predictions: Predictions | None = None
    halt: Halt | None = None
    kept: bytes = b""


def evaluate(evaluator: Evaluator, evaluation: Evaluation, on_step: OnStep, on_check: OnCheck) -> Outcome:
    """Evaluate to the end, or until ``on_step`` stops it; raises what the evaluator and these two raise."""
    report = EvaluationReport(evaluation, on_step, on_check)
    try:
        given = evaluator.evaluate(evaluation.candidate, evaluation.budget, report)
    except PrunedError:
        if report.stopped is None:
            raise
    if report.stopped is not None:
        return Outcome(halt=report.stopped, kept=report.kept)
    if not isinstance(report.predictions, Predictions | None):
        raise TypeError(f"predictions are of type Predictions, not {type(report.predictions).__name__}")
    return Outcome(checked(given), report.weights, report.predictions)


class EvaluationReport:
    """The report of one evaluation; ``nas.evaluators.Report`` says what it promises.

    Attributes:
        stopped: why it was stopped; None while it goes on.
        kept: what a later run goes on from, once it was paused.
    """

    def __init__(self, evaluation: Evaluation, on_step: OnStep, on_check: OnCheck) -> None:
        self.seed, self.checkpoint = evaluation.seed, evaluation.checkpoint
        self.weights: bytes | None = None
        self.predictions: Predictions | None = None
        self.stopped: Halt | None = None
        self.kept = b""
        self._budget, self._on_step, self._on_check = evaluation.budget, on_step, on_check
        self._last = 0
        self._keep: Callable[[], bytes] = bytes
        self._since = time.perf_counter()

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Tell of a step, and raise where it is the last."""
        self.check()
        seconds = time.perf_counter() - self._since
        self._since += seconds
        self._check_step(step)
        found = checked(values)
        self._last = max(self._last, step)  # once nothing is refused: the evaluator may mend that
        with self._not_counted():
            halt = self._on_step(Step(step, found, seconds, self._keep))
        if halt:
            self._stop(halt)

    def _check_step(self, step: int) -> None:
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError(f"a step is a whole number, not {step!r}")
        if step < 0 or 0 < step <= self._last:
            raise ValueError(
                f"step {step} was reported after {self._last}; steps grow from 1, and 0 is before"
            )
        if step > self._budget:
            raise ValueError(f"step {step} was reported, and the budget ends with {self._budget}")

    def _stop(self, halt: Halt) -> None:
        self.stopped = halt
        if halt.is_pause:
            self.kept = self._keep()
        raise PrunedError(halt.why)

    def keep(self, checkpoint: Callable[[], bytes]) -> None:
        """See the contract."""
        self._keep = checkpoint

    def check(self) -> None:
        """See the contract."""
        with self._not_counted():
            self._on_check()

    @contextmanager
    def _not_counted(self) -> Iterator[None]:
        """Time that is no part of a step: others may measure meanwhile, for minutes."""
        started = time.perf_counter()
        yield
        self._since += time.perf_counter() - started

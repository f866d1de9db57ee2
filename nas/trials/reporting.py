"""What an evaluation reports, on its way to the ledger, and whether it goes on."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nas.evaluators.base import PrunedError
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import EpochRecord
from nas.objectives import ObjectiveValue, is_known, objective
from search_spaces.errors import BitnasError

TRAIN_LOSS, ACCURACY = "train_loss", "accuracy"
Values = dict[str, float]
SAME = 1e-9
"""Values nearer to each other than this, or than this share of them, are the same, but for rounding."""


@dataclass(frozen=True)
class Halt:
    """Why an evaluation does not go on; it may later, where it is but a pause."""

    why: str
    is_pause: bool = False


OnStep = Callable[[int, Values], Halt | None]
"""Whether to stop after a step, with what it gave; None to go on."""


@dataclass
class TrialReport:
    """The report of one evaluation; ``nas.evaluators.Report`` says what it promises.

    Attributes:
        on_step: whether to stop; asked after each step that the ledger has.
        budget: the last step that there may be.
        stopped: why it was stopped; None while it goes on.
        step: the last one, and ``last`` its values.
        kept: what a later run goes on from, once it was paused.
        trained_s: how long the steps have taken.
    """

    claims: Claims
    claim: Claim
    seed: int
    on_check: Callable[[], None]
    on_step: OnStep
    budget: int
    is_recorded: bool = True
    checkpoint: bytes | None = None
    weights: bytes | None = None
    stopped: Halt | None = None
    kept: bytes = b""
    before: Values = field(default_factory=dict)
    step: int = 0
    last: Values = field(default_factory=dict)
    trained_s: float = 0.0
    make_checkpoint: Callable[[], bytes] | None = None

    def __post_init__(self) -> None:
        self._since = time.perf_counter()

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Record a step, and raise where it is the last."""
        self.check()
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        self._check_step(step)
        found = checked(values)
        if step == 0:
            self.before = found
        else:
            self.trained_s += seconds
            self._record(step, found, seconds)
        if halt := self.on_step(step, found):
            self._stop(halt)

    def _check_step(self, step: int) -> None:
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError(f"a step is a whole number, not {step!r}")
        if step < 0 or 0 < step <= self.step:
            raise ValueError(
                f"step {step} was reported after {self.step}; steps grow from 1, and 0 is before"
            )
        if step > self.budget:
            raise ValueError(f"step {step} was reported, and the budget ends with {self.budget}")

    def _record(self, step: int, values: Values, seconds: float) -> None:
        self.step, self.last = step, values
        if self.is_recorded:
            further = {name: v for name, v in values.items() if name not in (TRAIN_LOSS, ACCURACY)}
            told = values.get(TRAIN_LOSS), values.get(ACCURACY)
            self.claims.record_epoch(self.claim, EpochRecord(step, *told, seconds, further))

    def _stop(self, halt: Halt) -> None:
        self.stopped = halt
        if halt.is_pause and self.make_checkpoint is not None:
            self.kept = self.make_checkpoint()
        raise PrunedError(halt.why)

    def keep(self, checkpoint: Callable[[], bytes]) -> None:
        """See the contract."""
        self.make_checkpoint = checkpoint

    def check(self) -> None:
        """See the contract."""
        self.on_check()


def checked(values: Mapping[str, float]) -> Values:
    """What an evaluator gave, as floats.

    Raises:
        ValueError: one is no finite number.
        TypeError: it is no mapping of names to numbers.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"an evaluator gives a mapping of objectives to numbers, not {type(values).__name__}")
    for name, given in values.items():
        if isinstance(given, str | bytes | bool):
            raise TypeError(f"{name} is {given!r}, which is no number")
    found = {str(name): float(value) for name, value in values.items()}
    if not 0 <= found.get(ACCURACY, 0.0) <= 1 and math.isfinite(found[ACCURACY]):
        raise ValueError(f"{ACCURACY} is {found[ACCURACY]:g}, which is no share of 0 to 1")
    for name, value in found.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}, which the ledger does not record")
    return found


def further(values: Values) -> dict[str, ObjectiveValue]:
    """What is kept beside the accuracy."""
    others = {name: value for name, value in values.items() if name not in (ACCURACY, TRAIN_LOSS)}
    return {name: ObjectiveValue.exact(value) for name, value in others.items()}


def known_before(costs: Mapping[str, ObjectiveValue], at_step_0: Values) -> Values:
    """What was told before a training and holds after it: no estimates, and no accuracy of a first draw."""
    exact = {name: cost.value for name, cost in costs.items() if cost.low == cost.high}
    return {**{name: value for name, value in at_step_0.items() if _is_early(name)}, **exact}


def _is_early(name: str) -> bool:
    return is_known(name) and objective(name).is_known_before_training


def check_agreement(evaluator: str, before: Values, after: Values) -> None:
    """Refuse values that contradict what was told before the training.

    Raises:
        BitnasError: one does; the message has both.
    """
    for name in before.keys() & after.keys():
        told, found = before[name], after[name]
        if not math.isclose(told, found, rel_tol=SAME, abs_tol=SAME):
            problem = f"'{evaluator}' told {name} {told!r} before the training, and {found!r} later"
            raise BitnasError(f"evaluator: {problem}; have it tell the same, or nothing before")

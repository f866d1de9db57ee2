"""MnasNet's reward: accuracy and latency in one number."""

import math
import re

from nas.objectives.base import Figures, Objective, ObjectiveValue
from nas.objectives.latency import Latency
from search_spaces.errors import InvalidInput

SOFT, HARD = "mnasnet", "mnasnet-hard"
SOFT_EXPONENT = -0.07
"""Of the paper: to double the latency is worth 5 % of accuracy."""
HARD_EXPONENTS = 0.0, -1.0
"""Of the paper, within the target and over it."""
LOWEST_EXPONENT = -10.0
REWARDS = (SOFT, HARD)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_NAME = re.compile(rf"(?P<kind>{SOFT}|{HARD})@(?P<target>{_NUMBER})ms(?::(?P<exponent>{_NUMBER}))?", re.ASCII)


class Reward(Objective):
    """ACC (LAT / T)^w for a target latency T in ms, on the search's device.

    Equations 2 to 4 of Tan et al. 2019, "MnasNet: platform-aware neural architecture search for mobile". In
    the soft form (``mnasnet@3ms:-0.07``) w is the same on both sides of the target; in the hard form
    (``mnasnet-hard@3ms``) it is 0 up to the target and -1 beyond. The name holds the parameters, as the
    ledger keeps names. The latency is the predicted one, as of the objective ``latency``.

    Raises:
        InvalidInput: the target is not a finite number above 0, or ``exponent`` not between -10 and 0.
    """

    title, is_maximized, parts = "reward", True, ("accuracy", "latency")

    def __init__(self, kind: str, target_ms: float, exponent: float | None = None) -> None:
        _check(kind, target_ms, exponent)
        self.target_ms = target_ms
        soft = SOFT_EXPONENT if exponent is None else exponent
        self.exponents = HARD_EXPONENTS if kind == HARD else (soft, soft)
        self.name = f"{kind}@{_short(target_ms)}ms" + ("" if kind == HARD else f":{_short(soft)}")

    @classmethod
    def named(cls, name: str) -> "Reward":
        """The one of a name, such as ``mnasnet@3ms``, ``mnasnet@3ms:-0.1`` or ``mnasnet-hard@0.4ms``.

        Raises:
            InvalidInput: the name is none, or a number is out of its range.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            problem = f"'{name}' is no reward"
            raise InvalidInput("objectives", problem, f"give {SOFT}@3ms, {SOFT}@3ms:-0.07 or {HARD}@3ms")
        exponent = found["exponent"]
        try:
            return cls(found["kind"], float(found["target"]), None if exponent is None else float(exponent))
        except InvalidInput as error:
            raise InvalidInput("objectives", f"'{name}': {error.problem}", error.fix) from error

    @property
    def is_known_before_training(self) -> bool:
        """Accuracy is a part of it."""
        return False

    def of(self, trial: Figures) -> ObjectiveValue | None:
        """From the accuracy, and the interval of the latency: the slowest end gives the least."""
        latency = Latency().of(trial)
        if latency is None or trial.accuracy is None:
            return None
        fast, slow = self._factor(latency.low), self._factor(latency.high)
        accuracy = trial.accuracy
        return ObjectiveValue(
            accuracy * self._factor(latency.value), accuracy * slow, accuracy * fast, latency.estimated
        )

    def show(self, value: float | None) -> str:
        """Four digits."""
        return super().show(value) if value is None else f"{value:.4f}"

    def _factor(self, latency_ms: float) -> float:
        """What a latency does to an accuracy."""
        ratio = max(latency_ms, 1e-9) / self.target_ms
        within, beyond = self.exponents
        return float(ratio ** (within if ratio <= 1 else beyond))


def _short(number: float) -> str:
    """All digits that tell the number, and no more: ``3``, ``0.07``, ``1e-09``."""
    return repr(float(number)).removesuffix(".0")


def _check(kind: str, target_ms: float, exponent: float | None) -> None:
    if kind not in REWARDS:
        raise InvalidInput("reward", f"'{kind}' is not known", f"give one of {', '.join(REWARDS)}")
    if not (math.isfinite(target_ms) and target_ms > 0):
        raise InvalidInput(
            "target_latency_ms", f"{target_ms:g} is no latency", "give a finite number of ms above 0"
        )
    if exponent is None:
        return
    if kind == HARD:
        raise InvalidInput("w", f"{HARD} has exponents of its own, 0 and -1", f"omit it, or choose {SOFT}")
    if not LOWEST_EXPONENT <= exponent < 0:
        fix = f"give one of {LOWEST_EXPONENT:g} to below 0, such as {SOFT_EXPONENT}"
        raise InvalidInput("w", f"an exponent of {exponent:g} is out of range", fix)

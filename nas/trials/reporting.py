"""The values that an evaluation reports: checked, and compared with what was known before."""

import math
from collections.abc import Mapping

from nas.objectives import ObjectiveValue, is_known, objective
from search_spaces.errors import BitnasError

TRAIN_LOSS, ACCURACY = "train_loss", "accuracy"
Values = dict[str, float]
SAME = 1e-9
"""Values nearer to each other than this, or than this share of them, are the same, but for rounding."""


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

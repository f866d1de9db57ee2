"""Accuracy on the validation split."""

from nas.formatting import percent
from nas.objectives.base import Figures, Objective, ObjectiveValue


class Accuracy(Objective):
    """The share of validation images, 0 to 1, that the trained network classifies as they are labelled."""

    name, title = "accuracy", "accuracy"
    is_maximized = True

    @property
    def is_known_before_training(self) -> bool:
        """It is what training is for."""
        return False

    def of(self, trial: Figures) -> ObjectiveValue | None:
        """After the last epoch that the trial was trained."""
        return None if trial.accuracy is None else ObjectiveValue.exact(trial.accuracy)

    def check_limit(self, limit: float) -> str | None:
        """It is a share."""
        return None if 0 < limit <= 1 else "give a share of the images, such as 0.9"

    def show(self, value: float | None) -> str:
        """Such as ``97.2%``."""
        return percent(value)

"""Objectives that an evaluator of the user's own reports."""

import math
import re

from nas.objectives.base import Figures, Objective, ObjectiveValue
from search_spaces.errors import InvalidInput

DIRECTIONS = ("maximize", "minimize")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Reported(Objective):
    """A figure that an evaluator reports by its name: ``nas.Objective("flops", unit="G")``.

    Attributes:
        before_training: whether it is known before the training: the evaluator's ``costs`` gives it, or the
            evaluation reports it as of step 0.
    """

    def __init__(
        self,
        name: str,
        *,
        unit: str = "",
        direction: str = "minimize",
        before_training: bool = False,
        title: str = "",
    ) -> None:
        if not _NAME.fullmatch(name):
            rule = "give lower-case letters, digits and underscores, a letter first"
            raise InvalidInput("objectives", f"{name!r} is no name of an objective", rule)
        if direction not in DIRECTIONS:
            fix = f"choose one of {', '.join(DIRECTIONS)}"
            raise InvalidInput("objectives", f"{name}: {direction!r} is no direction", fix)
        self.name, self.unit, self.title = name, unit, title or name.replace("_", " ")
        self.is_maximized = direction == "maximize"
        self.before_training = before_training
        self.worst = -math.inf if self.is_maximized else math.inf

    @property
    def is_known_before_training(self) -> bool:
        """As whoever made it says."""
        return self.before_training

    def of(self, trial: Figures) -> ObjectiveValue | None:
        """What was reported; None where nothing was."""
        return trial.costs.get(self.name)

    def check_limit(self, limit: float) -> str | None:
        """Any finite number may be one: the figure may be below 0."""
        return None if math.isfinite(limit) else "give a finite number, or omit it"

"""Evaluators that are a function: ``@nas.evaluator("mine", objectives=[...])``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nas.evaluators.base import Evaluator, Report, Task, evaluators
from nas.objectives import Objective
from nas.objectives import objectives as known
from nas.objectives.reported import DIRECTIONS, Reported
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Candidate

Evaluate = Callable[[Any, int, Report], Mapping[str, float]]
Costs = Callable[[Any], Mapping[str, float]]


class FunctionEvaluator(Evaluator):
    """Calls a function of the user's."""

    def __init__(self, evaluate: Evaluate, costs: Costs | None, objectives: tuple[str, ...]) -> None:
        self._evaluate, self._costs, self.objectives = evaluate, costs, objectives

    def costs(self, architecture: Candidate) -> Mapping[str, float]:
        """What the user's ``costs`` says."""
        return {} if self._costs is None else self._costs(architecture)

    def evaluate(self, architecture: Candidate, budget: int, report: Report) -> Mapping[str, float]:
        """What the function gives."""
        return self._evaluate(architecture, budget, report)


def evaluator(
    name: str, *, objectives: Sequence[Reported | str] = (), costs: Costs | None = None
) -> Callable[[Evaluate], Evaluate]:
    """Register the decorated function, ``evaluate(architecture, budget, report) -> values``, as an evaluator.

    Args:
        name: what ``nas search --evaluator`` calls it.
        objectives: those that it reports beside ``accuracy``; one that is new is described
            (``nas.Objective``), one that is known goes by its name, or by the same description.
        costs: tells objectives that are known before training, cheaply: ``costs(architecture) -> values``.
            So thousands of candidates can be looked through; else they are known once reported.

    Raises:
        InvalidInput: the evaluator's name is taken, or an objective's by one of another description.
    """
    names = [_known(objective) for objective in objectives]
    told = tuple(dict.fromkeys(("accuracy", *names)))

    def register(function: Evaluate) -> Evaluate:
        def make(task: Task) -> Evaluator:
            return FunctionEvaluator(function, costs, told)

        make.objectives = told  # type: ignore[attr-defined]  # a function may have any
        evaluators.add(name, make)
        return function

    return register


def _known(objective: Reported | str) -> str:
    """The name of an objective, which is registered where it is new."""
    if isinstance(objective, Reported):
        return _added(objective).name
    if objective not in known:
        fix = "describe it: nas.Objective(name, unit=..., direction=...)"
        raise InvalidInput("objectives", f"there is no objective '{objective}'", fix)
    return objective


def _added(objective: Reported) -> Reported:
    """Registered, unless one of the same description is there already.

    Raises:
        InvalidInput: one of the same name is there, and differs.
    """
    try:
        known.add(objective.name, objective)
    except InvalidInput:
        if differing := _differences(known.get_early(objective.name), objective):
            problem = f"'{objective.name}' is there already, with {', '.join(differing)}"
            fix = f'name the one that is there, objectives=["{objective.name}"], or choose another name'
            raise InvalidInput("objectives", problem, fix) from None
    return objective


def _differences(there: Objective, mine: Reported) -> list[str]:
    """What is not the same in two descriptions, in words."""
    if not isinstance(there, Reported):
        return ["a meaning of its own"]
    theirs, ours = _description(there), _description(mine)
    return [f"{word} {theirs[word]!r}, not {ours[word]!r}" for word in ours if theirs[word] != ours[word]]


def _description(objective: Reported) -> dict[str, str | bool]:
    """What users of an objective rely on."""
    return {
        "unit": objective.unit,
        "direction": DIRECTIONS[0] if objective.is_maximized else DIRECTIONS[1],
        "before_training": objective.before_training,
    }

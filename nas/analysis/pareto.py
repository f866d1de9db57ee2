"""What a search's front amounts to, in any objectives: its members, its knee, its hypervolume over time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nas.algorithms.hypervolume import hypervolume, hypervolume_history
from nas.ledger.front import front_of
from nas.ledger.needs import check_objectives, unknown_objectives
from nas.ledger.records import SearchConfig, SearchRecord, TrialRecord, TrialState
from nas.objectives import Objective, canonical, objective
from search_spaces.errors import InvalidInput

MOST_OBJECTIVES = 3
"""With more, a hypervolume takes too long and says too little."""
MARGIN = 0.1
"""How far beyond the worst trial the reference is, as a share of the range."""
_FLAT = 1e-9  # nearer to the plane through the extremes, a member is on it

Floats = npt.NDArray[np.float64]


class Step(NamedTuple):
    """A trial that was trained to its end.

    Attributes:
        trained: how many were by then.
        number: the trial's.
        share: of the hypervolume's box that the front then dominated.
    """

    trained: int
    number: int
    share: float


class Hypervolume(NamedTuple):
    """How much a front dominates, up to a reference.

    Attributes:
        value: in the product of the objectives' units: searches that are given the same reference compare.
        share: of the box between the reference and the best value of each objective, 0 to 1.
        reference: what is worse than all that counts, by objective.
        best: the best value of each objective.
    """

    value: float
    share: float
    reference: Mapping[str, float]
    best: Mapping[str, float]


@dataclass(frozen=True)
class Pareto:
    """A front.

    Attributes:
        objectives: by name, in which it is one.
        front: the complete trials within the limits that no other beats in all of them, the best in the first
            objective first.
        knee: the member farthest from the plane through the extremes; None where none stands out.
        hypervolume: of the front; None where nothing is complete, and of more than three objectives.
        history: the hypervolume's, a step for each complete trial in the order in which they ended.
    """

    objectives: tuple[str, ...]
    front: list[TrialRecord]
    knee: TrialRecord | None
    hypervolume: Hypervolume | None
    history: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        """All but the front's trials as JSON-able values."""
        found = None if self.hypervolume is None else self.hypervolume._asdict()
        return {
            "objectives": list(self.objectives),
            "knee": None if self.knee is None else self.knee.number,
            "hypervolume": found,
            "history": [step._asdict() for step in self.history],
        }


def shown_config(record: SearchRecord, objectives: Sequence[str] = ()) -> SearchConfig:
    """A search's settings with other objectives to look at; its own where none are given.

    Raises:
        InvalidInput: one of them is given twice or not known, or is of a plug-in that is not loaded.
    """
    config = record.config
    if objectives and not set(objectives) & set(unknown_objectives(config)):
        config = replace(config, objectives=canonical(objectives))
    check_objectives(record.name, config)
    return config


def pareto_of(
    trials: Sequence[TrialRecord], config: SearchConfig, reference: Mapping[str, float] | None = None
) -> Pareto:
    """The front of a search in the objectives of ``config``, with its knee and its hypervolume.

    Args:
        trials: the search's.
        config: its settings, perhaps with other objectives (``shown_config``).
        reference: of the hypervolume, by objective; a tenth of the range beyond the worst complete trial
            where it is not given.

    Raises:
        InvalidInput: an objective is not known here, no complete trial has a value of it, or a reference is
            of none of them.
    """
    named = [objective(name) for name in config.objectives]
    front = front_of(trials, config)
    kept = sorted((t for t in trials if t.state is TrialState.COMPLETE and not config.broken(t)), key=_ended)
    _check_values(kept, named)
    known = [t for t in kept if all(o.of(t) is not None for o in named)]
    worst = _reference(known, named, reference or {})
    has_volume = bool(known) and len(named) <= MOST_OBJECTIVES
    return Pareto(
        config.objectives,
        front,
        knee(front, named),
        _hypervolume(known, named, worst) if has_volume else None,
        _history(known, named, worst) if has_volume else (),
    )


def knee(front: Sequence[TrialRecord], named: Sequence[Objective]) -> TrialRecord | None:
    """The member that is farthest from the plane through the extremes, on the side where all is better.

    Each objective is scaled to the range that it has on the front. The extremes are the best members in each
    objective; the distance is along the plane's normal (Das 1999, "On characterizing the knee of the Pareto
    curve based on normal-boundary intersection"; Branke et al. 2004, "Finding knees in multi-objective
    optimization"). Where the extremes give no plane that faces the ideal point, all objectives count alike.
    Of a line, or a front that bulges outwards, there is none.
    """
    if len(named) < 2 or len(front) <= len(named):
        return None
    losses = _losses(front, named)
    span = np.ptp(losses, axis=0)
    scaled = (losses - losses.min(axis=0)) / np.where(span > 0, span, 1.0)
    extremes = scaled[[_extreme(scaled, column) for column in range(len(named))]]
    normal = _normal(extremes)
    distances = (extremes - scaled[:, None, :]).mean(axis=1) @ normal
    best = int(np.argmax(distances))
    return front[best] if distances[best] > _FLAT else None


def _extreme(scaled: Floats, column: int) -> int:
    """The best member in one objective; of several the one that is best in the others, too."""
    return int(np.lexsort((scaled.sum(axis=1), scaled[:, column]))[0])


def _normal(extremes: Floats) -> Floats:
    """Of the plane through the extremes (d, d), of length 1 and without a negative part."""
    count = len(extremes)
    try:
        found = np.linalg.solve(extremes, np.ones(count))  # extremes @ normal is the same for each
    except np.linalg.LinAlgError:
        found = np.zeros(count)
    if not (found > 0).all():
        found = np.ones(count)
    return np.asarray(found / np.linalg.norm(found))


def _hypervolume(known: Sequence[TrialRecord], named: Sequence[Objective], worst: Floats) -> Hypervolume:
    losses = _losses(known, named)
    best = losses.min(axis=0)
    value = hypervolume(losses, worst)
    box = float(np.prod(np.maximum(worst - best, 0.0)))
    return Hypervolume(
        value, value / box if box else 0.0, _told(worst, named), _told(np.minimum(best, worst), named)
    )


def _history(known: Sequence[TrialRecord], named: Sequence[Objective], worst: Floats) -> tuple[Step, ...]:
    losses = _losses(known, named)
    box = float(np.prod(np.maximum(worst - losses.min(axis=0), 0.0)))
    shares = hypervolume_history(losses, worst) / (box or 1.0)
    pairs = zip(known, shares.tolist(), strict=True)
    return tuple(Step(trained, trial.number, share) for trained, (trial, share) in enumerate(pairs, 1))


def _reference(
    known: Sequence[TrialRecord], named: Sequence[Objective], given: Mapping[str, float]
) -> Floats:
    """As given, else beyond what any trial has."""
    names = [o.name for o in named]
    wanted = {canonical([name])[0]: value for name, value in given.items()}
    for name in wanted:
        if name not in names:
            raise InvalidInput("reference", f"'{name}' is not shown", f"give one of {', '.join(names)}")
        if not math.isfinite(wanted[name]):
            raise InvalidInput("reference", f"{name}: {wanted[name]} is no value", "give a finite number")
    if not known:
        return np.zeros(len(named))
    losses = _losses(known, named)
    for place, o in enumerate(named):
        if o.name in wanted and o.loss(wanted[o.name]) <= losses[:, place].min():
            problem = f"{o.title} of {o.told(wanted[o.name])} is no worse than the best trial's"
            raise InvalidInput("reference", problem, "give a value that is worse")
    pairs = zip(named, beyond(losses), strict=True)
    return np.array([o.loss(wanted[o.name]) if o.name in wanted else b for o, b in pairs])


def beyond(losses: Floats) -> Floats:
    """A reference: a tenth of the range beyond the worst of some losses (n, d), in each objective."""
    highest, span = losses.max(axis=0), np.ptp(losses, axis=0)
    return np.asarray(highest + MARGIN * np.where(span > 0, span, np.where(highest != 0, abs(highest), 1.0)))


def _check_values(kept: Sequence[TrialRecord], named: Sequence[Objective]) -> None:
    """InvalidInput where trials are complete, and none has what is asked for."""
    for found in named:
        if kept and all(found.of(trial) is None for trial in kept):
            raise InvalidInput(
                "objectives",
                f"no complete trial of '{kept[0].search}' has a value of {found.name}",
                "choose others; 'nas trials' shows what there is",
            )


def _losses(trials: Sequence[TrialRecord], named: Sequence[Objective]) -> Floats:
    """(trials, objectives), each so that less is better; all are known."""
    values = [[(o, o.of(trial)) for o in named] for trial in trials]
    return np.array([[o.loss(v.value) for o, v in row if v is not None] for row in values])


def _told(losses: Floats, named: Sequence[Objective]) -> dict[str, float]:
    """Losses as values: the sign is turned back."""
    return {o.name: o.loss(float(loss)) for o, loss in zip(named, losses, strict=True)}


def _ended(trial: TrialRecord) -> tuple[float, int]:
    return (trial.finished_at.timestamp() if trial.finished_at else 0.0), trial.number

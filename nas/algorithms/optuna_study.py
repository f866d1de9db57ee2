"""A study of Optuna's that holds what its samplers are to see; nothing else knows Optuna's types."""

import copy
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.algorithms.points import Params, Point
from search_spaces.search_space import Option

optuna.logging.set_verbosity(optuna.logging.ERROR)
_THEN = datetime(2000, 1, 1, tzinfo=UTC)  # no sampler reads the clock


class _SharedTrial(FrozenTrial):  # type: ignore[misc]  # Optuna's bases have no types here
    """A trial that nobody changes: a study takes it in as it is, where it copies others deeply."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_SharedTrial":
        return copy.copy(self)


class Told(optuna.samplers.BaseSampler):  # type: ignore[misc]  # Optuna's bases have no types here
    """A sampler that is told what all trials have chosen among, instead of comparing them all to find out."""

    def __init__(
        self, sampler: optuna.samplers.BaseSampler, options: Mapping[str, CategoricalDistribution]
    ) -> None:
        self._sampler = sampler
        self._options = {name: options[name] for name in sorted(options) if not options[name].single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What there is to choose."""
        return self._options

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler does."""
        return dict(self._sampler.sample_relative(study, trial, search_space))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler does."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """As the sampler does."""
        self._sampler.before_trial(study, trial)


class Studies:
    """Makes studies of a search's points, each of which becomes a trial of Optuna's once.

    Args:
        objectives: how many there are; all are minimized.
        attributes: what each trial carries for its sampler.
    """

    def __init__(self, objectives: int, attributes: Mapping[str, int]) -> None:
        self._directions = ["minimize"] * objectives
        self._attributes = dict(attributes)
        self._distributions: dict[tuple[str, tuple[Option, ...]], CategoricalDistribution] = {}
        self._kept: dict[int, tuple[Point, Params, _SharedTrial]] = {}

    def study(
        self, points: Sequence[tuple[Point, Params]], sampler: optuna.samplers.BaseSampler
    ) -> optuna.Study:
        """A study of these points, with these params, and no others."""
        if isinstance(sampler, optuna.samplers.BaseGASampler):
            sampler = Told(
                sampler, self._common([params for point, params in points if point.losses is not None])
            )
        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(storage=storage, directions=self._directions, sampler=sampler)
        for point, params in points:
            storage.create_new_trial(study._study_id, template_trial=self._trial(point, params))
        return study

    def _common(self, chosen: Sequence[Params]) -> dict[str, CategoricalDistribution]:
        """What all have chosen among."""
        names = set(chosen[0]).intersection(*chosen[1:]) if chosen else set()
        return {name: self._distribution(name, chosen[0][name][1]) for name in names}

    def _trial(self, point: Point, params: Params) -> _SharedTrial:
        kept = self._kept.get(point.number)
        if kept is None or kept[0] is not point or kept[1].keys() != params.keys():
            kept = self._kept[point.number] = point, params, self._made(point, params)
        return kept[2]

    def _made(self, point: Point, params: Params) -> _SharedTrial:
        has_ended = point.losses is not None
        made = _SharedTrial(
            number=-1,
            trial_id=-1,
            state=TrialState.COMPLETE if has_ended else TrialState.RUNNING,
            value=None,
            values=point.losses,
            datetime_start=_THEN,
            datetime_complete=_THEN if has_ended else None,
            params={name: chosen for name, (chosen, _) in params.items()},
            distributions={name: self._distribution(name, options) for name, (_, options) in params.items()},
            user_attrs={},
            system_attrs=dict(self._attributes),
            intermediate_values={},
        )
        for name, over in point.violations.items():
            made.set_constraint(name, over)
        return made

    def _distribution(self, name: str, options: tuple[Option, ...]) -> CategoricalDistribution:
        """The same object for the same options: Optuna compares them over and over."""
        key = name, options
        if key not in self._distributions:
            self._distributions[key] = CategoricalDistribution(options)
        return self._distributions[key]

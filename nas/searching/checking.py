"""Checks what a search is asked for, before anything is written: settings, data, devices, workers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nas.executors.base import LOCAL
from nas.executors.base import executor as made
from nas.formatting import counted
from nas.ledger.records import TRAINING, SearchConfig
from nas.measuring.devices import check_device
from nas.objectives import DEFAULT, LATENCY_AT, devices_of, objective
from search_spaces.errors import InvalidInput, Parameter

if TYPE_CHECKING:
    from nas.data import DataSet
    from search_spaces.search_space import SearchSpace

MAX_WORKERS = 256
SOME_TRIALS = 100
"""Of so many, if not of fewer, a pruner judges one, or it judges none."""

OnImages = Callable[[int, int], None]


def ignore(*_: object) -> None:
    """Nobody wants to know."""


def check_config(config: SearchConfig, on_images: OnImages = ignore) -> "SearchSpace":
    """Refuse a search that could not run, before anything is written; the space, fitted to the data."""
    return checked_config(config, on_images)[0]


def checked_config(
    config: SearchConfig, on_images: OnImages = ignore
) -> "tuple[SearchSpace, DataSet | None]":
    """The space of a search, fitted to its data, and these, if it has any.

    Raises:
        InvalidInput: an unknown space, sampler or pruner; data that cannot be read, or that the space is not
            for.
    """
    from nas.algorithms.choosing import check_sampler
    from nas.algorithms.pruners import pruners
    from nas.data import load
    from search_spaces.restricted import restricted
    from search_spaces.search_space import spaces

    space = restricted(spaces.get(config.space), config.fix, config.only)
    check_sampler(config.sampler)
    pruners.get(config.pruner)
    data = load(config.data, config.image_size, on_images, config.validation) if config.data else None
    if data is not None:
        space = space.fitted(data.input_shape, data.classes)
    check_evaluator(config, space)
    check_audit(config)
    return space, data


def with_defaults(config: SearchConfig) -> SearchConfig:
    """The config with what its evaluator makes of settings that are not given.

    Training needs data, digits unless told, and a device. An evaluator of your own has no data unless told;
    where bitnas cannot build the architectures they have no latency, so there is no device, and the usual
    objectives are those of the evaluator.
    """
    from nas.evaluators.base import evaluators
    from search_spaces.search_space import spaces

    make = evaluators.get(config.evaluator)
    if config.evaluator == TRAINING:
        return replace(config, data=config.data or "digits")
    told = tuple(getattr(make, "objectives", ("accuracy",)))
    is_buildable = _is_buildable(spaces.get(config.space))
    if not is_buildable and config.objectives == DEFAULT:
        config = replace(config, objectives=told)
    needs_device = any(name == "latency" or name.startswith(LATENCY_AT) for name in config.watched)
    return replace(config, device=config.device if needs_device and is_buildable else "")


def _is_buildable(space: "SearchSpace") -> bool:
    """Whether bitnas can build what a space proposes; InvalidInput where the space breaks its contract."""
    from search_spaces.architecture import Buildable
    from search_spaces.checking import check_space

    check_space(space)
    return isinstance(space.sample(0), Buildable)


def with_whole_path(config: SearchConfig) -> SearchConfig:
    """The config with paths to data and to weights that are absolute."""
    from nas.data.opening import canonical

    pretrained = str(Path(config.pretrained).resolve()) if config.pretrained else ""
    data = canonical(config.data) if config.data else config.data
    return replace(config, data=data, pretrained=pretrained)


def check_evaluator(config: SearchConfig, space: "SearchSpace") -> None:
    """InvalidInput where an evaluator and a space do not fit, or nobody would tell an objective."""
    from nas.evaluators.base import evaluators
    from nas.objectives.reported import Reported

    make = evaluators.get(config.evaluator)
    told = set(getattr(make, "objectives", config.watched))
    is_buildable = _is_buildable(space)
    if config.evaluator == TRAINING and not is_buildable:
        fix = "choose a space of bitnas's, or an evaluator of your own"
        raise InvalidInput("space", f"'{space.name}' has architectures that bitnas cannot train", fix)
    for name in config.watched:
        by_evaluator = name == "accuracy" or isinstance(objective(name), Reported)
        if name not in told and (by_evaluator or not is_buildable):
            who = f"neither evaluator '{config.evaluator}' nor the space '{config.space}' tells it"
            fix = f"give some of {', '.join(sorted(told))}"
            raise InvalidInput("objectives", f"'{name}': {who}", fix)


def check_audit(config: SearchConfig) -> None:
    """InvalidInput where an audit would be of too few networks, or of more than there are."""
    from nas.searching.audit import LEAST

    if config.audit and not LEAST <= config.audit <= config.trials:
        fix = f"give {LEAST} to as many as there are trials ({config.trials}), or 0 for none"
        raise InvalidInput("audit", f"{config.audit} is out of range", fix)
    if config.audit and config.epochs == 1:
        problem = "a training of one epoch has no shorter one that it could judge"
        raise InvalidInput("audit", problem, "train for more epochs, or leave it out")


def check_pruner(config: SearchConfig) -> None:
    """InvalidInput where a search is to stop trials early, and its trainings are too short for that.

    Of a new search: one that is there goes on as it was made.
    """
    from nas.algorithms.pruners import NONE, pruners

    pruner = pruners.get(config.pruner)(config)
    if config.pruner != NONE and not any(map(pruner.rungs, range(min(config.trials, SOME_TRIALS)))):
        problem = f"'{config.pruner}' has nothing to stop in {counted(config.epochs, 'epoch')} of training"
        raise InvalidInput("pruner", problem, ("give more ", Parameter("epochs"), ", or leave it out"))


def check_devices(storage: str, config: SearchConfig) -> None:
    """InvalidInput when a search's device is not known, or a further one, or that is the same."""
    if config.device:
        check_device(storage, config.device)
    named = (
        ("objectives", config.objectives),
        ("limits", config.limits),
        ("limit_shares", config.limit_shares),
    )
    for parameter, names in named:
        for device in devices_of(names):
            if device == config.device:
                problem = f"'{LATENCY_AT}{device}' is of the search's own device"
                raise InvalidInput(parameter, problem, "give latency")
            try:
                check_device(storage, device)
            except InvalidInput as error:
                raise error.of(parameter) from error


def check_run(
    workers: int,
    executor: str = LOCAL,
    minutes: float | None = None,
    least: int = 1,
    settings: Mapping[str, Any] = MappingProxyType({}),
    begins: bool = True,
) -> None:
    """Refuse what could not run: too few workers or too many, no time at all, an executor that cannot work.

    ``least`` is 0 where a search may be created that nobody works on yet, ``settings`` are the executor's;
    where nothing begins, it is not asked whether the executor can work here.

    Raises:
        InvalidInput: one of them breaks its rule.
        BitnasError: the executor cannot work here.
    """
    if not least <= workers <= MAX_WORKERS:
        fix = f"give a whole number in {least}..{MAX_WORKERS}"
        raise InvalidInput("workers", f"{workers} is out of range", fix)
    workplace = made(executor, settings)
    if not workers and executor != LOCAL:
        problem = f"with no workers, '{executor}' has nothing to run"
        instead = "leave it out until the search goes on, or give more ", Parameter("workers")
        raise InvalidInput("executor", problem, instead)
    if workers and begins:
        workplace.check()
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise InvalidInput("minutes", f"{minutes:g} is no time", "give a number above 0, or omit it")

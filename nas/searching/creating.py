"""Creates a search in the ledger, or finds one there that is to go on."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from nas.hints import command, typed_again
from nas.ledger.changing import add_trials
from nas.ledger.origin import Origin
from nas.ledger.records import TRAINING, SearchConfig, SearchRecord, check_search_name
from nas.ledger.store import Ledger
from nas.ledger.warm import check_sources, starting_from
from nas.searching.checking import (
    OnImages,
    check_config,
    check_devices,
    check_pruner,
    checked_config,
    ignore,
    with_defaults,
    with_whole_path,
)
from nas.searching.differences import refuse_taken
from nas.searching.needs import check_plugins
from nas.searching.pretrained import check_weights, fit_of
from nas.versions import versions
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from search_spaces.search_space import SearchSpace


def create(
    storage: str,
    name: str | None,
    config: SearchConfig,
    on_images: OnImages = ignore,
    first: Sequence[str] = (),
    warm_start: Sequence[str] = (),
) -> SearchRecord:
    """Write a new search to the ledger at ``storage``, which is made if it is not there.

    Args:
        storage: the ledger's database URL.
        name: what to call the search; None for the space, the data and a number, such as ``tiny-digits-1``.
        config: what is asked for; a path to data becomes absolute, so that the search goes on from anywhere.
        on_images: is told how many images are decoded, the first time.
        first: what to begin with: published networks, files of architectures, or trials of the ledger as
            SEARCH/NUMBER.
        warm_start: searches of the ledger whose ended trials come before those of this one.

    Raises:
        InvalidInput: the config could not run, or the name is malformed or taken; nothing is written.
        BitnasError: the database does not open.
    """
    if name is not None:
        check_search_name(name)
    config = with_defaults(config)
    space, data = checked_config(config, on_images)
    check_pruner(config)
    check_devices(storage, config)
    config = with_whole_path(config)
    config = replace(config, first=(*config.first, *first_of(storage, first, config, space)))
    if len(config.first) > config.trials:
        problem = f"{len(config.first)} architectures are more than the {config.trials} trials"
        raise InvalidInput("first", problem, "ask for more trials")
    weights = fit_of(config, space).digest
    with _ledger(storage, is_there=bool(warm_start)) as ledger:
        devices = check_sources(ledger, warm_start, config)
        origin = Origin(versions(), "" if data is None else data.digest, devices, weights)
        if name is not None:
            if name in _names(ledger):
                refuse_taken(ledger.search(name), config, storage)
            return ledger.create_search(name, config, starting_from(warm_start, _has_rungs), origin)
        return _create_unnamed(ledger, config, warm_start, origin)


def _has_rungs(config: SearchConfig) -> bool:
    """Whether the learning rate comes down at each rung, as bitnas trains where trials are paused."""
    from nas.algorithms.pruners import pruners

    return config.evaluator == TRAINING and pruners.get(config.pruner)(config).pauses


def _ledger(storage: str, is_there: bool) -> Ledger:
    """The ledger, which is made where it need not be there."""
    return Ledger.open(storage, create=not is_there)


def first_of(
    storage: str, names: Sequence[str], config: SearchConfig, space: "SearchSpace"
) -> tuple[str, ...]:
    """What the search begins with; a ledger is opened for names that may be trials.

    Raises:
        InvalidInput: as ``nas.trials.first`` says.
    """
    from nas.trials.first import first_of

    if all(name.startswith("{") or Path(name).is_file() or "/" not in name for name in names):
        return first_of(names, space, None, config.evaluator)
    with Ledger.open(storage) as ledger:
        return first_of(names, space, ledger, config.evaluator)


def _create_unnamed(
    ledger: Ledger, config: SearchConfig, warm_start: Sequence[str], origin: Origin
) -> SearchRecord:
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{config.space}-{Path(config.data or config.evaluator).stem}")
    words = words.strip("._-")[:50] or "search"
    for number in count(1):
        name = f"{words}-{number}"
        if name in _names(ledger):
            continue
        try:
            return ledger.create_search(name, config, starting_from(warm_start, _has_rungs), origin)
        except InvalidInput:
            if name not in _names(ledger):
                raise  # else another process has just taken it
    raise AssertionError("unreachable: there is always another number")


def _names(ledger: Ledger) -> set[str]:
    return {search.name for search in ledger.searches()}


def join(storage: str, name: str) -> SearchRecord:
    """The search ``name``, checked to be one that this machine can work on.

    Raises:
        InvalidInput: there is no such search, or something that it needs is not here: data, a plug-in.
        BitnasError: the database is not there, or does not open.
    """
    with Ledger.open(storage) as ledger:
        record = ledger.search(name)
    _refuse_steps(record)
    config, its = record.config, record.origin.data
    check_plugins(record)
    space, data = checked_config(config)
    check_weights(record, space)
    check_devices(storage, config)
    if its and data is not None and data.digest != its:
        problem = f"'{config.data}' of this machine is not what '{name}' was made with"
        raise InvalidInput("data", problem, "copy it from a machine that works on the search")
    return record


def resume(storage: str, name: str, more: int = 0) -> SearchRecord:
    """The search ``name``, checked to be one that can go on here, with so many ``more`` trials."""
    with Ledger.open(storage) as ledger:
        record = ledger.search(name)
        _refuse_steps(record)
        check_plugins(record)
        check_weights(record, check_config(record.config))
        check_devices(storage, record.config)
        return add_trials(ledger, name, more) if more else record


def _refuse_steps(record: SearchRecord) -> None:
    """InvalidInput where the trials of a search are one command's, which no worker can make."""
    if record.origin.steps:
        name = record.origin.steps["command"]
        problem = f"'{record.name}' is what {command(name)} makes, step by step"
        raise InvalidInput("search", problem, typed_again(name))

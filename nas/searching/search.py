"""Creates, resumes and runs a search."""

import math
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from nas.executors.base import LOCAL, executors
from nas.formatting import counted
from nas.ledger.away import Patience
from nas.ledger.changing import add_trials
from nas.ledger.claims import Claims
from nas.ledger.history import History
from nas.ledger.records import TRAINING, SearchConfig, SearchRecord, check_search_name
from nas.ledger.store import Ledger
from nas.ledger.warm import check_sources, starting_from
from nas.ledger.workers import Worker
from nas.measuring.devices import check_device
from nas.measuring.front_todo import next_of_front
from nas.objectives import DEFAULT, LATENCY_AT, devices_of, objective
from nas.searching.differences import refuse_taken
from nas.searching.needs import check_plugins
from nas.searching.supervision import OnChange, OnProgress, Supervision
from nas.trials.job import Job, Told
from search_spaces.errors import DatabaseAwayError, InvalidInput, Parameter

if TYPE_CHECKING:
    from search_spaces.search_space import SearchSpace

MAX_WORKERS = 256
SOME_TRIALS = 100
"""Of so many, if not of fewer, a pruner judges one, or it judges none."""
STOPPING = "stopping: each worker puts its trial back, which may take some seconds"

OnImages = Callable[[int, int], None]


def ignore(*_: object) -> None:
    """Nobody wants to know."""


def check_config(config: SearchConfig, on_images: OnImages = ignore) -> "SearchSpace":
    """Refuse a search that could not run, before anything is written; the space, fitted to the data.

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
    if config.data:
        data = load(config.data, config.image_size, on_images)
        space = space.fitted(data.input_shape, data.classes)
    check_evaluator(config, space)
    check_audit(config)
    return space


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
    """The config with a path to data that is absolute."""
    from nas.data.opening import canonical

    return replace(config, data=canonical(config.data)) if config.data else config


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


def check_run(workers: int, executor: str, minutes: float | None = None) -> None:
    """InvalidInput for too few workers or too many, no executor of that name, or no time at all."""
    if not 1 <= workers <= MAX_WORKERS:
        fix = f"give a whole number in 1..{MAX_WORKERS}"
        raise InvalidInput("workers", f"{workers} is out of range", fix)
    executors.get(executor)
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise InvalidInput("minutes", f"{minutes:g} is no time", "give a number above 0, or omit it")


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
    space = check_config(config, on_images)
    check_pruner(config)
    check_devices(storage, config)
    config = with_whole_path(config)
    config = replace(config, first=(*config.first, *first_of(storage, first, config, space)))
    if len(config.first) > config.trials:
        problem = f"{len(config.first)} architectures are more than the {config.trials} trials"
        raise InvalidInput("first", problem, "ask for more trials")
    with _ledger(storage, is_there=bool(warm_start)) as ledger:
        check_sources(ledger, warm_start, config)
        if name is not None:
            if name in _names(ledger):
                refuse_taken(ledger.search(name), config, storage)
            return ledger.create_search(name, config, starting_from(warm_start, _has_rungs))
        return _create_unnamed(ledger, config, warm_start)


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


def _create_unnamed(ledger: Ledger, config: SearchConfig, warm_start: Sequence[str]) -> SearchRecord:
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{config.space}-{Path(config.data or config.evaluator).stem}")
    words = words.strip("._-")[:50] or "search"
    for number in count(1):
        name = f"{words}-{number}"
        if name in _names(ledger):
            continue
        try:
            return ledger.create_search(name, config, starting_from(warm_start, _has_rungs))
        except InvalidInput:
            if name not in _names(ledger):
                raise  # else another process has just taken it
    raise AssertionError("unreachable: there is always another number")


def _names(ledger: Ledger) -> set[str]:
    return {search.name for search in ledger.searches()}


def resume(storage: str, name: str, more: int = 0) -> SearchRecord:
    """The search ``name``, checked to be one that can go on here, with so many ``more`` trials."""
    with Ledger.open(storage) as ledger:
        record = ledger.search(name)
        check_plugins(record)
        check_config(record.config)
        check_devices(storage, record.config)
        return add_trials(ledger, name, more) if more else record


def run(
    job: Job,
    workers: int = 1,
    on_change: OnChange = ignore,
    on_progress: OnProgress = ignore,
    executor: str = LOCAL,
    patience: Patience | None = None,
) -> SearchRecord:
    """Run what is left of a search by at most ``workers`` workers of an executor.

    ``on_change`` gets the search when the count of any state has changed, at most four times a second, and at
    the end; ``on_progress`` gets it, and what the workers told, whenever one of them told something, and at
    the end. On Ctrl-C or SIGTERM the workers put their trials back and KeyboardInterrupt is raised.
    ``patience`` says how long to wait for a database that is away; it tells stderr unless told otherwise.

    Raises:
        InvalidInput: too few or too many workers, or no such executor.
        DatabaseAwayError: the database has not answered for too long.
        BitnasError: the workers die without getting anywhere.
    """
    check_run(workers, executor)
    patience = patience or Patience()
    with Ledger.open(job.storage, patience=patience) as ledger, _sigterm_interrupts():
        workplace = executors.get(executor)()
        watch = Supervision(workplace, ledger, job.search, workers, on_change, on_progress)
        try:
            if is_anything_left(ledger, job.search):
                workplace.start(job, workers)
                watch.until_done()
        except KeyboardInterrupt:
            patience.end()
            watch.progress.hear(Told(stage=STOPPING))
            with suppress(DatabaseAwayError):
                on_progress(ledger.search(job.search), watch.progress)
            raise
        finally:
            workplace.stop()
            with suppress(DatabaseAwayError):  # whoever comes next finds the dead, too
                Claims(ledger, job.search, Worker.this_process()).release_dead()
        found = ledger.search(job.search)
        on_change(found)
        on_progress(found, watch.progress)
        return found


def is_anything_left(ledger: Ledger, search: str) -> bool:
    """Whether a trial has not ended, or something of the front is not measured."""
    if not ledger.search(search).finished:
        return True
    return next_of_front(ledger, search, History(ledger, search)) is not None


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the workers never outlive this process by it."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

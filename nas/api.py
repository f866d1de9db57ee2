"""Starts a search from Python, goes on with one, or finds one that is there; each gives a ``Result``."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nas.arguments import checked, naming
from nas.hints import DEFAULT_STORAGE, STORAGE_VARIABLE
from nas.objectives import DEFAULT
from nas.result import Result

if TYPE_CHECKING:
    from nas.searching.checking import OnImages

NO_LIMITS: Mapping[str, float] = MappingProxyType({})
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
LOCAL = "local"
"""The executor whose workers are processes of this machine."""


def search(
    *,
    space: str = "tiny",
    data: str | Path = "",
    evaluator: str = "training",
    device: str = "local",
    trials: int = 24,
    epochs: int = 3,
    sampler: str = "auto",
    seed: int = 0,
    objectives: str | Sequence[str] = DEFAULT,
    max_latency_ms: float | None = None,
    max_latency_share: float | None = None,
    max_size_kb: float | None = None,
    max_memory_kb: float | None = None,
    max_macs: float | None = None,
    limits: Mapping[str, float] = NO_LIMITS,
    limit_shares: Mapping[str, float] = NO_LIMITS,
    pruner: str = "none",
    repeats: int = 1,
    audit: int = 0,
    first: str | Path | Sequence[str | Path] = (),
    warm_start: str | Sequence[str] = (),
    when_away: str = "wait",
    image_size: int | None = None,
    measure: str = "front",
    batch_size: int | None = None,
    learning_rate: float | None = None,
    pretrained: str | Path = "",
    fix: Mapping[str, str | int] = NO_OPTIONS,
    only: Mapping[str, Sequence[str | int]] = NO_OPTIONS,
    name: str | None = None,
    storage: str | None = None,
    workers: int = 1,
    executor: str = "local",
    ray_address: str | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    minutes: float | None = None,
    progress: bool | None = None,
    verbose: bool = False,
    plugins: str | Path | Sequence[str | Path] = (),
) -> Result:
    """Search a space for the best trade-offs, to the end, and give what was found.

    Every trial is in the database as it goes: what a stopped search has finished is kept, and ``nas.resume``
    goes on with it. Ctrl-C, or a notebook's stop, ends the workers and raises ``KeyboardInterrupt``.

    Workers are processes of their own. They know what is built in, what installed distributions add, and what
    the files in ``plugins`` add, but not what your script or notebook itself registers.

    Args:
        space: the search space: ``tiny``, ``cifar``, ``mobile``, or a plug-in's.
        data: the data set: ``digits`` unless told, a folder, a parquet file, or ``OWNER/NAME`` on the hub.
        evaluator: what a trial runs: ``training``, or one of your own (``nas.evaluator``).
        device: the device whose latency counts.
        trials: how many architectures to try.
        epochs: how long to train each.
        sampler: what proposes architectures: ``auto``, ``tpe``, ``nsga2``, ``nsga3``, ``gp``, ``qmc``,
            ``random``, ``grid``, ``local`` or ``evolution``.
        seed: with one worker, the same seed proposes the same.
        objectives: what to trade off: ``accuracy``, ``latency``, ``size``, ``memory``, ``macs``,
            ``latency@DEVICE``, or a reward such as ``mnasnet@3ms``; one alone is allowed.
        max_latency_ms: an architecture that is predicted to be slower is not trained; milliseconds for one
            image.
        max_latency_share: the same limit as a share of what the space's median architecture takes.
        max_size_kb: one that is larger is not trained; in kB of 1000 bytes.
        max_memory_kb: one that needs more memory to run is not trained; likewise.
        max_macs: one that takes more multiply-accumulates is not trained.
        limits: limits of any other objective by its name, such as ``{"latency@pi": 3.0}``.
        limit_shares: limits as shares of what the space's median architecture has, by the objective's name,
            such as ``{"size": 0.5}``.
        pruner: what stops trainings early: ``none``; ``halving`` or ``hyperband``, which pause them at rungs
            and train the best on; or ``median`` for those below the median of cheaper trials.
        repeats: how often to train each architecture, with other seeds; its accuracy is the mean.
        audit: train the first so many to the end twice, to tell how well short trainings rank them
            (``Result.audit``).
        first: what to begin with: published networks, as ``resnet20`` or ``resnet20:precision=int8``, JSON
            files of architectures, or trials of the database as ``SEARCH/NUMBER``.
        warm_start: searches of the database whose trials this one takes over, beside those it runs.
        when_away: what to do while the device does not answer: ``wait``, or ``predict`` from what was
            measured before.
        image_size: bring images to a square of this side; None leaves them as they are.
        measure: measure the kernels of what may be on the ``front``, or of ``all`` trials.
        batch_size: images a step; None chooses by the number of images.
        learning_rate: the highest rate of a training; None chooses by the data.
        pretrained: weights that trainings start from, wherever names and shapes agree: a safetensors file
            that ``nas train`` or ``nas export`` wrote, or of any network in float; or torchvision's or
            timm's weights, as ``.pth`` or ``.safetensors``.
        fix: the one option that choices of the space are to have, by their names, whole or in part, such as
            ``{"stage1.block": "separable"}``.
        only: the options that they may have, such as ``{"precision": ["int8", "binary"]}``.
        name: what to call the search; None calls it by space, data and a number, such as ``tiny-digits-1``.
        storage: the database, as a URL; None is ``NAS_STORAGE`` of the environment, else
            ``sqlite:///nas.db``. It is made if it is not there.
        workers: how many trials to run at once; with 0 the search is created, for ``nas.join`` and
            ``nas worker`` to work on.
        executor: where to run them: ``local``, in processes of this machine; ``ray``, on a cluster; or a
            plug-in's.
        ray_address: with ``ray``, a cluster that runs, as ``HOST:PORT``, or ``auto`` for the one that this
            machine is a node of; None starts one of this machine alone.
        cpus_per_trial: with ``ray``, how many CPUs a trial takes; None is 1.
        gpus_per_trial: likewise, less than 1 to share one; None is 0.
        minutes: when this time is over no new trial is begun; those that run are ended, and ``nas.resume``
            goes on with the rest.
        progress: whether to show how the search goes; None: on a terminal and in a notebook.
        verbose: whether workers tell when the device was disturbed.
        plugins: Python files that add spaces, blocks and more; one alone is allowed.

    Raises:
        InvalidInput: a setting breaks its rule; nothing is written then.
        BitnasError: the database does not open, or the workers cannot work.
    """
    given = checked(locals())  # first of all, while they are nothing but the parameters
    from nas.executors.base import settings_among
    from nas.ledger.records import SearchConfig
    from nas.searching.checking import check_run
    from nas.searching.creating import create

    _add_plugins(given["plugins"])
    check_run(given["workers"], given["executor"], given["minutes"], 0, settings_among(given))
    beginning = given.pop("first")
    config = SearchConfig(**{f.name: given[f.name] for f in fields(SearchConfig) if f.name in given})
    storage = _storage(storage)
    with _decoding(progress) as on_images:
        record = create(storage, name, config, on_images, beginning, given["warm_start"])
    return _run(storage, record.name, given, progress)


def resume(
    storage: str,
    name: str,
    *,
    more: int = 0,
    workers: int = 1,
    executor: str = "local",
    ray_address: str | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    minutes: float | None = None,
    progress: bool | None = None,
    verbose: bool = False,
    plugins: str | Path | Sequence[str | Path] = (),
) -> Result:
    """Go on with a search, with the settings it was made with, to its end; else as ``nas.search``.

    Args:
        more: so many trials are added to those that it has.

    Raises:
        InvalidInput: there is no such search, or it is for what this installation does not have.
        BitnasError: the database is not there, or the workers cannot work.
    """
    given = checked(locals(), required=("storage", "name"))
    from nas.executors.base import settings_among
    from nas.searching import creating
    from nas.searching.checking import check_run

    _add_plugins(given["plugins"])
    check_run(given["workers"], executor, given["minutes"], 0, settings_among(given))
    with naming(search="name"):
        record = creating.resume(storage, name, given["more"])
    return _run(storage, record.name, given, progress)


def join(
    storage: str,
    name: str,
    *,
    workers: int = 1,
    minutes: float | None = None,
    progress: bool | None = None,
    verbose: bool = False,
    plugins: str | Path | Sequence[str | Path] = (),
) -> Result:
    """Work on a search beside whoever else does, on other machines, too, until no trial of it is left.

    Ctrl-C puts back what was begun, for others to take, and raises ``KeyboardInterrupt``. The arguments are
    as of ``nas.search``.

    Raises:
        InvalidInput: there is no such search, or it is for what this installation does not have.
        BitnasError: the database is not there, or the workers cannot work.
    """
    given = checked(locals(), required=("storage", "name"))
    from nas.searching import creating
    from nas.searching.checking import check_run

    _add_plugins(given["plugins"])
    check_run(given["workers"], minutes=given["minutes"])
    with naming(search="name"):
        record = creating.join(storage, name)
    return _run(storage, record.name, {**given, "executor": LOCAL}, progress)


def load(storage: str, name: str) -> Result:
    """A search that is in the database at ``storage``, finished or not.

    Raises:
        InvalidInput: there is no such search.
        BitnasError: the database is not there, or does not open.
    """
    checked(locals(), required=("storage", "name"))
    result = Result(storage, name)
    _ = result.record  # raises where there is none
    return result


def _run(storage: str, name: str, given: Mapping[str, Any], progress: bool | None) -> Result:
    if not given["workers"]:
        return Result(storage, name)  # others work on it
    from nas.executors.base import settings_among
    from nas.searching.progress import is_watched
    from nas.searching.shown import run_shown

    settings = {setting: given[setting] for setting in ("workers", "executor", "verbose", "minutes")}
    among = settings_among(given)
    spent = run_shown(storage, name, progress=progress, settings=among, **settings)
    if is_watched(progress):
        sys.stderr.writelines(f"{sentence}\n" for sentence in spent.sentences("verbose=True"))
    return Result(storage, name)


def _storage(given: str | None) -> str:
    return given or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE


def _add_plugins(files: Sequence[str]) -> None:
    from search_spaces.plugins import add_plugin_file, load_plugin_files

    for file in files:
        add_plugin_file(Path(file))
    load_plugin_files()  # the registries may have been read already, by an earlier search


def _decoding(progress: bool | None) -> "AbstractContextManager[OnImages]":
    """Shows how images are decoded, where progress is to be shown."""
    from nas.bars import decoding
    from nas.searching.checking import ignore
    from nas.searching.progress import is_watched

    return decoding() if is_watched(progress) else nullcontext(ignore)

"""What is compressed: the network of a training's folder, or that of a search's trial."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import BitnasError, NothingFitsError

if TYPE_CHECKING:
    from torch import nn

    from nas.data import DataSet
    from nas.ledger import Ledger
    from nas.training.recipe import Recipe
    from search_spaces import Buildable


@dataclass(frozen=True)
class Source:
    """A trained network.

    Attributes:
        title: what users call it.
        module: with its weights, in eval mode.
        architecture: that it was built from.
        data: what it was trained on.
        recipe: how.
        about: where it comes from, as JSON.
    """

    title: str
    module: "nn.Module"
    architecture: "Buildable"
    data: "DataSet"
    recipe: "Recipe"
    about: dict[str, Any]


def of_training(folder: Path) -> Source:
    """The network of a folder that ``nas train`` wrote.

    Raises:
        InvalidInput: there are no weights in it.
        BitnasError: they are damaged, or their data is gone or another.
    """
    from nas.export.trainings import known_data, weights_in
    from nas.training import checkpoint
    from nas.training.job import job_of
    from nas.training.weights import network_of

    loaded = checkpoint.read(weights_in(folder))
    job, module = job_of(loaded), network_of(loaded)
    data = known_data(loaded, job)
    architecture = job.architecture(data.input_shape, data.classes)
    about = {name: getattr(job, name) for name in ("data", "image_size", "validation", "epochs", "seed")}
    return Source(f"{job.network} of {folder}", module, architecture, data, job.recipe, about)


def of_search(ledger: "Ledger", search: str, number: int | None) -> Source:
    """The network of a trial; of the best within the search's limits where none is named.

    Raises:
        InvalidInput: there is no such search or complete trial, or bitnas has not trained it.
        NothingFitsError: no trial keeps the limits.
        BitnasError: the ledger has no weights of it.
    """
    from nas.data import load
    from nas.export.trials import candidates, check_trained_here, limits_of, nothing_fits
    from nas.training.loop import load_weights
    from nas.training.presets import recipe_for
    from search_spaces import build, read_architecture

    config = ledger.search(search).config
    check_trained_here(search, config)
    limits = limits_of(config, {}) if number is None else {}
    trial = next(iter(candidates(ledger, search, limits, number)), None)
    if trial is None:
        raise NothingFitsError(nothing_fits(ledger, search, limits, number))
    weights = ledger.weights(search, trial.number)
    if weights is None:
        raise BitnasError(f"trial {trial.number}: the ledger has no weights of it; run the search again")
    architecture = read_architecture(trial.architecture or "")
    module = build(architecture)
    load_weights(module, weights)
    data = load(config.data, config.image_size, validation=config.validation)
    about = {
        "data": config.data,
        "image_size": config.image_size,
        "validation": config.validation,
        "epochs": config.epochs,
        "seed": config.seed,
        "search": search,
        "trial": trial.number,
    }
    title = f"trial {trial.number} of search '{search}'"
    return Source(title, module.eval(), architecture, data, recipe_for(data), about)

"""What is pruned: the network of a training's folder, or that of a search's trial."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.ledger.records import SearchConfig
from search_spaces.architecture import Buildable, read_architecture
from search_spaces.errors import BitnasError, InvalidInput, Parameter

if TYPE_CHECKING:
    from torch import nn

    from nas.data import DataSet
    from nas.ledger import Ledger
    from nas.training.recipe import Recipe

SPACE = "cifar"
"""The space that the search of a training's folder names; its own trials come from none."""


@dataclass(frozen=True)
class Source:
    """A trained network.

    Attributes:
        title: what users call it.
        architecture: of it.
        module: with its weights, in evaluation mode.
        data: what it was trained on.
        recipe: how.
        epochs: for how long.
        config: of the search that it and what comes of it are to be the trials of.
        same_as: the trial, as SEARCH/NUMBER, that it is; None for that of a training.
    """

    title: str
    architecture: Buildable
    module: "nn.Module"
    data: "DataSet"
    recipe: "Recipe"
    epochs: int
    config: SearchConfig
    same_as: str | None = None

    @property
    def digest(self) -> str:
        """The sha256 of its weights."""
        from nas.training.loop import save_weights

        return hashlib.sha256(save_weights(self.module)).hexdigest()


def of_training(folder: Path, device: str) -> Source:
    """The network of a folder that ``nas train`` wrote.

    Raises:
        InvalidInput: there are no weights in it, or no images were held back to judge by.
        BitnasError: they are damaged, or their data is gone or another.
    """
    from nas.export.trainings import known_data, weights_in
    from nas.training import checkpoint
    from nas.training.job import job_of
    from nas.training.weights import network_of

    loaded = checkpoint.read(weights_in(folder))
    job, module = job_of(loaded), network_of(loaded)
    data = known_data(loaded, job)
    if not len(data.validation):
        problem = f"the training in '{folder}' held back no images, by which what is pruned could be judged"
        raise InvalidInput("run", problem, ("train with a share for ", Parameter("validation")))
    architecture = job.architecture(data.input_shape, data.classes)
    config = SearchConfig(
        SPACE,
        job.data,
        device,
        trials=1,
        epochs=job.epochs,
        seed=job.seed,
        image_size=job.image_size,
        validation=job.validation,
    )
    return Source(architecture.title, architecture, module, data, job.recipe, job.epochs, config)


def of_trial(ledger: "Ledger", search: str, number: int | None) -> Source:
    """The network of a trial, the most accurate complete one where none is named.

    Raises:
        InvalidInput: there is no such trial, it is not complete, or bitnas has not trained it.
        BitnasError: the ledger has no weights of it.
    """
    from nas.algorithms.pruners import NONE
    from nas.data import load
    from nas.export.trials import candidates, check_trained_here
    from nas.training.loop import load_weights
    from nas.training.presets import recipe_for
    from search_spaces.builder import build

    config = ledger.search(search).config
    check_trained_here(search, config)
    found = candidates(ledger, search, {}, number)
    if not found:
        raise InvalidInput("run", f"'{search}' has no complete trial", "wait for one, or name another search")
    trial = ledger.trial(search, found[0].number)
    weights = ledger.weights(search, trial.number)
    if weights is None:
        raise BitnasError(
            f"trial {trial.number}: the ledger has no weights of it; train it again, or import it with them"
        )
    architecture = read_architecture(trial.architecture or "")
    module = build(architecture)
    load_weights(module, weights)
    data = load(config.data, config.image_size, validation=config.validation)
    recipe = recipe_for(data, batch_size=config.batch_size, learning_rate=config.learning_rate)
    epochs = trial.epochs_done or config.epochs
    title = f"trial {trial.number} of search {search}"
    config = replace(config, first=(), repeats=1, audit=0, pruner=NONE)  # nothing of that is to be done again
    same_as = f"{search}/{trial.number}"
    return Source(title, architecture, module.eval(), data, recipe, epochs, config, same_as)

"""The evaluator that is built in: trains an architecture with quantization in the loop on a data set."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nas.algorithms.pruners import pruners
from nas.data import DataSet
from nas.evaluators.base import Evaluator, Report, Task, evaluators
from nas.ledger.records import TRAINING, SearchConfig
from nas.rungs import rungs
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Candidate, buildable

if TYPE_CHECKING:
    from torch import nn

    from nas.training.pretrained import Pretrained
    from nas.training.recipe import Recipe
    from search_spaces import Buildable


SIZE_ON_DISK = "size_on_disk"


class TrainingEvaluator(Evaluator):
    """Trains each architecture on the search's data and gives its accuracy on the validation split."""

    def __init__(self, config: SearchConfig, data: DataSet) -> None:
        self._config, self._data = config, data

    @cached_property
    def _pretrained(self) -> "Pretrained":
        """Read once for all trials of a worker."""
        from nas.training.pretrained import read_pretrained

        return read_pretrained(Path(self._config.pretrained))

    def evaluate(self, architecture: Candidate, budget: int, report: Report) -> Mapping[str, float]:
        """Train for ``budget`` epochs; reports each, and keeps the weights and what they get wrong."""
        from nas.training import checkpoint
        from nas.training.loop import save_weights, training_of
        from nas.training.mistakes import counted

        network, recipe = buildable(architecture), self._recipe(budget)
        start = self._pretrained.start if self._config.pretrained else None
        training = training_of(
            network, self._data, epochs=budget, seed=report.seed, recipe=recipe, start=start
        )
        if report.checkpoint is not None:
            checkpoint.resume(training, checkpoint.from_bytes(report.checkpoint))
        report.keep(lambda: checkpoint.to_bytes(training, {}))
        for epoch in training.run(report.check):
            told = {"accuracy": epoch.accuracy or 0.0, "train_loss": epoch.train_loss}
            report(epoch.epoch, {**told, **self._size_on_disk(training.judged, network)})
        report.weights = save_weights(training.module)
        if training.predictions is not None:
            labels = self._data.validation.labels
            report.predictions = counted(training.predictions, labels, self._data.classes)
        accuracy = training.history[-1].accuracy or 0.0
        return {"accuracy": accuracy, **self._size_on_disk(training.module, network)}

    def _size_on_disk(self, module: "nn.Module", network: "Buildable") -> dict[str, float]:
        """What the network's file takes, where that counts in the search: coding it takes a moment."""
        from runtime.formats.bnz import to_bytes

        if SIZE_ON_DISK not in self._config.watched:
            return {}
        return {SIZE_ON_DISK: len(to_bytes(module, network)) / 1000}

    def _recipe(self, budget: int) -> "Recipe":
        """As the data asks for; the rate comes down at each rung where trials are compared and paused."""
        from nas.training.presets import recipe_for

        config = self._config
        recipe = recipe_for(self._data, batch_size=config.batch_size, learning_rate=config.learning_rate)
        if not pruners.get(config.pruner)(config).pauses:
            return recipe
        before = (rung for rung in rungs(config.epochs) if rung < budget)
        return replace(recipe, schedule="rungs", rungs=(*before, budget))


@evaluators.register(TRAINING)
def training(task: Task) -> Evaluator:
    """For a search, which has data."""
    if task.data is None:
        raise InvalidInput("data", "there is nothing to train on", "name a data set")
    return TrainingEvaluator(task.config, task.data)

"""The evaluator that is built in: trains an architecture with quantization in the loop on a data set."""

from collections.abc import Mapping

from nas.data import DataSet
from nas.evaluators.base import Evaluator, Report, Task, evaluators
from nas.ledger.records import TRAINING, SearchConfig
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Candidate, buildable


class TrainingEvaluator(Evaluator):
    """Trains each architecture on the search's data and gives its accuracy on the validation split."""

    def __init__(self, config: SearchConfig, data: DataSet) -> None:
        self._config, self._data = config, data

    def evaluate(self, architecture: Candidate, budget: int, report: Report) -> Mapping[str, float]:
        """Train for ``budget`` epochs; reports each, and keeps the weights."""
        from nas.training.loop import Epoch, save_weights, train_architecture

        def on_epoch(epoch: Epoch) -> None:
            values = {"accuracy": epoch.accuracy or 0.0, "train_loss": epoch.train_loss}
            report(epoch.epoch, values)

        module, history = train_architecture(
            buildable(architecture),
            self._data,
            epochs=budget,
            seed=report.seed,
            batch_size=self._config.batch_size,
            learning_rate=self._config.learning_rate,
            on_epoch=on_epoch,
            on_batch=report.check,
        )
        report.weights = save_weights(module)
        return {"accuracy": history[-1].accuracy or 0.0}


@evaluators.register(TRAINING)
def training(task: Task) -> Evaluator:
    """For a search, which has data."""
    if task.data is None:
        raise InvalidInput("data", "there is nothing to train on", "name a data set")
    return TrainingEvaluator(task.config, task.data)

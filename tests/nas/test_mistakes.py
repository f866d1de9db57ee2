"""What a network gets wrong: counted, bounded, and the same however its training came to its end."""

import numpy as np
import torch
from benches import FEW
from torch import nn

from nas.data import load
from nas.evaluators.training import TrainingEvaluator
from nas.ledger import SearchConfig
from nas.ledger.mistakes import Predictions
from nas.testing.evaluators import Recorder
from nas.training.loop import Judged, judge
from nas.training.mistakes import MOST_IMAGES, MOST_PAIRS, counted
from nas.trials.evaluating import Evaluation, Halt, Step, evaluate
from search_spaces import space


def judged(classes: list[int], probabilities: list[float]) -> Judged:
    return Judged(np.array(classes), np.array(probabilities, np.float32))


def test_every_pair_is_counted_and_the_most_certain_mistakes_come_first() -> None:
    labels = np.array([0, 1, 1, 2, 2, 2])
    found = counted(judged([0, 0, 1, 1, 1, 0], [0.9, 0.4, 0.8, 0.7, np.nan, 0.7000001]), labels, 3)
    assert found.counts == ((0, 0, 1), (1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 2))
    assert (found.images, found.right, found.wrong, found.is_whole) == (6, 2, 4, True)
    assert [(each.image, each.true, each.predicted) for each in found.worst] == [
        (5, 2, 0), (3, 2, 1), (1, 1, 0),
    ], "the one without a probability is counted, but not listed"  # fmt: skip
    assert found.worst[0].probability == 0.7
    assert Predictions.from_dict(found.to_dict()) == found


def test_the_probability_is_that_of_the_class_that_is_predicted() -> None:
    split = load("digits").validation
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    found = judge(module, split)
    with torch.inference_mode():
        best = module(torch.from_numpy(split.images)).softmax(1).max(1)
    assert (found.classes == best.indices.numpy()).all()
    np.testing.assert_allclose(found.probabilities, best.values.numpy(), rtol=1e-5)


def test_of_many_classes_the_most_frequent_mistakes_are_kept() -> None:
    labels = np.repeat(np.arange(150), 3)
    classes = np.where(np.arange(450) % 3 < 2, (labels + 1) % 150, labels)  # 2 of 3 are wrong
    classes[-2:] = 7
    found = counted(judged(classes.tolist(), [0.5] * 450), labels, 150)
    assert len(found.counts) == MOST_PAIRS and len(found.worst) == MOST_IMAGES and not found.is_whole
    assert (found.right, found.wrong) == (149, 301)
    assert all(true != predicted and count == 2 for true, predicted, count in found.counts)


def test_a_training_that_was_paused_has_the_predictions_of_one_that_was_not() -> None:
    data = load(FEW)
    config = SearchConfig("tiny", FEW, "local", trials=1, epochs=3, pruner="halving")
    evaluator, network = TrainingEvaluator(config, data), space("tiny").fitted((1, 8, 8), 10).sample(3)

    def at_once(step: Step) -> Halt | None:
        return None

    def pausing(step: Step) -> Halt | None:
        return Halt("paused", is_pause=True) if step.number == 1 else None

    whole = evaluate(evaluator, Evaluation(network, 3, 5), at_once, lambda: None)
    paused = evaluate(evaluator, Evaluation(network, 3, 5), pausing, lambda: None)
    assert paused.predictions is None
    again = evaluate(evaluator, Evaluation(network, 3, 5, paused.kept), at_once, lambda: None)
    assert whole.predictions is not None and again.predictions == whole.predictions
    assert whole.predictions.right / whole.predictions.images == whole.values["accuracy"]
    report = Recorder(5)
    evaluator.evaluate(network, 3, report)
    assert report.predictions == whole.predictions, "those of its weights"

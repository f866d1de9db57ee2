"""Training: it learns, it repeats itself, it stays out of the test split, and it says when it diverged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import search_spaces
from nas.data import DataSet, load
from nas.ledger import EpochRecord
from nas.training import (
    Recipe,
    TrainingError,
    accuracy,
    load_weights,
    predict,
    save_weights,
    train,
    train_architecture,
)
from search_spaces import BitnasError


@pytest.fixture
def small() -> DataSet:
    """Three hundred of the digits, so that an epoch is short."""
    digits = load("digits")
    return replace(digits, name="small", read=lambda: digits.read().at(np.arange(300)))


def _linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def test_training_learns_the_digits() -> None:
    architecture = search_spaces.space("tiny").sample(5)
    module, history = train_architecture(architecture, load("digits"), epochs=2, seed=0)
    assert history[-1].accuracy > 0.6
    assert history[1].train_loss < history[0].train_loss
    assert [record.epoch for record in history] == [1, 2]
    assert not module.training
    assert accuracy(module, load("digits").validation) == history[-1].accuracy


def test_weights_come_back_to_the_bit() -> None:
    architecture = search_spaces.space("tiny").sample(5)
    module, other = search_spaces.build(architecture), search_spaces.build(architecture)
    load_weights(other, save_weights(module))
    pairs = zip(module.state_dict().items(), other.state_dict().items(), strict=True)
    assert all(name == its and torch.equal(tensor, own) for (name, tensor), (its, own) in pairs)


def test_weights_of_another_network_are_refused() -> None:
    weights = save_weights(_linear())
    for bad in (weights, weights[:-4], b"", b"no tensors"):
        with pytest.raises(BitnasError, match="weights: they are not of this architecture"):
            load_weights(search_spaces.build(search_spaces.space("tiny").sample(5)), bad)


def test_the_seed_alone_decides(small: DataSet) -> None:
    architecture = search_spaces.space("tiny").sample(0)

    def weights(seed: int) -> list[torch.Tensor]:
        module, _ = train_architecture(architecture, small, epochs=1, seed=seed)
        torch.rand(3)  # What others draw in between makes no difference.
        return list(module.state_dict().values())

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_only_training_images_move_the_weights(small: DataSet) -> None:
    def trained(data: DataSet) -> torch.Tensor:
        torch.manual_seed(0)
        module = _linear()
        train(module, data, epochs=1, seed=0)
        return module.state_dict()["1.weight"]

    whole = small.read()
    held_out = {image.tobytes() for split in (small.validation, small.test) for image in split.images}
    altered = whole.images.copy()
    for image in altered:
        if image.tobytes() in held_out:
            image[:] = 0.5
    other = replace(small, read=lambda: replace(whole, images=altered))
    assert torch.equal(trained(small), trained(other))


def test_every_epoch_is_reported_and_every_batch_can_stop_it(small: DataSet) -> None:
    seen: list[EpochRecord] = []
    batches = []
    history = train(
        _linear(), small, epochs=2, seed=0, on_epoch=seen.append, on_batch=lambda: batches.append(1)
    )
    assert seen == history
    assert len(batches) == 2 * -(-180 // Recipe().batch_size)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(_linear(), small, epochs=2, seed=0, on_batch=stop)


def test_a_loss_that_is_not_finite_is_one_clear_line(small: DataSet) -> None:
    module = _linear()
    nn.init.constant_(module[1].weight, float("nan"))
    with pytest.raises(TrainingError, match="the loss became nan in epoch 1") as caught:
        train(module, small, epochs=1, seed=0)
    assert "\n" not in str(caught.value)


def test_predictions_do_not_depend_on_the_batch(small: DataSet) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm2d(1), _linear())
    assert np.array_equal(predict(module, small.test, 7), predict(module, small.test))

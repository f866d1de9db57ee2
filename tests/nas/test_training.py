"""Training: it learns, it repeats itself, it stays out of the test split, and it says when it diverged."""

import json
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LinearLR,
    LRScheduler,
    SequentialLR,
)

import search_spaces
from nas.data import DataSet, Source, Split, load
from nas.data.batches import Augmentation, batch_count
from nas.rungs import rungs
from nas.training import checkpoint
from nas.training.job import images_digest
from nas.training.loop import (
    Epoch,
    Training,
    TrainingError,
    accuracy,
    distillation_loss,
    load_weights,
    predict,
    save_weights,
    train,
    train_architecture,
)
from nas.training.optimizers import Cycles, parameter_groups
from nas.training.presets import IMAGES, RECIPE, recipe_for, with_optimizer
from nas.training.recipe import Recipe, optimizers, schedules
from search_spaces import BitnasError, InvalidInput
from search_spaces.layers import QuantLinear
from search_spaces.plain_layers import OutputScale
from search_spaces.precision import precisions


@pytest.fixture
def small() -> DataSet:
    """Three hundred of the digits, so that an epoch is short."""
    digits = load("digits")
    few = Source(digits.read().train.at(np.arange(300)))
    return replace(digits, name="small", read=lambda: few)


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

    whole = small.read().train
    held_out = {image.tobytes() for split in (small.validation, small.test) for image in split.images}
    pixels = whole.pixels.copy()
    for index, image in zip(whole.chosen, whole.images, strict=True):
        if image.tobytes() in held_out:
            pixels[index] = 8
    altered = Source(replace(whole, pixels=pixels))
    assert torch.equal(trained(small), trained(replace(small, read=lambda: altered)))


def test_every_epoch_is_reported_and_every_batch_can_stop_it(small: DataSet) -> None:
    seen: list[Epoch] = []
    batches = []
    history = train(
        _linear(), small, epochs=2, seed=0, on_epoch=seen.append, on_batch=lambda: batches.append(1)
    )
    assert seen == history
    assert len(batches) == 2 * batch_count(180, recipe_for(small).batch_size)

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


@pytest.mark.parametrize("optimizer", sorted(optimizers))
@pytest.mark.parametrize("schedule", sorted(schedules))
def test_every_optimizer_learns_by_every_schedule(small: DataSet, optimizer: str, schedule: str) -> None:
    torch.manual_seed(0)
    recipe = Recipe(optimizer=optimizer, schedule=schedule, label_smoothing=0.1)
    history = train(_linear(), small, epochs=4, seed=0, recipe=recipe)
    assert history[-1].train_loss < history[0].train_loss


def test_scales_of_every_shape_do_not_decay() -> None:
    module = search_spaces.network("resnet20", "binary-case3")
    optimizer = optimizers.get("adamw")(parameter_groups(module, RECIPE), RECIPE)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    scales = [p for m in module.modules() if isinstance(m, OutputScale) for p in m.parameters()]
    assert max(p.ndim for p in scales) > 1, "as weights have"
    assert {decays[id(p)] for p in scales} == {0.0}


def test_each_optimizer_has_a_rate_and_a_decay() -> None:
    adamw, adam, sgd = (with_optimizer(RECIPE, name) for name in ("adamw", "adam", "sgd"))
    assert adamw == RECIPE
    assert (adam.peak_rate, adam.weight_decay) == (RECIPE.peak_rate, 0)
    assert (sgd.peak_rate, sgd.weight_decay) == (0.1, 5e-4)


def test_latent_binary_weights_do_not_decay() -> None:
    layers = {name: QuantLinear(4, 4, precisions.get(name)) for name in ("binary", "ternary", "float")}
    decaying, others = parameter_groups(nn.ModuleList(layers.values()), RECIPE)
    ids = {id(p) for p in decaying["params"]}  # type: ignore[attr-defined]  # a group holds objects, by its type
    assert ids == {id(layers["ternary"].weight), id(layers["float"].weight)}
    assert (decaying["weight_decay"], others["weight_decay"]) == (RECIPE.weight_decay, 0.0)


def test_distillation_is_least_where_the_student_agrees() -> None:
    teacher = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    assert distillation_loss(teacher + 3, teacher, 4.0) == pytest.approx(0, abs=1e-5), "a shift is the same"
    assert distillation_loss(teacher * 0, teacher, 4.0) > 0.01
    softened = [torch.softmax(t / 4.0, 1).double() for t in (torch.zeros_like(teacher), teacher)]
    divergence = (softened[1] * (softened[1] / softened[0]).log()).sum(1).mean() * 16
    assert distillation_loss(teacher * 0, teacher, 4.0) == pytest.approx(float(divergence), rel=1e-4)


def test_a_teacher_teaches(small: DataSet) -> None:
    torch.manual_seed(0)
    teacher = _linear()
    train(teacher, small, epochs=20, seed=0)
    wrong = replace(small, read=lambda: _mislabelled(small))  # what the labels say is of no use
    student = _linear()
    training = Training(student, wrong, 20, 0, replace(RECIPE, distillation=1.0), teacher)
    list(training.run())
    assert (predict(student, small.test) == predict(teacher, small.test)).mean() > 0.8


def _mislabelled(data: DataSet) -> Source:
    whole = data.read().train
    return Source(replace(whole, all_labels=np.roll(whole.all_labels, 1)))


def test_the_average_is_judged_and_kept(small: DataSet) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm2d(1), _linear())
    training = Training(module, small, 2, 0, replace(RECIPE, average=0.9))
    history = list(training.run())
    assert accuracy(module, small.validation) == history[-1].accuracy
    average = training.average
    assert average is not None
    assert torch.equal(module[1][1].weight, average.module[1][1].weight)


def test_without_validation_images_nothing_is_judged(small: DataSet) -> None:
    whole = replace(small, validation_share=0.0)
    (epoch,) = train(_linear(), whole, epochs=1, seed=0)
    assert epoch.accuracy is None
    assert len(whole.train) == 240


def _training(data: DataSet, recipe: Recipe = RECIPE) -> Training:
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10))
    return Training(module, data, 4, 0, recipe)


def _composed(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    up, down = LinearLR(optimizer, 0.1, 1.0, steps // 4), CosineAnnealingLR(optimizer, steps)
    return SequentialLR(optimizer, [up, down], [steps // 4])


def _restarted(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    return CosineAnnealingWarmRestarts(optimizer, steps // 6, 2)


PLUGGED_IN = {"composed": _composed, "restarted": _restarted}


@pytest.mark.parametrize("optimizer", sorted(optimizers))
@pytest.mark.parametrize("schedule", sorted([*schedules, *PLUGGED_IN]))
def test_a_training_goes_on_as_if_nothing_had_been(
    small: DataSet, tmp_path: Path, optimizer: str, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "_things", {**schedules._things, **PLUGGED_IN})
    recipe = Recipe(
        optimizer=optimizer, schedule=schedule, average=0.9, augmentation=Augmentation(1, True, 2)
    )
    straight = _training(small, recipe)
    list(straight.run())
    begun = _training(small, recipe)
    for epoch in begun.run():
        checkpoint.save(tmp_path / "c", begun, {"about": "it"})
        if epoch.epoch == 2:
            break
    resumed, loaded = _training(small, recipe), checkpoint.read(tmp_path / "c")
    nn.init.zeros_(resumed.module[3].weight)  # type: ignore[index, arg-type]  # modules by place have no types
    checkpoint.resume(resumed, loaded)
    assert [e.epoch for e in resumed.run()] == [3, 4]
    assert loaded.about["about"] == {"about": "it"}
    ours, theirs = resumed.module.state_dict(), straight.module.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert [e.train_loss for e in resumed.history] == [e.train_loss for e in straight.history]


def test_a_damaged_or_foreign_checkpoint_is_one_line(small: DataSet, tmp_path: Path) -> None:
    training, path = _training(small), tmp_path / "c"
    checkpoint.save(path, training, {})
    whole = path.read_bytes()
    other = Training(_linear(), small, 4, 0, RECIPE)
    with pytest.raises(BitnasError, match="it is of another training"):
        checkpoint.resume(other, checkpoint.read(path))
    for data in (whole[:-5], b"", b"nonsense" * 20):
        path.write_bytes(data)
        with pytest.raises(BitnasError, match="it cannot be read"):
            checkpoint.read(path)
    path.write_bytes(save_weights(_linear()))
    with pytest.raises(BitnasError, match="it is no file of `nas train`"):
        checkpoint.read(path)


def test_a_checkpoint_may_be_bytes(small: DataSet, tmp_path: Path) -> None:
    training = _training(small, RECIPE)
    next(training.run())
    checkpoint.save(tmp_path / "c", training, {"about": "it"})
    data = checkpoint.to_bytes(training, {"about": "it"})
    assert data == (tmp_path / "c").read_bytes()
    kept, written = checkpoint.from_bytes(data), checkpoint.read(tmp_path / "c")
    assert kept.about == written.about
    assert kept.tensors.keys() == written.tensors.keys()
    assert all(torch.equal(tensor, written.tensors[name]) for name, tensor in kept.tensors.items())
    for broken in (b"", data[:100], safetensors.torch.save({"a": torch.zeros(1)})):
        with pytest.raises(BitnasError, match=r"^checkpoint: it cannot be read .*; the ledger is damaged$"):
            checkpoint.from_bytes(broken)


def test_a_checkpoint_that_is_not_whole_does_not_replace_one(
    small: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, path = _training(small), tmp_path / "c"
    checkpoint.save(path, training, {})
    before = path.read_bytes()
    monkeypatch.setattr("nas.training.checkpoint.os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(BitnasError, match=r"^output: .* cannot be written .full.; make room"):
        checkpoint.save(path, training, {"more": 1})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def _rates(name: str, recipe: Recipe, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, found = schedules.get(name)(optimizer, replace(recipe, peak_rate=1.0), steps), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "step", "rungs"])
@pytest.mark.parametrize("steps", [1, 2, 3, 100])
def test_every_step_has_a_rate(name: str, steps: int) -> None:
    rates = _rates(name, RECIPE, steps)
    assert min(rates) > 0
    assert max(rates) > 0.8


def test_at_each_rung_the_rate_has_come_down_and_starts_again() -> None:
    rates = _rates("rungs", replace(RECIPE, rungs=(1, 3, 9, 27)), 270)
    for start, end in pairwise((0, 10, 30, 90, 270)):
        cycle = rates[start:end]
        assert cycle[0] < 0.3
        assert max(cycle) > 0.98
        assert cycle[-1] < 0.05
        top = cycle.index(max(cycle))
        assert cycle == [*sorted(cycle[:top]), *sorted(cycle[top:], reverse=True)], "up, then down"


def test_a_training_comes_down_at_the_rungs_of_its_epochs(small: DataSet) -> None:
    training = Training(_linear(), small, 10, 0, replace(RECIPE, schedule="rungs"))
    steps = batch_count(len(small.train), RECIPE.batch_size)
    assert isinstance(training.schedule, Cycles)
    assert training.schedule.ends == [steps, 3 * steps, 10 * steps]


@pytest.mark.parametrize(
    ("epochs", "factor", "found"),
    [
        (27, 3, (1, 3, 9, 27)),
        (10, 3, (1, 3, 10)),
        (8, 3, (1, 3, 8)),
        (3, 2, (1, 2, 3)),
        (16, 4, (1, 4, 16)),
        (1, 3, (1,)),
    ],
)
def test_rungs_grow_by_their_factor_up_to_the_last_epoch(
    epochs: int, factor: int, found: tuple[int, ...]
) -> None:
    assert rungs(epochs, factor) == found


def test_rungs_of_any_training_start_at_one_and_grow() -> None:
    for epochs, factor in product(range(1, 200), (2, 3, 4)):
        found = rungs(epochs, factor)
        assert (found[0], found[-1]) == (1, epochs)
        assert all(low < high for low, high in pairwise(found))
    with pytest.raises(InvalidInput, match="factor: 1 is out of range"):
        rungs(27, 1)


@pytest.mark.parametrize(
    ("option", "value"),
    [("batch_size", 1), ("peak_rate", 0.0), ("peak_rate", float("nan")), ("average", 1.0), ("threads", -1)],
)
def test_a_recipe_refuses_what_makes_no_sense(option: str, value: float) -> None:
    with pytest.raises(InvalidInput, match="out of range"):
        replace(RECIPE, **{option: value})
    with pytest.raises(InvalidInput, match="do not grow"):
        replace(RECIPE, rungs=(1, 9, 3))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_image_counts_in_the_digest_of_few(small: DataSet, split: str) -> None:
    whole, before = small.read().train, images_digest(small)
    pixels = whole.pixels.copy()
    pixels[getattr(small, split).chosen[-1], 7, 7, 0] ^= 1
    altered = Source(replace(whole, pixels=pixels))
    assert images_digest(replace(small, read=lambda: altered)) != before
    assert images_digest(replace(small, read=lambda: Source(whole))) == before


def test_of_many_images_some_count_in_the_digest(small: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    real = Split.take

    def take(split: Split, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        taken.extend(indices)
        return real(split, indices)

    monkeypatch.setattr(Split, "take", take)
    monkeypatch.setattr("nas.training.job.DIGESTED_BYTES", 50 * 64 + 1)
    images_digest(small)  # 180, 60 and 60 images of 64 bytes
    assert taken == [*range(0, 180, 4), *range(0, 60, 2), *range(0, 60, 2)]


def test_recipes_survive_json() -> None:
    recipe = replace(IMAGES, average=0.99, rungs=(1, 3, 9, 27))
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe

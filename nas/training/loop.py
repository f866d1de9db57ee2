"""Training a network on a data set, the same way every time for the same seed."""

import math
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nas.data import DataSet, Split
from nas.data.batches import batch_count, batches, tensor
from nas.data.data_set import PART_IMAGES
from nas.rungs import rungs
from nas.training.layouts import EvenGradients, kept_memory
from nas.training.optimizers import parameter_groups
from nas.training.presets import recipe_for
from nas.training.recipe import Recipe, optimizers, schedules
from search_spaces.architecture import Buildable
from search_spaces.builder import build
from search_spaces.errors import BitnasError, TrainingError
from search_spaces.layers import QuantConv2d, QuantLinear


@dataclass(frozen=True)
class Epoch:
    """One epoch, counted from 1; the accuracy on the validation split in 0..1, None where there is none."""

    epoch: int
    train_loss: float
    accuracy: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class Judged:
    """What a network makes of images: the class of each (N,), and the probability that it gives it (N,)."""

    classes: NDArray[np.int64]
    probabilities: NDArray[np.float32]


OnEpoch = Callable[[Epoch], None]
OnBatch = Callable[[], None]


def train_architecture(
    architecture: Buildable,
    data: DataSet,
    *,
    epochs: int,
    seed: int,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    on_epoch: OnEpoch | None = None,
    on_batch: OnBatch | None = None,
) -> tuple[nn.Module, list[Epoch]]:
    """Build a network and train it as ``training_of`` says, and as ``train`` does.

    Raises:
        InvalidInput: the architecture does not build.
        TrainingError: the loss is not finite.
    """
    recipe = recipe_for(data, batch_size=batch_size, learning_rate=learning_rate)
    training = training_of(architecture, data, epochs=epochs, seed=seed, recipe=recipe)
    _run(training, on_epoch, on_batch)
    return training.module, training.history


def training_of(
    architecture: Buildable,
    data: DataSet,
    *,
    epochs: int,
    seed: int,
    recipe: Recipe,
    start: Callable[[nn.Module], Collection[str]] | None = None,
) -> "Training":
    """A training to begin, or to bring to where a checkpoint was.

    The same arguments give the same weights on the same machine. ``start`` gives the network weights that
    were trained before, and tells which of its parameters are to go on at a tenth of the rate.

    Raises:
        InvalidInput: the architecture does not build.
    """
    torch.manual_seed(seed)
    module = build(architecture)
    trained_before = () if start is None else start(module)
    return Training(module, data, epochs, seed, recipe, trained_before=trained_before)


def train(
    module: nn.Module,
    data: DataSet,
    *,
    epochs: int,
    seed: int,
    on_epoch: OnEpoch | None = None,
    on_batch: OnBatch | None = None,
    recipe: Recipe | None = None,
) -> list[Epoch]:
    """Fit ``module`` to the training split in place and judge it on the validation split every epoch.

    ``module`` takes images (N, C, H, W) and gives logits (N, classes); it is left in eval mode. After
    every epoch ``on_epoch`` gets it and after every batch ``on_batch`` is called; what they raise
    ends the training. Sets torch's number of threads and its seed.

    Raises:
        TrainingError: the loss is not finite.
    """
    training = Training(module, data, epochs, seed, recipe or recipe_for(data))
    _run(training, on_epoch, on_batch)
    return training.history


def _run(training: "Training", on_epoch: OnEpoch | None, on_batch: OnBatch | None) -> None:
    for epoch in training.run(on_batch):
        if on_epoch is not None:
            on_epoch(epoch)


class Training:
    """A training as it goes on, epoch by epoch: what ``nas.training.checkpoint`` keeps and brings back.

    Attributes:
        module: the network that is trained.
        average: of its weights over the last steps, where the recipe wants one.
        history: the epochs that are done.
        predictions: what the network made of the validation split after the last of them, once one was
            trained here; None where there is no such split.
    """

    def __init__(
        self,
        module: nn.Module,
        data: DataSet,
        epochs: int,
        seed: int,
        recipe: Recipe,
        teacher: nn.Module | None = None,
        trained_before: Collection[str] = (),
    ) -> None:
        self.module, self.data, self.epochs, self.seed, self.recipe = module, data, epochs, seed, recipe
        self.history: list[Epoch] = []
        self.predictions: Judged | None = None
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types know no layout
        self.teacher = None if teacher is None else teacher.to(self.device).eval()
        self.optimizer = optimizers.get(recipe.optimizer)(
            parameter_groups(module, recipe, trained_before), recipe
        )
        steps = epochs * batch_count(len(data.train), recipe.batch_size)
        paced = replace(recipe, rungs=recipe.rungs or rungs(epochs))  # a schedule is told of steps alone
        self.schedule = schedules.get(recipe.schedule)(self.optimizer, paced, steps)
        self.average: AveragedModel | None = None
        if recipe.average:
            decay = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]  # torch's
            self.average = AveragedModel(module, multi_avg_fn=decay, use_buffers=True)
        self._latent = [m for m in module.modules() if isinstance(m, QuantConv2d | QuantLinear)]

    @property
    def judged(self) -> nn.Module:
        """The network that predictions are made with: the average, or the one that is trained."""
        return self.module if self.average is None else self.average.module

    def run(self, on_batch: OnBatch | None = None) -> Iterator[Epoch]:
        """Train the epochs that are left; in the end the module has the weights that are judged.

        Raises:
            TrainingError: the loss is not finite.
        """
        torch.set_num_threads(self.recipe.threads or os.cpu_count() or 1)
        with kept_memory():
            for number in range(len(self.history) + 1, self.epochs + 1):
                start = time.perf_counter()
                loss = self._train_epoch(number, on_batch)
                right = self._validate()
                self.history.append(Epoch(number, loss, right, time.perf_counter() - start))
                yield self.history[-1]
        if self.average is not None:
            self.module.load_state_dict(self.average.module.state_dict())
        self.module.eval()

    def _validate(self) -> float | None:
        """The accuracy on the validation split; None where there is none."""
        split = self.data.validation
        if not len(split):
            return None
        self.predictions = judge(self.judged, split)
        return float((self.predictions.classes == split.labels).mean())

    def _train_epoch(self, number: int, on_batch: OnBatch | None) -> float:
        """One epoch; the mean of the loss."""
        torch.manual_seed(_seed(self.seed, number))  # of dropout and the like, whenever it is trained
        self.module.train()
        recipe, losses = self.recipe, []
        parts = batches(self.data.train, recipe.batch_size, self.seed, number, recipe.augmentation)
        for images, labels in parts:
            loss = self._loss(images.to(self.device), labels.to(self.device))
            losses.append(_finite(loss, number) * len(labels))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            self.optimizer.step()
            self.schedule.step()
            for layer in self._latent:
                layer.clip()
            if self.average is not None:
                self.average.update_parameters(self.module)
            if on_batch is not None:
                on_batch()
        return math.fsum(losses) / len(self.data.train)

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        recipe = self.recipe
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.bf16):
            with EvenGradients():
                logits = self.module(images)
            taught = None if self.teacher is None else _teach(self.teacher, images)
        logits = logits.float()
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        if taught is None:
            return loss
        return torch.lerp(
            loss,
            distillation_loss(logits, taught.float(), recipe.temperature),
            recipe.distillation,
        )


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How far a student's softened distribution is from its teacher's (Hinton et al., 2015, section 2).

    Both are logits (N, classes). Times T squared, so that gradients do not depend on the temperature.
    """
    soft = F.log_softmax(student / temperature, 1)
    target = F.log_softmax(teacher / temperature, 1)
    return F.kl_div(soft, target, reduction="batchmean", log_target=True) * temperature**2


@torch.no_grad()
def _teach(teacher: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = teacher(images)
    return logits


def _seed(seed: int, epoch: int) -> int:
    from nas import seeds

    return seeds.derive(seed, epoch)


def save_weights(module: nn.Module) -> bytes:
    """A network's parameters and buffers as a safetensors file."""
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in module.state_dict().items()})


def load_weights(module: nn.Module, weights: bytes) -> None:
    """Put back what ``save_weights`` took from a network of the same architecture.

    Raises:
        BitnasError: the tensors are not those of this network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        module.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise BitnasError("weights: they are not of this architecture; the ledger is damaged") from error


def accuracy(module: nn.Module, split: Split) -> float:
    """The share of images, 0..1, whose class ``module`` in eval mode gives the highest logit."""
    return float((predict(module, split) == split.labels).mean())


def predict(module: nn.Module, split: Split, batch_size: int = PART_IMAGES) -> NDArray[np.int64]:
    """The class (N,) that ``module`` gives each image; leaves it in eval mode."""
    return judge(module, split, batch_size).classes


def judge(module: nn.Module, split: Split, batch_size: int = PART_IMAGES) -> Judged:
    """What ``module`` makes of each image; leaves it in eval mode."""
    classes, probabilities = [], []
    with _judging(module) as device:
        for part in _parts(split, batch_size):
            logits = module(part.to(device))
            found = logits.argmax(1, keepdim=True)
            classes.append(found[:, 0].cpu())
            probabilities.append(logits.float().softmax(1).gather(1, found)[:, 0].cpu())
    return Judged(torch.cat(classes).numpy(), torch.cat(probabilities).numpy())


def _parts(split: Split, size: int) -> Iterator[Tensor]:
    for start in range(0, len(split), size):
        chosen = np.arange(start, min(start + size, len(split)))
        yield tensor(split.take(chosen), split.scaling)


@contextmanager
def _judging(module: nn.Module) -> Iterator[torch.device]:
    """The module in eval mode, and where its weights lie."""
    module.eval()
    with torch.inference_mode():
        yield next((p.device for p in module.parameters()), torch.device("cpu"))


def _finite(loss: Tensor, epoch: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(f"training: the loss became {value} in epoch {epoch}; no weights to go on with")
    return value

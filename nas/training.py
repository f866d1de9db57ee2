"""Training a network on a data set, the same way every time for the same seed."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.data import DataSet, Split
from nas.ledger.records import EpochRecord
from search_spaces.architecture import Architecture
from search_spaces.builder import build
from search_spaces.errors import BitnasError
from search_spaces.layers import QuantConv2d, QuantLinear

OnEpoch = Callable[[EpochRecord], None]
OnBatch = Callable[[], None]


@dataclass(frozen=True)
class Recipe:
    """How networks are trained: AdamW, its rate going up and down once (one-cycle) over all epochs.

    Sums of floats depend on how they are shared out among threads. One thread makes the result a function
    of the seed alone, and for small images it is also the fastest.
    """

    batch_size: int = 32
    peak_rate: float = 0.03
    weight_decay: float = 0.01
    threads: int = 1


RECIPE = Recipe()
# A trained network goes on at a tenth of the rate: the full one would first undo what it has learned.
TRAIN_ON = replace(RECIPE, peak_rate=RECIPE.peak_rate / 10)


class TrainingError(BitnasError):
    """A network cannot be trained: its loss became infinite or NaN."""


def train_architecture(
    architecture: Architecture,
    data: DataSet,
    *,
    epochs: int,
    seed: int,
    on_epoch: OnEpoch | None = None,
    on_batch: OnBatch | None = None,
) -> tuple[nn.Module, list[EpochRecord]]:
    """Build a network and train it; the same arguments give the same weights on the same machine.

    Raises:
        InvalidInput: the architecture does not build.
        TrainingError: the loss is not finite.
    """
    torch.manual_seed(seed)
    module = build(architecture)
    history = train(module, data, epochs=epochs, seed=seed, on_epoch=on_epoch, on_batch=on_batch)
    return module, history


def train(
    module: nn.Module,
    data: DataSet,
    *,
    epochs: int,
    seed: int,
    on_epoch: OnEpoch | None = None,
    on_batch: OnBatch | None = None,
    recipe: Recipe = RECIPE,
) -> list[EpochRecord]:
    """Fit ``module`` to the training split in place and judge it on the validation split every epoch.

    ``module`` takes images (N, C, H, W) and gives logits (N, classes); it is left in eval mode. After
    every epoch ``on_epoch`` gets its record and after every batch ``on_batch`` is called; what they raise
    ends the training. Sets torch's number of threads and its seed.

    Raises:
        TrainingError: the loss is not finite.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(seed)
    images, labels = _tensors(data.train)
    optimizer = torch.optim.AdamW(_groups(module, recipe))
    batches = math.ceil(len(labels) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.peak_rate, total_steps=epochs * batches
    )
    history = []
    latent = [m for m in module.modules() if isinstance(m, QuantConv2d | QuantLinear)]
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        module.train()
        losses = []
        for chosen in torch.randperm(len(labels)).tensor_split(batches):
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(module(images[chosen]), labels[chosen])
            losses.append(_finite(loss, epoch) * len(chosen))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            for layer in latent:
                layer.clip()
            if on_batch is not None:
                on_batch()
        right = accuracy(module, data.validation)
        record = EpochRecord(epoch, math.fsum(losses) / len(labels), right, time.perf_counter() - start)
        history.append(record)
        if on_epoch is not None:
            on_epoch(record)
    return history


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


def predict(module: nn.Module, split: Split, batch_size: int = 256) -> NDArray[np.int64]:
    """The class (N,) that ``module`` gives each image; leaves it in eval mode."""
    images, _ = _tensors(split)
    module.eval()
    with torch.inference_mode():
        classes = [module(part).argmax(1) for part in torch.split(images, batch_size)]
    return torch.cat(classes).numpy()


def _tensors(split: Split) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(split.images), torch.from_numpy(split.labels)


def _groups(module: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Weights decay; scales, biases and batch norms, which have one axis or none, do not."""
    weights = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in module.parameters() if parameter.ndim <= 1]
    return [
        {"params": weights, "lr": recipe.peak_rate, "weight_decay": recipe.weight_decay},
        {"params": others, "lr": recipe.peak_rate, "weight_decay": 0.0},
    ]


def _finite(loss: Tensor, epoch: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(f"training: the loss became {value} in epoch {epoch}; no weights to go on with")
    return value

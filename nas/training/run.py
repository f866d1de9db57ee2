"""``nas train`` without the terminal: a published network or an architecture, trained into a folder."""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.training.job import (
    CHECKPOINT,
    RESULT,
    WEIGHTS,
    TrainJob,
    data_of,
    images_digest,
    job_of,
    teacher_digest,
)
from nas.training.weights import check_finite, network_of, transfer
from search_spaces.errors import PLUGINS, BitnasError, InvalidInput, Parameter

if TYPE_CHECKING:
    from torch import nn

    from nas.data import DataSet
    from nas.training.checkpoint import Loaded
    from nas.training.loop import Epoch, Training


@dataclass(frozen=True)
class Progress:
    """Who is told how a training goes.

    Attributes:
        on_data: of decoding, images done and in all.
        on_start: the first epoch to come, and batches in an epoch.
        on_batch: after each.
        on_epoch: after each.
        on_transfer: of the tensors that weights to start from do not have.
        on_teacher: what a teacher was trained on and what its student is on, where these differ.
    """

    on_data: Callable[[int, int], None] = lambda done, of: None
    on_start: Callable[[int, int], None] = lambda epoch, batches: None
    on_batch: Callable[[], None] = lambda: None
    on_epoch: "Callable[[Epoch], None]" = lambda epoch: None
    on_transfer: Callable[[list[str]], None] = lambda names: None
    on_teacher: Callable[[str, str], None] = lambda teachers, students: None


def run(job: TrainJob, folder: Path, progress: Progress, loaded: "Loaded | None" = None) -> dict[str, Any]:
    """Train, judge by the test images once, and write checkpoint, weights and result; gives the result.

    Raises:
        InvalidInput: an unknown network, precision or data set.
        BitnasError: what training and checkpoints raise.
    """
    from nas.data.batches import batch_count
    from nas.training import checkpoint
    from nas.training.loop import accuracy

    try:
        data = data_of(job, progress.on_data)
        training = _training(job, data, progress)
    except InvalidInput as error:
        if loaded is None:
            raise
        raise _not_typed(loaded.path, error) from error
    about = {
        "job": job.to_dict(),
        "images_digest": images_digest(data),
        "teacher_digest": teacher_digest(job),
    }
    if loaded is not None:
        _refuse_changes(loaded, about)
        checkpoint.resume(training, loaded)
    elif job.start is not None:
        progress.on_transfer(transfer(training.module, Path(job.start), job.network))
    folder.mkdir(parents=True, exist_ok=True)
    progress.on_start(len(training.history) + 1, batch_count(len(data.train), job.recipe.batch_size))
    started = time.perf_counter()
    for epoch in training.run(progress.on_batch):
        checkpoint.save(folder / CHECKPOINT, training, about)
        progress.on_epoch(epoch)
    check_finite(training.module, folder / CHECKPOINT)
    result = _result(job, training, accuracy(training.module, data.test), time.perf_counter() - started)
    written = about | {"classes": data.classes, "channels": data.input_shape[0]}
    checkpoint.write_tensors(folder / WEIGHTS, dict(training.module.state_dict()), written)
    _write(folder / RESULT, result)
    return result


def _not_typed(path: Path, error: InvalidInput) -> BitnasError:
    """What a checkpoint names is wrong, nothing that the user did."""
    fix = "bring back what the training began with, a plug-in by "
    return BitnasError(f"{path}: {error.parameter}: {error.problem}; {fix}", PLUGINS)


def _refuse_changes(loaded: "Loaded", now: dict[str, Any]) -> None:
    """A training goes on with what it began with."""
    before, job = loaded.about.get("about"), now["job"]
    if not isinstance(before, dict):
        raise BitnasError(f"{loaded.path}: it is no checkpoint; name the folder of a training")
    for parameter, name in (("data", "images_digest"), ("teacher", "teacher_digest")):
        if before.get(name) != now[name]:
            problem = f"'{job[parameter]}' is no longer what the training began with"
            raise BitnasError(f"{parameter}: {problem}; train again")


def halves_in(folder: Path) -> set[Path]:
    """Where a training that is killed leaves what it was writing."""
    from nas.training.checkpoint import aside

    return {aside(folder / name) for name in (CHECKPOINT, WEIGHTS, RESULT)}


def _training(job: TrainJob, data: "DataSet", progress: Progress) -> "Training":
    import torch

    import search_spaces
    from nas.training.loop import Training

    torch.manual_seed(job.seed)
    channels = data.input_shape[0]
    module = search_spaces.network(job.network, job.precision, data.classes, job.classifier, channels)
    _check_fit(module, data, job)
    teacher = None
    if job.teacher is not None:
        teacher, learnt = _teacher(Path(job.teacher), data)
        if learnt != job.data:
            progress.on_teacher(learnt, job.data)
    return Training(module, data, job.epochs, job.seed, job.recipe, teacher)


def _teacher(path: Path, data: "DataSet") -> "tuple[nn.Module, str]":
    """The network of a file of weights, and what it was trained on."""
    import torch

    from nas.training import checkpoint

    if not path.exists():
        raise InvalidInput("teacher", f"there is no '{path}'", "put the file back")
    loaded = checkpoint.read(path)
    teacher, problem = network_of(loaded), ""
    try:
        with torch.inference_mode():
            classes = teacher(torch.zeros(1, *data.input_shape)).shape[1]
            if classes != data.classes:
                problem = f"it knows {classes} classes, the data has {data.classes}"
    except RuntimeError:
        problem = "it does not take these images"
    if problem:
        raise InvalidInput("teacher", problem, "name one that was trained on such data")
    return teacher, job_of(loaded).data


def _check_fit(module: "nn.Module", data: "DataSet", job: TrainJob) -> None:
    """Refuse images that the network cannot take, before an epoch of them."""
    from search_spaces.networks import check_images

    try:
        check_images(module, job.network, job.precision, data.input_shape)
    except InvalidInput as error:
        if error.parameter == "precision":
            raise
        fix = (f"{error.fix}; ", Parameter("image_size"), " brings images to a size")
        raise InvalidInput("data", error.problem, fix) from error


def _result(job: TrainJob, training: "Training", test_accuracy: float, seconds: float) -> dict[str, Any]:
    import torch

    import search_spaces
    from nas.training.baseline import Baselines

    size = search_spaces.size(training.module)
    last = training.history[-1]
    return {
        "job": job.to_dict(),
        "test_accuracy": test_accuracy,
        "test_images": len(training.data.test),
        "train_images": len(training.data.train),
        "validation_accuracy": last.accuracy,
        "baselines": None if last.accuracy is None else asdict(Baselines.of(training.data)),
        "weight_kb": size.weight_bytes / 1000,
        "size_kb": size.kilobytes,
        "epochs": [epoch.to_dict() for epoch in training.history],
        "seconds": sum(epoch.seconds for epoch in training.history),
        "last_run_seconds": seconds,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    from nas.training.checkpoint import write_bytes

    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())

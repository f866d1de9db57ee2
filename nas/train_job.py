"""``nas train`` without the terminal: a published network or an architecture, trained into a folder."""

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.data_set import PART
from nas.recipe import Recipe
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.checkpoint import Loaded
    from nas.data import DataSet
    from nas.training import Epoch, Training

DIGESTED_BYTES = 1 << 28
"""Of the pixels of a split: all of CIFAR's, in about a second."""

CHECKPOINT, WEIGHTS, RESULT = "checkpoint.safetensors", "weights.safetensors", "result.json"


@dataclass(frozen=True)
class TrainJob:
    """What is trained, on what, and how.

    Attributes:
        network: the name of a published one.
        precision: of its layers, or a plan of them.
        classifier: the precision of the last layer, if another is wanted.
        data: what ``--data`` names.
        image_size: that images are brought to, if they are.
        epochs: how many.
        seed: of the weights and the batches.
        validation: the share of the training images that is held back and judged by after each epoch.
        recipe: everything else.
        start: weights of another training of the network, perhaps in another precision, to start from.
        teacher: weights of a network to learn from as well.
    """

    network: str
    data: str
    epochs: int
    precision: str = "float"
    classifier: str | None = None
    image_size: int | None = None
    seed: int = 0
    validation: float = 0.1
    recipe: Recipe = field(default_factory=Recipe)
    start: str | None = None
    teacher: str | None = None

    def __post_init__(self) -> None:
        for option, value, low, high in (
            ("--epochs", self.epochs, 1, 100_000),
            ("--seed", self.seed, 0, 2**32 - 1),
        ):
            if not low <= value <= high:
                raise InvalidInput(
                    option, f"{value} is out of range", f"give a whole number in {low}..{high}"
                )
        if not 0 <= self.validation <= 0.9:
            raise InvalidInput("--validation", f"{self.validation:g} is out of range", "give 0 to 0.9")

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "TrainJob":
        """What ``to_dict`` gave."""
        return cls(**{**fields, "recipe": Recipe.from_dict(fields["recipe"])})


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
    from nas import checkpoint
    from nas.data.batches import batch_count
    from nas.training import accuracy

    data = data_of(job, progress.on_data)
    training = _training(job, data, progress)
    about = {
        "job": job.to_dict(),
        "images_digest": images_digest(data),
        "teacher_digest": teacher_digest(job),
    }
    if loaded is not None:
        _refuse_changes(loaded.about["about"], about)
        checkpoint.resume(training, loaded)
    elif job.start is not None:
        progress.on_transfer(transfer(training.module, Path(job.start), job.network))
    folder.mkdir(parents=True, exist_ok=True)
    progress.on_start(len(training.history) + 1, batch_count(len(data.train), job.recipe.batch_size))
    started = time.perf_counter()
    for epoch in training.run(progress.on_batch):
        checkpoint.save(folder / CHECKPOINT, training, about)
        progress.on_epoch(epoch)
    result = _result(job, training, accuracy(training.module, data.test), time.perf_counter() - started)
    written = about | {"classes": data.classes, "channels": data.input_shape[0]}
    checkpoint.write_tensors(folder / WEIGHTS, dict(training.module.state_dict()), written)
    _write(folder / RESULT, result)
    return result


def _refuse_changes(before: dict[str, Any], now: dict[str, Any]) -> None:
    """A training goes on with what it began with."""
    job = now["job"]
    for parameter, name in (("data", "images_digest"), ("teacher", "teacher_digest")):
        if before.get(name) != now[name]:
            problem = f"'{job[parameter]}' is no longer what the training began with"
            raise BitnasError(f"{parameter}: {problem}; train anew")


def teacher_digest(job: TrainJob) -> str | None:
    """The sha256 of the file of a job's teacher, if it has one."""
    if job.teacher is None:
        return None
    with Path(job.teacher).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def halves_in(folder: Path) -> set[Path]:
    """Where a training that is killed leaves what it was writing."""
    from nas.checkpoint import aside

    return {aside(folder / name) for name in (CHECKPOINT, WEIGHTS, RESULT)}


def job_of(loaded: "Loaded") -> TrainJob:
    """The job of a checkpoint or of weights.

    Raises:
        BitnasError: it does not say.
    """
    fields = loaded.about.get("about", loaded.about).get("job")
    try:
        return TrainJob.from_dict(fields)
    except (TypeError, KeyError, AttributeError) as error:
        raise BitnasError(f"{loaded.path}: it does not say what was trained; train anew") from error


def transfer(module: "nn.Module", path: Path, network: str) -> list[str]:
    """Take over all tensors that fit by name and shape; gives the names of those that stay as they are.

    A layer that codes its weights as before keeps its scales, one that codes its input so keeps its range. A
    layer of another code starts at the real weights, with fitting scales.

    Raises:
        BitnasError: not one of the layers' weights fits.
        InvalidInput: they are of another network.
    """
    from nas import checkpoint
    from search_spaces.layers import QuantConv2d, QuantLinear

    loaded = checkpoint.read(path)
    if job_of(loaded).network != network:
        problem = f"'{path}' holds weights of {job_of(loaded).network}, not of {network}"
        raise InvalidInput("--from", problem, "name weights of the same network")
    given = {name.removeprefix("module."): t for name, t in loaded.tensors.items()}
    own = module.state_dict()
    fitting = {n: t for n, t in given.items() if n in own and own[n].shape == t.shape}
    if not any(name.endswith("weight") and t.ndim > 1 for name, t in fitting.items()):
        raise BitnasError(f"{path}: none of its tensors fits this network; name weights of the same one")
    recoded, stale = _changes(_codes_of_job(job_of(loaded)), _codes(module))
    fitting = {name: t for name, t in fitting.items() if name not in stale}
    real = {n: _real_weight(n, given) for n in recoded if f"{n}.weight" in fitting}
    module.load_state_dict(fitting | {f"{n}.weight": t for n, t in real.items()}, strict=False)
    for name, weight in real.items():
        layer = module.get_submodule(name)
        if isinstance(layer, QuantConv2d | QuantLinear):
            layer.start_from(weight)
    return sorted(set(own) - set(fitting))


@dataclass(frozen=True)
class _Codes:
    """What a layer's learned numbers are about.

    Attributes:
        weight: the code of the weights and the rule of their scales.
        activation: the code of the input, and whether its range is fixed; empty where it is taken as it is.
    """

    weight: tuple[str, str]
    activation: tuple[str, bool] | tuple[()]


_FLOAT = _Codes(("float", "learned"), ())


def _changes(was: dict[str, _Codes], now: dict[str, _Codes]) -> tuple[list[str], set[str]]:
    """Layers whose weights have another code, and the tensors of scales and ranges that were another's."""
    recoded = [name for name, codes in now.items() if was.get(name, _FLOAT).weight != codes.weight]
    reranged = [name for name, codes in now.items() if was.get(name, _FLOAT).activation != codes.activation]
    stale = {f"{name}.{part}" for name in recoded for part in ("positive", "negative", "scale")}
    stale |= {f"{name}.activation.{part}" for name in reranged for part in ("scale", "lowest", "batches")}
    return recoded, stale


def _codes(module: "nn.Module") -> dict[str, _Codes]:
    """Of every layer by name; torch's own are in float, where other plans may have one of ours."""
    from torch import nn

    from search_spaces.layers import QuantConv2d, QuantLinear

    found = {}
    for name, layer in module.named_modules():
        if isinstance(layer, QuantConv2d | QuantLinear):
            weight = layer.precision.weight, layer.precision.scale
            found[name] = _Codes(weight, (layer.activation.code, layer.activation.is_fixed))
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            found[name] = _FLOAT
    return found


def _codes_of_job(job: TrainJob) -> dict[str, _Codes]:
    import torch

    import search_spaces

    with torch.device("meta"):
        return _codes(search_spaces.network(job.network, job.precision, None, job.classifier))


def _real_weight(name: str, given: "dict[str, Tensor]") -> "Tensor":
    """What a layer's latent weights stand for: those with learned scales start small, and stay so."""
    from search_spaces.layers import LATENT_START

    learns = f"{name}.positive" in given or f"{name}.scale" in given
    return given[f"{name}.weight"] / LATENT_START if learns else given[f"{name}.weight"]


def load_network(path: Path) -> "nn.Module":
    """The network of a file of weights, with them, in eval mode.

    Raises:
        BitnasError: the file is missing, damaged, or a checkpoint.
    """
    from nas import checkpoint

    return network_of(checkpoint.read(path))


def network_of(loaded: "Loaded") -> "nn.Module":
    """The network of weights that were read, with them, in eval mode.

    Raises:
        BitnasError: they are a checkpoint's, or of something else.
    """
    import search_spaces

    path, job, classes = loaded.path, job_of(loaded), loaded.about.get("classes")
    if not isinstance(classes, int):
        raise BitnasError(f"{path}: it is a checkpoint; name the {WEIGHTS} of a training that is done")
    channels = loaded.about.get("channels")
    try:
        module = search_spaces.network(job.network, job.precision, classes, job.classifier, channels)
    except InvalidInput as error:
        given = f"'{job.network}' in '{job.precision}'"
        raise BitnasError(
            f"{path}: it is {given}, and {error.problem}; if a plug-in brings it, give nas --plugin FILE"
        ) from error
    try:
        module.load_state_dict(loaded.tensors)
    except RuntimeError as error:
        raise BitnasError(f"{path}: it does not hold a '{job.network}'; train anew") from error
    return module.eval()


def data_of(job: TrainJob, on_data: Callable[[int, int], None] = lambda done, of: None) -> "DataSet":
    """What a job trains on and is judged by; ``on_data`` is told of decoding, images done and in all.

    Raises:
        InvalidInput: it cannot be read.
    """
    from nas.data import load

    data = load(job.data, job.image_size, on_data)
    return replace(data, validation_share=job.validation)


def _training(job: TrainJob, data: "DataSet", progress: Progress) -> "Training":
    import torch

    import search_spaces
    from nas.training import Training

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


def images_digest(data: "DataSet") -> str:
    """The sha256 of labels, scaling and images of all splits; of many images, of some evenly spaced ones."""
    digest = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        digest.update(split.labels.tobytes() + repr((split.scaling, split.pixels.shape)).encode())
        most = max(1, DIGESTED_BYTES // math.prod(split.pixels.shape[1:]))
        chosen = np.arange(0, len(split), max(1, -(-len(split) // most)))
        for start in range(0, len(chosen), PART):
            digest.update(split.take(chosen[start : start + PART]).tobytes())
    return digest.hexdigest()


def _teacher(path: Path, data: "DataSet") -> "tuple[nn.Module, str]":
    """The network of a file of weights, and what it was trained on."""
    import torch

    from nas import checkpoint

    if not path.exists():
        raise InvalidInput("--teacher", f"there is no '{path}'", "put the file back, or name another")
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
        raise InvalidInput("--teacher", problem, "name one that was trained on such data")
    return teacher, job_of(loaded).data


def _check_fit(module: "nn.Module", data: "DataSet", job: TrainJob) -> None:
    """Refuse images that the network cannot take, before an epoch of them."""
    import torch

    from search_spaces.plan import SCALE_CASES

    channels, height, width = data.input_shape
    rows, columns = _usual(job.network)[1:]
    if job.precision in SCALE_CASES and (height, width) != (rows, columns):
        problem = f"the scales of '{job.precision}' are for images of {columns}x{rows}, not {width}x{height}"
        raise InvalidInput("--precision", problem, "choose binary, or images of that size")
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros(1, *data.input_shape))
    except RuntimeError as error:
        problem = f"'{job.network}' does not take {width}x{height} images of {channels} channels"
        shape = _usual(job.network)
        fix = f"it is made for {shape[2]}x{shape[1]}; --image-size brings images to a size"
        raise InvalidInput("--data", problem, fix) from error


def _usual(name: str) -> tuple[int, int, int]:
    from search_spaces.networks import networks

    return networks.get(name).input_shape


def _result(job: TrainJob, training: "Training", test_accuracy: float, seconds: float) -> dict[str, Any]:
    import torch

    import search_spaces

    size = search_spaces.size(training.module)
    last = training.history[-1]
    return {
        "job": job.to_dict(),
        "test_accuracy": test_accuracy,
        "test_images": len(training.data.test),
        "train_images": len(training.data.train),
        "validation_accuracy": last.accuracy,
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
    from nas.checkpoint import aside

    half = aside(path)
    half.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    half.replace(path)

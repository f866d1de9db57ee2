"""The three stages one after the other, each judged, and the folder that they end in."""

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.compression.source import Source
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from nas.compression.pruning import Masks
    from runtime.formats.bnz import Reals

REPORT = "compression.json"
RATE_SHARE = 10
"""A trained network goes on at a tenth of the rate: the full one would first undo what it has learned."""
MOST_CLUSTER_BITS = 8

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is done to a network.

    Attributes:
        sparsity: the share of prunable weights that become zero; None: none are pruned.
        steps: of pruning, each followed by training.
        cluster: bits that tell a layer's shared weights apart; None: none are shared.
        epochs: of training after each step of pruning, and of the shared weights.
        rate: the highest learning rate of these; None: a tenth of what the network was trained with.
        seed: of the batches.
        coding: of the file, in the registry ``coders``.
        float16_scales: whether scales, biases and norms are stored in 16 bits where no test image changes
            its class by it.
    """

    sparsity: float | None = None
    steps: int = 3
    cluster: int | None = None
    epochs: int = 3
    rate: float | None = None
    seed: int = 0
    coding: str = "range"
    float16_scales: bool = False

    def __post_init__(self) -> None:
        if self.sparsity is not None and not 0 < self.sparsity < 1:
            raise InvalidInput("sparsity", f"{self.sparsity:g} is out of range", "give a share, such as 0.9")
        for name, value, low, high in (
            ("steps", self.steps, 1, 100),
            ("cluster", self.cluster or 1, 1, MOST_CLUSTER_BITS),
            ("epochs", self.epochs, 0, 100_000),
            ("seed", self.seed, 0, 2**32 - 1),
        ):
            if not low <= value <= high:
                raise InvalidInput(name, f"{value} is out of range", f"give a whole number in {low}..{high}")
        if self.rate is not None and not 1e-9 <= self.rate <= 1e3:
            raise InvalidInput("rate", f"{self.rate:g} is out of range", "give 1e-09 to 1000")


@dataclass(frozen=True)
class Stage:
    """A network after a stage.

    Attributes:
        name: ``trained``, ``pruned``, ``shared`` or ``coded``.
        kept: the share of its weights that are not zero.
        bits_per_weight: that its weights take, zeros counted: of the last stage as they are in the file, of
            others as published before entropy coding.
        size_kb: of all that it stores, in kB of 1000 bytes; of the last stage the file's.
        validation_accuracy: 0..1; None where no images were held back.
        test_accuracy: 0..1.
    """

    name: str
    kept: float
    bits_per_weight: float
    size_kb: float
    validation_accuracy: float | None
    test_accuracy: float


@dataclass(frozen=True)
class Report:
    """How a network was compressed.

    Attributes:
        title: what it is.
        stages: one after the other.
        entropy_kb: what the codes of the weights take at least, each coded by its frequency.
        codes_kb: what they take in the file, with their tables.
        reals: the type of the file's scales, biases and norms.
        changed: test images whose class float16 would change; None where it was not asked for.
        settings: what was asked for.
        about: where the network is from.
    """

    title: str
    stages: list[Stage]
    entropy_kb: float
    codes_kb: float
    reals: str
    changed: int | None
    settings: Settings
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values, with date, machine and versions."""
        return asdict(self) | {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": platform.processor() or platform.machine(),
            "torch": version("torch"),
        }


def compress(source: Source, output: Path, settings: Settings, say: Say = lambda _: None) -> Report:
    """Compress a network and write its folder.

    Args:
        source: the network; its module is changed.
        output: the folder, new or empty.
        settings: what to do.
        say: is told what is being done.

    Raises:
        InvalidInput: the folder holds something, or no layer can be pruned, or share its weights.
        TrainingError: the loss is not finite.
    """
    from nas.compression.layers import prunable, shareable
    from nas.compression.pruning import Masks
    from nas.export.outputs import check_output
    from runtime.folders import new_folder
    from runtime.formats.bnz import NAME

    check_output("output", output)
    module = source.module
    if settings.sparsity is not None and not prunable(module):
        problem = "no layer has weights that can be zero: all are signs or odd numbers"
        raise InvalidInput("sparsity", problem, "leave it out")
    if settings.cluster is not None and not shareable(module):
        problem = "no layer has real weights: all have codes of few bits, which they share as it is"
        raise InvalidInput("cluster", problem, "leave it out")
    say(f"{source.title}: judging")
    stages = [_stage("trained", source)]
    masks = Masks(module)
    if settings.sparsity is not None:
        _prune(source, masks, settings.sparsity, settings, say)
        stages.append(_stage("pruned", source))
    if settings.cluster is not None:
        _share(source, masks, settings.cluster, settings, say)
        stages.append(_stage("shared", source))
    say("coding")
    data, reals, changed = _coded(source, settings)
    last, entropy_kb, codes_kb = _judged_file(source, data)
    report = Report(
        source.title, [*stages, last], entropy_kb, codes_kb, reals, changed, settings, source.about
    )
    with new_folder(output) as folder:
        (folder / NAME).write_bytes(data)
        text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
        (folder / REPORT).write_text(text + "\n", encoding="utf-8")
    return report


def _prune(source: Source, masks: "Masks", sparsity: float, settings: Settings, say: Say) -> None:
    from nas.compression.pruning import steps_to

    for step, share in enumerate(steps_to(sparsity, settings.steps), 1):
        say(f"pruning, step {step} of {settings.steps}: {share:.1%} of the weights")
        masks.prune(share)
        _train(source, settings, step, masks.held)
    masks.apply()  # an average of weights, where one is kept, is of masked ones, but for what loading rounds


def _share(source: Source, masks: "Masks", bits: int, settings: Settings, say: Say) -> None:
    """Share weights and train them; where that made the validation split's accuracy less, it is undone.

    What was pruned stays so in layers that share nothing, too.
    """
    from nas.compression.layers import shareable
    from nas.compression.sharing import shared

    say(f"sharing weights: {1 << bits} for each layer")
    with shared(shareable(source.module), bits):
        before = {name: tensor.clone() for name, tensor in source.module.state_dict().items()}
        was = _validation(source)
        held = _nothing if settings.sparsity is None else masks.held
        _train(source, settings, settings.steps + 1, held)
        now = _validation(source)
        if was is not None and now is not None and now < was:
            source.module.load_state_dict(before)


@contextmanager
def _nothing(_optimizer: "Optimizer") -> Iterator[None]:
    yield


def _train(source: Source, settings: Settings, part: int, held: Any = _nothing) -> None:
    from nas.seeds import derive
    from nas.training.loop import Training

    if settings.epochs == 0:
        return
    rate = settings.rate if settings.rate is not None else source.recipe.peak_rate / RATE_SHARE
    recipe = replace(source.recipe, peak_rate=rate, rungs=())
    seed = derive(settings.seed, part)
    training = Training(source.module, source.data, settings.epochs, seed, recipe)
    with held(training.optimizer):
        for _ in training.run():
            pass
    source.module.cpu()


def _validation(source: Source) -> float | None:
    from nas.training.loop import accuracy

    split = source.data.validation
    return accuracy(source.module, split) if len(split) else None


def _stage(name: str, source: Source) -> Stage:
    from nas.compression.sizes import stored
    from nas.training.loop import accuracy

    found = stored(source.module, source.architecture)
    return Stage(
        name,
        kept=1 - found.zeros / found.weights,
        bits_per_weight=found.weight_bits / found.weights,
        size_kb=(found.weight_bits + found.other_bits) / 8000,
        validation_accuracy=_validation(source),
        test_accuracy=accuracy(source.module, source.data.test),
    )


def _coded(source: Source, settings: Settings) -> "tuple[bytes, Reals, int | None]":
    """The file, the type of its real numbers, and how many test images float16 would change."""
    from nas.training.loop import predict
    from runtime.formats.bnz import from_bytes, to_bytes

    def coded(reals: "Reals") -> bytes:
        return to_bytes(
            source.module, source.architecture, coding=settings.coding, reals=reals, about=source.about
        )

    whole = coded("float32")
    if not settings.float16_scales:
        return whole, "float32", None
    half, test = coded("float16"), source.data.test
    changed = int((predict(from_bytes(half).module, test) != predict(from_bytes(whole).module, test)).sum())
    return (whole, "float32", changed) if changed else (half, "float16", 0)


def _judged_file(source: Source, data: bytes) -> tuple[Stage, float, float]:
    """The last stage: the network as the file gives it back; and its codes' entropy and size, in kB."""
    from nas.compression.sizes import stored
    from runtime.formats.bnz import codes_bytes, from_bytes

    module: nn.Module = from_bytes(data).module
    found = stored(module, source.architecture)
    codes = codes_bytes(data)
    own = _stage("coded", replace(source, module=module))
    bits = 8 * codes + found.kept_bits
    last = replace(own, bits_per_weight=bits / found.weights, size_kb=len(data) / 1000)
    return last, found.codes_entropy_bits / 8000, codes / 1000

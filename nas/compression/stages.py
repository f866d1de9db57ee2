"""The three stages one after the other, each judged, and the folder that they end in."""

import json
import os
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.compression.settings import Settings
from nas.compression.source import Source
from nas.compression.trainings import Say, Trainings, halves_in, nothing_held
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from torch import nn

    from runtime.formats.bnz import Reals

REPORT = "compression.json"


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
        output: the folder, new or empty, or what an interrupted compression of this network has left.
        settings: what to do.
        say: is told what is being done.

    Raises:
        InvalidInput: the folder holds something else, or was begun with other settings, or no layer can be
            pruned, or share its weights.
        TrainingError: the loss is not finite.
        BitnasError: what is in the folder is damaged, or of another network.
    """
    import torch

    from nas.compression.layers import prunable, shareable
    from nas.compression.pruning import Masks
    from nas.export.outputs import check_output
    from nas.training.checkpoint import write_bytes
    from runtime.formats.bnz import NAME

    check_output("output", output, halves_in(output, REPORT, NAME))
    module = source.module
    torch.set_num_threads(source.recipe.threads or os.cpu_count() or 1)  # as in trainings: sums depend on it
    if settings.sparsity is not None and not prunable(module):
        problem = "no layer has weights that can be zero: all are signs or odd numbers"
        raise InvalidInput("sparsity", problem, "leave it out")
    if settings.cluster is not None and not shareable(module):
        problem = "no layer has real weights: all have codes of few bits, which they share as it is"
        raise InvalidInput("cluster", problem, "leave it out")
    trainings = Trainings(source, Masks(module), settings, output, say)
    say(f"{source.title}: judging")
    stages = [_stage("trained", source)]
    trainings.go_back()
    if settings.sparsity is not None:
        _prune(trainings, settings.sparsity, say)
        stages.append(_stage("pruned", source))
    if settings.cluster is not None:
        _share(trainings, settings.cluster, say)
        stages.append(_stage("shared", source))
    say("coding")
    data, reals, changed = _coded(source, settings)
    last, entropy_kb, codes_kb = _judged_file(source, data)
    report = Report(
        source.title, [*stages, last], entropy_kb, codes_kb, reals, changed, settings, source.about
    )
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
    write_bytes(output / REPORT, f"{text}\n".encode())
    write_bytes(output / NAME, data)
    trainings.end()
    return report


def _prune(trainings: Trainings, sparsity: float, say: Say) -> None:
    from nas.compression.pruning import steps_to

    masks, steps = trainings.masks, trainings.settings.steps
    for step, share in enumerate(steps_to(sparsity, steps), 1):
        if trainings.is_done(step):
            continue
        say(f"pruning, step {step} of {steps}: {share:.1%} of the weights")
        trainings.begin()
        masks.prune(share)
        trainings.run(step, masks.held)
    masks.apply()  # an average of weights, where one is kept, is of masked ones, but for what loading rounds


def _share(trainings: Trainings, bits: int, say: Say) -> None:
    """Share weights and train them; where that made the validation split's accuracy less, it is undone.

    What was pruned stays so in layers that share nothing, too.
    """
    from nas.compression.layers import shareable
    from nas.compression.sharing import shared

    source, settings = trainings.source, trainings.settings
    say(f"sharing weights: {1 << bits} for each layer")
    trainings.begin()
    with shared(shareable(source.module), bits):
        before = {name: tensor.clone() for name, tensor in source.module.state_dict().items()}
        was = _validation(source)
        held = nothing_held if settings.sparsity is None else trainings.masks.held
        trainings.run(settings.steps + 1, held)
        now = _validation(source)
        if was is not None and now is not None and now < was:
            source.module.load_state_dict(before)


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

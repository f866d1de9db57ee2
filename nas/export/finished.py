"""What ends every export: compiled code is compared with torch's classes, described on a card and written."""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.export.card import CARD, CARD_TEXT, Card, artifact_kilobytes
from search_spaces.errors import DisagreementError, InvalidInput, Parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from latency import Device, LatencyModel, Measurement
    from nas.data import DataSet, Split
    from runtime import CompiledNetwork

EXPECTED = "expected.safetensors"

LEAST_AGREEMENT, TRIES = 0.99, 3
"""The share of images that must have torch's class: a float that is summed in another order may fall to the
next code, so that of two classes that are as good as equal now and then the other one wins. Where that is not
so, as many more may differ as torch itself puts elsewhere with other rounding errors, in the worst of so many
tries."""


@dataclass(frozen=True)
class Finished:
    """A trained network, compiled and timed.

    Attributes:
        module: the network in torch.
        network: its machine code.
        measurement: the time of one run on ``device``.
        device: where it was measured.
        data: what it was trained on.
        predicted_ms: what its kernels take one by one, in milliseconds.
        validation_accuracy: torch's, 0..1; None where no images were held back.
    """

    module: "nn.Module"
    network: "CompiledNetwork"
    measurement: "Measurement"
    device: "Device"
    data: "DataSet"
    predicted_ms: float
    validation_accuracy: float | None


def finish(model: "LatencyModel", module: "nn.Module", data: "DataSet") -> Finished:
    """Compile a trained network for a model's device, time it there, and judge it by the validation split."""
    from nas.training.loop import accuracy

    network = model.compile(module, (1, *data.input_shape))
    return Finished(
        module,
        network,
        model.networks.measure([network])[0],
        model.device,
        data,
        model.predict_workloads(list(network.info.workloads)).milliseconds,
        accuracy(module, data.validation) if len(data.validation) else None,
    )


def write_artifact(finished: Finished, output: Path, identity: tuple[str, str], **origin: Any) -> Card:
    """Judge a network by the test images and write its folder.

    Args:
        finished: the network.
        output: the folder, new or empty.
        identity: name and text of the file that says what the network is.
        origin: the fields of the card that say where it comes from.

    Raises:
        DisagreementError: the compiled network does not compute what torch does.
        InvalidInput: the folder holds something.
        BitnasError: it cannot be written.
    """
    from safetensors.numpy import save

    from nas.training.loop import predict

    test = finished.data.test
    expected = predict(finished.module, test)
    classes = classes_of(finished.network, test)
    check_agreement(classes, expected, partial(_own_disagreement, finished.module, test, expected))
    card = _card(finished, classes, expected, origin)
    name, text = identity
    extra = {
        name: text.encode() + b"\n",
        EXPECTED: save({"classes": expected.astype(np.int64)}),
        CARD: card.to_json().encode(),
        CARD_TEXT: card.to_markdown().encode(),
    }
    finished.network.save(output, extra)
    return card


def check_output(parameter: str, output: Path, halves: Collection[Path] = ()) -> None:
    """Refuse a folder that holds something or cannot be written, before any work is done.

    Args:
        parameter: what users name it by.
        output: the folder.
        halves: files in it that do not count: what a kill left of them will be written over.

    Raises:
        InvalidInput: it does not serve; nothing is left there.
    """
    try:
        is_taken = os.path.lexists(output) and (not output.is_dir() or bool({*output.iterdir()} - {*halves}))
        if not is_taken:
            _make_aside(output)
    except OSError as error:
        problem = f"'{output}' cannot be written ({error.strerror})"
        raise InvalidInput(parameter, problem, "name another folder") from error
    if is_taken:
        raise InvalidInput(parameter, f"'{output}' is there already", "name a folder that is new or empty")


def check_outputs(output: Path, c_source: Path | None) -> None:
    """Refuse folders for a network and for its C form that do not serve, before any work is done.

    Raises:
        InvalidInput: one does not, or the first would lie in the second.
    """
    check_output("output", output)
    if c_source is None:
        return
    check_output("c_source", c_source)
    if c_source.resolve() in (output.resolve(), *output.resolve().parents):
        problem = (f"'{c_source}' would hold what ", Parameter("output"), " writes")
        raise InvalidInput("c_source", problem, "name a folder of its own")


def _make_aside(folder: Path) -> None:
    """Make what is missing of a folder under another name, as rights alone do not tell, and remove it."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    with tempfile.TemporaryDirectory(dir=there, prefix=".bitnas-") as aside:
        (Path(aside) / folder.relative_to(there)).mkdir(parents=True, exist_ok=True)


def classes_of(network: "CompiledNetwork", split: "Split") -> "NDArray[Any]":
    """The class (N,) that compiled code gives each image."""
    return np.concatenate([network.run(part).argmax(axis=1) for part in split.parts()])


def data_digest(split: "Split") -> str:
    """The sha256 of a split's images and labels."""
    return hashlib.sha256(split.take(np.arange(len(split))).tobytes() + split.labels.tobytes()).hexdigest()


def check_agreement(
    classes: "NDArray[Any]", expected: "NDArray[Any]", own: Callable[[], int] = lambda: 0
) -> None:
    """Refuse a network that puts more than a few images into other classes than torch does.

    Args:
        classes: those of the compiled network, (N,).
        expected: torch's, (N,).
        own: in how many torch differs from itself; asked only where that matters.

    Raises:
        DisagreementError: it does.
    """
    differing, few = np.flatnonzero(classes != expected), (1 - LEAST_AGREEMENT) * len(expected)
    if len(differing) <= few:
        return
    chaos = own()
    if len(differing) > few + chaos:
        raise DisagreementError(
            f"network: {len(differing)} of {len(expected)} images are classed otherwise than by torch, which "
            f"with other rounding errors classes {chaos} otherwise than itself; the first is image "
            f"{differing[0]}; report this with the network's precisions"
        )


def _own_disagreement(module: "nn.Module", split: "Split", expected: "NDArray[Any]") -> int:
    """How many images torch puts into other classes when its sums are rounded otherwise, at most."""
    import torch

    from nas.export.rounding import rounded_otherwise
    from nas.training.loop import predict

    with rounded_otherwise(module, torch.Generator().manual_seed(0)):
        return max(int((predict(module, split) != expected).sum()) for _ in range(TRIES))


def _card(
    finished: Finished, classes: "NDArray[Any]", expected: "NDArray[Any]", origin: dict[str, Any]
) -> Card:
    import search_spaces
    from search_spaces.sizing import layers

    data, network, device = finished.data, finished.network, finished.device
    return Card(
        **origin,
        data_digest=data_digest(data.test),
        input_shape=list(data.input_shape),
        largest=data.largest,
        mean=list(data.test.scaling.mean),
        deviation=list(data.test.scaling.deviation),
        class_names=list(data.class_names),
        validation_accuracy=finished.validation_accuracy,
        test_accuracy=float((classes == data.test.labels).mean()),
        test_images=len(data.test),
        same_class=int((classes == expected).sum()),
        size_kb=search_spaces.size(finished.module).kilobytes,
        memory_kb=network.info.workspace_bytes / 1000,
        macs=sum(layer.macs for layer in layers(finished.module, network.info.input_shape[1:])),
        artifact_kb=artifact_kilobytes(network),
        predicted_ms=finished.predicted_ms,
        measured_ms=finished.measurement.milliseconds,
        measured_iqr_ms=finished.measurement.iqr_ms,
        measured_at=finished.measurement.date,
        measured_drift=finished.measurement.conditions.drift,
        measured_low_ms=finished.measurement.interval[0],
        measured_high_ms=finished.measurement.interval[1],
        measured_reference_ms=finished.measurement.conditions.usual_ms,
        measured_disturbed=finished.measurement.disturbed,
        batch=network.info.input_shape[0],
        device={"name": device.name, "record": asdict(device.record), **device.describe()},
        precisions=dict(sorted(precision_counts(finished.module).items())),
    )


def precision_counts(module: "nn.Module") -> Counter[str]:
    """How many layers of a network have each precision."""
    from search_spaces.layers import QuantConv2d, QuantLinear

    return Counter(m.precision.name for m in module.modules() if isinstance(m, QuantConv2d | QuantLinear))

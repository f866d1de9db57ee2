"""A trained network, compiled and timed: what every export starts from."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from latency import Device, LatencyModel, Measurement
    from nas.data import DataSet, Split
    from runtime import CompiledNetwork


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


def data_digest(split: "Split") -> str:
    """The sha256 of a split's images and labels."""
    return hashlib.sha256(split.take(np.arange(len(split))).tobytes() + split.labels.tobytes()).hexdigest()

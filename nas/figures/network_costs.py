"""What a network costs layer by layer, as plain data: its kernels' times, its layers' bytes, its memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nas.figures.labels import workload_label

if TYPE_CHECKING:
    from nas.ledger import TrialRecord

MEASURED, ESTIMATED = "measured", "estimated"
SAME = 1e-9
"""Times that differ by less, as a share, are one."""


class Step(NamedTuple):
    """One kernel of a network, in the order in which they run."""

    part: str  # "stem", "block 1", "head"; "blocks.3" of a published network
    layer: str  # "block 1 depthwise"
    workload: str  # its key


class LayerBytes(NamedTuple):
    """What one layer stores."""

    part: str
    layer: str
    codes: tuple[str, ...]  # of its weights
    weights: float  # bytes
    others: float  # bytes: scales, biases, batch norms


class Held(NamedTuple):
    """Memory that the compiled network holds for a while."""

    layer: str  # that writes it
    buffer: str  # what its kernel calls it
    is_scratch: bool  # of use within one kernel alone
    nbytes: int  # as they are aligned
    offset: int  # in the workspace, bytes
    first: int  # the step that writes it, from 0
    last: int  # the last that reads it


class NetworkCosts(NamedTuple):
    """All that can be told of a network without running it."""

    steps: tuple[Step, ...]
    layers: tuple[LayerBytes, ...]
    held: tuple[Held, ...]
    workspace: int  # bytes; what the objective ``memory`` counts

    @property
    def size_kb(self) -> float:
        """What all layers store, in kB of 1000 bytes."""
        return sum(layer.weights + layer.others for layer in self.layers) / 1000


class KernelTime(NamedTuple):
    """One kernel of a trial's network and the time that it takes alone."""

    part: str  # empty where it is not known
    layer: str
    workload: str
    milliseconds: float
    how: str  # MEASURED or ESTIMATED

    @property
    def kernel(self) -> str:
        """The kernel in short."""
        return workload_label(self.workload)


class WholeTime(NamedTuple):
    """A time of the whole network."""

    name: str
    milliseconds: float
    low: float | None
    high: float | None
    about: str


def kernel_times(trial: "TrialRecord", steps: Sequence[Step]) -> list[KernelTime]:
    """The times that the prediction of a trial is made of, in order.

    ``steps`` are its network's, and tell the layers. Where they are not the kernels of the record, which
    another version made, no layer is named.
    """
    times = trial.latency_by_workload or []
    is_same = [step.workload for step in steps] == [key for key, _ in times]
    of = steps if is_same else [Step("", "", str(key)) for key, _ in times]
    estimated = set(trial.estimated)
    return [
        KernelTime(step.part, step.layer, str(key), float(ms), ESTIMATED if key in estimated else MEASURED)
        for step, (key, ms) in zip(of, times, strict=True)
    ]


def whole_times(trial: "TrialRecord") -> list[WholeTime]:
    """What is known of the whole network's time: the kernels' sum, the prediction, the measurement."""
    kernels = sum(float(ms) for _, ms in trial.latency_by_workload or [])
    predicted, measured = trial.latency_ms, trial.measured_latency_ms
    found = []
    is_sum = predicted is not None and abs(kernels - predicted) <= SAME * predicted
    if kernels and not is_sum:
        found.append(WholeTime("Sum of the kernels", kernels, None, None, "before the device's correction"))
    if predicted is not None:
        about = "the sum of the kernels" if is_sum else "corrected for the device"
        ends = trial.latency_low_ms, trial.latency_high_ms
        found.append(WholeTime("Predicted", predicted, *ends, about))
    if measured is not None:
        disturbed = trial.measured_disturbed
        about = f"machine disturbed: {disturbed}" if disturbed else "the compiled network, run whole"
        found.append(WholeTime("Measured", measured, trial.measured_low_ms, trial.measured_high_ms, about))
    return found

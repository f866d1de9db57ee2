"""``python -m benchmarks.torchvision``: torchvision's networks, compiled, beside torch and onnxruntime."""

import io
import sys
import warnings
from dataclasses import dataclass

import click
import numpy as np
import torch
from torch import nn

import runtime
from benchmarks import ours, rivals, zoo
from benchmarks.command import Command
from benchmarks.engines.onnx_form import OPSET
from benchmarks.race import Effort, race

TOLERANCE = 1e-4
"""Of the largest output: how far each may be from torch's, which sums thousands of terms in another order."""

COLUMNS = ("network", "kernels", "largest error", "ours, ms", "onnxruntime, ms", "ratio")


@dataclass(frozen=True)
class Row:
    """A network: how many kernels it has, its error relative to its largest output, milliseconds a run."""

    name: str
    kernels: int
    error: float
    ours_ms: float
    onnxruntime_ms: float

    def __str__(self) -> str:
        ratio = self.onnxruntime_ms / self.ours_ms
        times = f"{self.ours_ms:.2f} | {self.onnxruntime_ms:.2f} | {ratio:.2f}"
        return f"| {self.name} | {self.kernels} | {self.error:.1e} | {times} |"


def onnx_bytes(module: nn.Module, image: torch.Tensor) -> bytes:
    """A network in ONNX, as torch writes it."""
    found = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has a newer way, which needs another package
        torch.onnx.export(module, (image,), found, dynamo=False, input_names=["x"], opset_version=OPSET)
    return found.getvalue()


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the largest number that is expected."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def measured(name: str, side: int, effort: Effort, tuned: bool) -> Row:
    """Compile and time a network on one thread, in turns with onnxruntime."""
    import onnx

    module = zoo.network(name, side)
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module(image).numpy()
    shape = (1, 3, side, side)
    compiled = ours.compiled(module, shape) if tuned else runtime.compile(module, shape)
    error = relative_error(compiled.run(image.numpy()), expected)
    model = onnx.load_from_string(onnx_bytes(module, image))
    rivals.same(f"onnxruntime's {name}", rivals.session(model).run(None, {"x": image.numpy()})[0], expected)
    contenders = {
        "ours": ours.network(compiled, image.numpy()),
        "onnxruntime": rivals.bound(model, image.numpy()),
    }
    times = race(contenders, effort)
    return Row(name, len(compiled.info.workloads), error, times["ours"], times["onnxruntime"])


LEAST_SIDE = 64
"""Pixels that each of the networks leaves something of."""


@click.command(cls=Command)
@click.option("--only", multiple=True, type=click.Choice(zoo.MODELS), help="A network; may be given again.")
@click.option(
    "--side",
    type=click.IntRange(LEAST_SIDE),
    default=224,
    show_default=True,
    help="Of the images, in pixels.",
)
@click.option("--quick", is_flag=True, help="A single short round: checks results, its times mean little.")
@click.option("--tuned", is_flag=True, help="Measure the schedules of each kernel first; minutes a network.")
def main(only: tuple[str, ...], side: int, quick: bool, tuned: bool) -> None:
    """A table of errors and times, one image at a time on one thread; exit code 1 where one is wrong."""
    effort = Effort(rounds=1, sample_ms=0.5) if quick else Effort()
    print(f"| {' | '.join(COLUMNS)} |\n| --- |{' --: |' * (len(COLUMNS) - 1)}", flush=True)
    wrong = []
    for name in only or zoo.MODELS:
        row = measured(name, side, effort, tuned)
        print(row, flush=True)
        wrong += [] if row.error <= TOLERANCE else [name]
    if wrong:
        print(f"Over {TOLERANCE} from torch: {', '.join(wrong)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

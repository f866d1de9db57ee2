"""Whether a compiled network computes what torch does, image by image."""

import copy
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

import runtime
from benchmarks.proof.cortex_m4 import CORTEX_M4, DiffersFromHereError, Floats, proven
from benchmarks.proof.drawn import Drawn, drawn
from benchmarks.proof.emulated import EMULATORS, emulated
from benchmarks.proof.onnx_form import ONNX, by_onnxruntime
from nas.export.rounding import rounded_otherwise

if TYPE_CHECKING:
    from torch import nn

Images = NDArray[np.float32]
CLOSE = 1e-4
"""How far an output may be from torch's, as a share of the image's greatest one or of 1."""
IMAGES, IMAGES_EMULATED = 6, 3
"""Of each network, at least."""
TIMES_TORCH = 3
"""How far a float network may be from torch, at most, in times of how far torch is from float64."""
TRIES = 24
"""How often torch computes images with other rounding errors, to see which have an edge to fall from."""


@dataclass(frozen=True)
class Outcome:
    """What a network came to on a target.

    Attributes:
        number: of the network.
        target: what it was compiled for.
        told: what the network is.
        worst: the greatest error of those images that agree.
        images: how many there were.
        flipped: how many differ as torch itself does with other rounding errors.
        coarse: how many agree only because torch's own float32 is as far from its float64.
        failure: what is wrong; empty if nothing is.
    """

    number: int
    target: str
    told: str
    worst: float = 0.0
    images: int = 0
    flipped: int = 0
    coarse: int = 0
    failure: str = ""


def judged(number: int, targets: Iterable[str]) -> Iterator[Outcome]:
    """Draw a network, then compile or write it for each target, run it and compare it with torch."""
    network = drawn(number)
    for target in targets:
        least = IMAGES_EMULATED if target in (*EMULATORS, *CORTEX_M4) else IMAGES
        batch = network.shape[0]
        generator = torch.Generator().manual_seed(number)
        images = torch.randn(-(-least // batch) * batch, *network.shape[1:], generator=generator)
        try:
            found = _outputs(network, images, target)
        except (DiffersFromHereError, subprocess.SubprocessError) as error:
            yield Outcome(number, target, network.told, failure=" ".join(str(error).split()))
        else:
            yield Outcome(number, target, network.told, **compared(network, images, found))


def compared(network: Drawn, images: torch.Tensor, found: Images) -> dict[str, Any]:
    """What an outcome says of the images: all that is in it from ``worst`` on."""
    with torch.no_grad():
        expected = network.module(images).numpy()
    if found.shape != expected.shape:
        return {"failure": f"shape {found.shape} beside torch's {expected.shape}"}
    errors = image_errors(found, expected)
    wrong = ~(errors <= CLOSE)  # a NaN is wrong, too
    flipped, coarse = wrong & False, wrong & False
    if network.steps and wrong.any():
        flipped = wrong & edges(network.module, images, expected)
    elif wrong.any():
        coarse = wrong & (errors <= TIMES_TORCH * own_errors(network.module, images, expected))
    failed = wrong & ~flipped & ~coarse
    told = f"{failed.sum()} of {len(images)} images differ by up to {errors[failed].max(initial=0):.2g}"
    return {
        "worst": float(errors[~wrong].max(initial=0)),
        "images": len(images),
        "flipped": int(flipped.sum()),
        "coarse": int(coarse.sum()),
        "failure": told if failed.any() else "",
    }


def image_errors(found: Images, expected: Images) -> NDArray[np.float64]:
    """The greatest error of each image, as a share of its greatest output or of 1: (N,)."""
    rows = expected.reshape(len(expected), -1).astype(np.float64)
    size = np.maximum(np.abs(rows).max(axis=1), 1.0)
    return np.asarray(np.abs(found.reshape(rows.shape) - rows).max(axis=1) / size)


def edges(module: "nn.Module", images: torch.Tensor, expected: Images) -> NDArray[np.bool_]:
    """Which images torch itself computes otherwise with other rounding errors: (N,)."""
    differ = np.zeros(len(images), bool)
    generator = torch.Generator().manual_seed(0)
    with rounded_otherwise(module, generator), torch.no_grad():
        for _ in range(TRIES):
            differ |= image_errors(module(images).numpy(), expected) > CLOSE
    return differ


def own_errors(module: "nn.Module", images: torch.Tensor, expected: Images) -> NDArray[np.float64]:
    """How far torch's float32 is from its float64, as ``image_errors`` has it: (N,)."""
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(images.double()).numpy()
    return image_errors(expected, exact)


def _outputs(network: Drawn, images: torch.Tensor, target: str) -> Images:
    """What the network gives for images (n, C, H, W) in the form of a target.

    Raises:
        DiffersFromHereError: a Cortex-M4 computes something else than the same C here.
        subprocess.SubprocessError: the emulated program crashes, or takes too long.
    """
    if target == ONNX:
        return by_onnxruntime(network, images)
    if target in CORTEX_M4:
        return _in_c(network, images.numpy(), CORTEX_M4[target])
    compiled = runtime.compile(network.module, network.shape, target=target)
    if target not in EMULATORS:
        return compiled.run(images.numpy())
    return _emulated(compiled, images.numpy(), target)


def _in_c(network: Drawn, images: Images, floats: Floats) -> Images:
    with torch.no_grad():
        shape = network.module(torch.zeros(network.shape)).shape
    calls = images.reshape(-1, *network.shape)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "c"
        runtime.write_c(network.module, network.shape, source)
        return proven(source, calls, shape.numel(), floats).reshape(-1, *shape[1:])


def _emulated(network: runtime.CompiledNetwork, images: Images, target: str) -> Images:
    batch = network.info.input_shape[0]
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            emulated(network, images[start : start + batch], target, Path(folder))
            for start in range(0, len(images), batch)
        ]
    return np.concatenate(parts)

"""The files that engines read, of one network, in float and in int8."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.engines import ncnn_form
from benchmarks.engines.onnx_form import onnx_of, quantized
from benchmarks.engines.plain import plain
from benchmarks.engines.process import ROOT, NotRunError, last_line

IMAGES = 16
"""To calibrate with; they are random, as those that are timed."""
Images = NDArray[np.float32]


def calibration(shape: tuple[int, ...]) -> Images:
    """Images for the ranges of a network whose input is (1, C, H, W): (N, C, H, W)."""
    return np.random.default_rng(1).standard_normal((IMAGES, *shape[1:]), np.float32)


@dataclass(frozen=True)
class Files:
    """A network's files, written when they are asked for.

    Attributes:
        module: a float network of ours.
        shape: of its input, (1, C, H, W).
        folder: where the files go.
        litert_torch: the interpreter of an environment that has litert-torch.
    """

    module: nn.Module
    shape: tuple[int, int, int, int]
    folder: Path
    litert_torch: str

    def onnx(self, precision: str) -> Path:
        """ONNX, in int8 as onnxruntime's quantization makes it."""
        path = self.folder / f"{precision}.onnx"
        if not path.exists():
            found = onnx_of(plain(self.module), self.shape)
            onnx.save(quantized(found, calibration(self.shape)) if precision == "int8" else found, path)
        return path

    def ncnn(self, precision: str) -> Path:
        """ncnn's ``.param``, with the ``.bin`` beside it."""
        path = self.folder / f"{precision}.param"
        seen = torch.from_numpy(calibration(self.shape)) if precision == "int8" else None
        ncnn_form.write(plain(self.module), path, seen)
        return path

    def tflite(self, precision: str) -> Path:
        """LiteRT's form.

        Raises:
            NotRunError: it is not written.
        """
        paths = {own: self.folder / f"{own}.tflite" for own in ("float", "int8")}
        if not paths["int8"].exists():
            program, images = self.folder / "program.pt2", self.folder / "images.npy"
            example = torch.zeros(self.shape)
            torch.export.save(torch.export.export(plain(self.module), (example,)), program)
            np.save(images, calibration(self.shape))
            command = [
                self.litert_torch,
                "-m",
                "benchmarks.engines.to_litert",
                program,
                images,
                *paths.values(),
            ]
            ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if ran.returncode:
                raise NotRunError(f"no .tflite is written: {last_line(ran.stderr)}")
        return paths[precision]

    def of(self, engine: str, precision: str) -> Path:
        """The file that an engine reads.

        Raises:
            NotRunError: it is not written.
        """
        writers = {"openvino": self.onnx, "ncnn": self.ncnn, "litert": self.tflite}
        return writers[engine](precision)

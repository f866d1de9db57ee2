"""Networks as ONNX files, run by onnxruntime: a target of the proof beside those that are compiled for."""

import importlib.util

import numpy as np
import torch
from numpy.typing import NDArray

import runtime
from benchmarks.proof.drawn import Drawn

ONNX = "onnx"
PACKAGES = "onnx", "onnxruntime"


def absent_packages() -> list[str]:
    """The packages that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def by_onnxruntime(network: Drawn, images: torch.Tensor) -> NDArray[np.float32]:
    """What onnxruntime makes of images (n, C, H, W), one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = runtime.onnx_model(network.module, network.shape).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {"input": images.numpy()})[0]
    return found

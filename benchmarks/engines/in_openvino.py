"""OpenVINO as an engine: reads ONNX, float or in QuantizeLinear and DequantizeLinear form."""

import numpy as np
import openvino
from numpy.typing import NDArray

OPTIONS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "INFERENCE_NUM_THREADS": "1",
    "INFERENCE_PRECISION_HINT": "f32",  # else it computes floats in bfloat16 where the CPU can
}


class Network:
    """A compiled model and one request for it."""

    def __init__(self, path: str) -> None:
        core = openvino.Core()
        self.version = openvino.__version__.partition("-")[0]
        self._request = core.compile_model(core.read_model(path), "CPU", OPTIONS).create_infer_request()

    def put(self, images: NDArray[np.float32]) -> None:
        """Set the input."""
        self._request.set_input_tensor(openvino.Tensor(images, shared_memory=False))

    def run(self) -> None:
        """Compute."""
        self._request.infer()

    def answer(self) -> NDArray[np.float32]:
        """The output."""
        return np.array(self._request.get_output_tensor().data)


def load(path: str) -> Network:
    """The network of an ONNX file."""
    return Network(path)

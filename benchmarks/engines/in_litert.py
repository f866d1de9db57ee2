"""LiteRT, with XNNPACK, as an engine: reads ``.tflite`` files."""

from importlib.metadata import version
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray


class Network:
    """An interpreter on one thread; XNNPACK takes what it knows unasked."""

    def __init__(self, path: str) -> None:
        self.version = version("ai-edge-litert")
        interpreter = self._interpreter = Interpreter(path, num_threads=1)
        interpreter.allocate_tensors()
        (self._input,), (self._output,) = interpreter.get_input_details(), interpreter.get_output_details()

    def put(self, images: NDArray[np.float32]) -> None:
        """Set the input, channels last where the network wants them so."""
        is_last = tuple(self._input["shape"]) != images.shape
        own = np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if is_last else images
        kind = np.dtype(self._input["dtype"])
        if kind.kind == "i":  # as who runs it hands in; that is not timed
            step, zero = self._input["quantization"]
            own = np.clip(np.rint(own / step + zero), *_ends(kind)).astype(kind)
        self._interpreter.set_tensor(self._input["index"], own)

    def run(self) -> None:
        """Compute."""
        self._interpreter.invoke()

    def answer(self) -> NDArray[np.float32]:
        """The output."""
        found = np.asarray(self._interpreter.get_tensor(self._output["index"]))
        if found.dtype.kind == "i":
            step, zero = self._output["quantization"]
            return np.asarray((found.astype(np.float32) - zero) * step, np.float32)
        return found


def _ends(kind: np.dtype[Any]) -> tuple[int, int]:
    limits = np.iinfo(kind)
    return limits.min, limits.max


def load(path: str) -> Network:
    """The network of a ``.tflite`` file."""
    return Network(path)

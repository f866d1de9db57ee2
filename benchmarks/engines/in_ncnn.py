"""ncnn as an engine: reads a ``.param`` file and the ``.bin`` file beside it."""

import ncnn
import numpy as np
from numpy.typing import NDArray


class Network:
    """A net; each run makes an extractor, as its users do."""

    def __init__(self, path: str) -> None:
        self.version = str(ncnn.__version__)
        net = self._net = ncnn.Net()
        net.opt.num_threads = 1
        net.opt.use_vulkan_compute = False
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        if net.load_param(path) or net.load_model(path.removesuffix("param") + "bin"):
            raise ValueError(f"{path}: ncnn does not load it")

    def put(self, images: NDArray[np.float32]) -> None:
        """Set the input."""
        self._images = np.ascontiguousarray(images[0])
        self._input = ncnn.Mat(self._images)

    def run(self) -> None:
        """Compute."""
        extractor = self._net.create_extractor()
        extractor.input("x", self._input)
        status, self._output = extractor.extract("result")
        if status:
            raise ValueError(f"ncnn does not run the network: {status}")

    def answer(self) -> NDArray[np.float32]:
        """The output."""
        return np.array(self._output)[None]


def load(path: str) -> Network:
    """The network of a ``.param`` file."""
    return Network(path)

"""The masks of dithered signs, computed in the graph: they would be larger than the weights."""

import numpy as np

from runtime.formats.onnx.graph import OnnxGraph
from search_spaces.quantizers import DitherMode


def thresholds(graph: OnnxGraph, channels: int, height: int, width: int, mode: DitherMode) -> str:
    """-m of ``search_spaces.quantizers.dither_mask``, to the bit: (C, H, W), or (1, H, W) of mode ``2d``.

    In integers up to the division, which is in float64, as there.
    """
    from onnx import TensorProto

    rows = graph.op("Mul", _along(graph, height, (-1, 1)), np.int64(236))
    places = graph.op("Add", rows, _along(graph, width, (1, -1)))
    planes = _along(graph, channels, (-1, 1, 1)) if mode == "3d" else np.ones((1, 1, 1), np.int64)
    places = graph.op("Add", places, graph.op("Mul", planes, np.int64(67)))
    level = graph.op("Mod", graph.op("Mul", places, np.int64(119)), np.int64(256))
    share = graph.op("Div", graph.op("Cast", level, to=TensorProto.DOUBLE), np.float64(255))
    mask = graph.op("Sub", graph.op("Mul", share, np.float64(2)), np.float64(1))
    return graph.op("Neg", graph.op("Cast", mask, to=TensorProto.FLOAT))


def _along(graph: OnnxGraph, count: int, shape: tuple[int, ...]) -> str:
    """0, 1, ... along one axis."""
    numbers = graph.op("Range", np.int64(0), np.int64(count), np.int64(1))
    return graph.op("Reshape", numbers, np.array(shape, np.int64))

"""The masks of dithered signs, computed in the graph: they would be larger than the weights."""

import numpy as np

from runtime.formats.onnx.codes import onnx_type
from runtime.formats.onnx.graph import OnnxGraph
from search_spaces.quantizers import DitherMode

COLUMN, ROW, CHANNEL = (np.int64(each * 119 % 256) for each in (1, 236, 67))
"""What an index adds to a level, which counts modulo 256."""


def thresholds(graph: OnnxGraph, channels: int, height: int, width: int, mode: DitherMode) -> str:
    """-m of ``search_spaces.quantizers.dither_mask``, to the bit: (C, H, W), or (H, W) of mode ``2d``.

    In integers up to the division, which is in float64, as there: -m = 1 - level / 127.5.
    """
    rows = graph.op("Mul", _along(graph, height, (-1, 1)), ROW)
    columns = graph.op("Mul", _along(graph, width, (-1,)), COLUMN)
    channel = graph.op("Mul", _along(graph, channels, (-1, 1, 1)), CHANNEL) if mode == "3d" else CHANNEL
    sums = graph.op("Add", graph.op("Add", rows, columns), channel)
    level = graph.op("Cast", graph.op("Mod", sums, np.int64(256)), to=onnx_type(np.float64))
    exact = graph.op("Sub", np.float64(1), graph.op("Div", level, np.float64(127.5)))
    return graph.op("Cast", exact, to=onnx_type(np.float32))


def _along(graph: OnnxGraph, count: int, shape: tuple[int, ...]) -> str:
    """0, 1, ... along one axis."""
    numbers = graph.op("Range", np.int64(0), np.int64(count), np.int64(1))
    return numbers if len(shape) == 1 else graph.op("Reshape", numbers, np.array(shape, np.int64))

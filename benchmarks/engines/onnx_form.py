"""A network as ONNX, and its static quantization by onnxruntime's own tool."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, fx, nn

from benchmarks.engines.plain import Every, is_addition, is_flatten, source, steps

OPSET = 17
Images = NDArray[np.float32]


def model(
    nodes: list[Any], constants: list[Any], shape: tuple[int, ...], result: str, kind: int
) -> onnx.ModelProto:
    """A model of one input ``x``."""
    given = helper.make_tensor_value_info("x", kind, shape)
    output = helper.make_tensor_value_info(result, kind, None)
    graph = helper.make_graph(nodes, "rival", [given], [output], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def onnx_of(network: fx.GraphModule, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The ONNX form of a network that ``plain`` made."""
    nodes: list[Any] = []
    constants: list[Any] = []
    name = "x"
    for node, layer in steps(network):
        inputs = ["x" if each.op == "placeholder" else each.name for each in node.all_input_nodes]
        kind, options, weights = _operator(node, layer)
        for index, weight in enumerate(weights):
            constants.append(numpy_helper.from_array(weight, f"{node.name}.{index}"))
        own = [f"{node.name}.{index}" for index in range(len(weights))]
        if isinstance(layer, Every):
            nodes.append(helper.make_node("Slice", [*inputs, *own[:4]], [f"{node.name}.sliced"]))
            inputs, own = [f"{node.name}.sliced"], own[4:]
        nodes.append(helper.make_node(kind, [*inputs, *own], [node.name], **options))
        name = node.name
    return model(nodes, constants, shape, name, TensorProto.FLOAT)


def _operator(node: fx.Node, layer: nn.Module | None) -> tuple[str, dict[str, Any], list[NDArray[Any]]]:
    """The ONNX operator of a step, its attributes and its weights."""
    if isinstance(layer, nn.Conv2d):
        options = {"pads": [*layer.padding] * 2, "strides": [*layer.stride], "group": layer.groups}
        return "Conv", options, _arrays(layer.weight, layer.bias)
    if isinstance(layer, nn.Linear):
        return "Gemm", {"transB": 1}, _arrays(layer.weight, layer.bias)
    if isinstance(layer, nn.MaxPool2d):
        pads, size, stride = (
            [v] * n for v, n in ((layer.padding, 4), (layer.kernel_size, 2), (layer.stride, 2))
        )
        return "MaxPool", {"pads": pads, "kernel_shape": size, "strides": stride}, []
    if isinstance(layer, nn.ReLU6):
        return "Clip", {}, [np.float32(0), np.float32(6)]  # type: ignore[list-item]  # scalars are arrays here
    if isinstance(layer, Every):
        last = np.iinfo(np.int64).max
        numbers = [0, 0], [last, last], [2, 3], [layer.stride] * 2, [0, 0, 0, 0, 0, layer.added, 0, 0]
        return "Pad", {}, [np.array(own, np.int64) for own in numbers]
    kinds = {nn.AdaptiveAvgPool2d: "GlobalAveragePool", nn.ReLU: "Relu"}
    if layer is not None:
        return kinds[type(layer)], {}, []
    if is_addition(node):
        return "Add", {}, []
    if is_flatten(node):
        return "Flatten", {}, []
    raise ValueError(f"{node.name}: no ONNX operator is known for {node.target}, which reads {source(node)}")


def _arrays(*tensors: Tensor | None) -> list[NDArray[Any]]:
    return [tensor.detach().numpy() for tensor in tensors if tensor is not None]


def quantized(found: onnx.ModelProto, images: Images) -> onnx.ModelProto:
    """The model in QuantizeLinear and DequantizeLinear form, its ranges from images (N, C, H, W).

    Activations are unsigned bytes with a zero point, weights signed ones, symmetric, with a scale for each
    output channel (U8S8).
    """
    with tempfile.TemporaryDirectory() as name:
        given, prepared, result = (Path(name) / f"{part}.onnx" for part in ("given", "prepared", "result"))
        onnx.save(found, given)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return onnx.load(result)


class _Reader(CalibrationDataReader):
    """Hands out one image after the other."""

    def __init__(self, images: Images) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Images] | None:
        """The next image, (1, C, H, W); None behind the last."""
        image = next(self._left, None)
        return None if image is None else {"x": image[None]}

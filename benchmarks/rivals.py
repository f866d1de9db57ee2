"""The other side: onnxruntime, torch, numkong, TVM's own bitserial convolution, and the bare registers."""

import copy
from typing import Any

import numkong
import numpy as np
import onnx
import onnxruntime
import torch
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import te, topi

from benchmarks.ours import timed
from benchmarks.race import Run, calls
from runtime.codegen.linking import build
from search_spaces.layers import QuantConv2d
from search_spaces.plain_layers import Subsample


class WrongResultError(Exception):
    """A contender computes something else than the others."""


def same(what: str, found: np.ndarray, expected: np.ndarray, share: float = 1.0, close: float = 1e-3) -> None:
    """Check that a share of the numbers agree.

    Raises:
        WrongResultError: they do not.
    """
    agree = np.isclose(found, expected, rtol=close, atol=close * max(1.0, float(np.abs(expected).max())))
    if found.shape != expected.shape or agree.mean() < share:
        raise WrongResultError(f"{what}: {agree.mean():.1%} of the numbers agree, not {share:.0%}")


CHAIN = 4  # convolutions in a row, so that what onnxruntime does at its borders counts a quarter
OPSET = 17


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """An onnxruntime session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def bound(model: onnx.ModelProto, x: np.ndarray, share: int = 1) -> Run:
    """A model as a contender, its input and output bound; a ``share`` of its time counts."""
    found = session(model)
    binding = found.io_binding()
    binding.bind_cpu_input(found.get_inputs()[0].name, x)
    binding.bind_output(found.get_outputs()[0].name)
    run = calls(lambda: found.run_with_iobinding(binding))
    return lambda repeats: run(repeats) / share


def float_convolutions(channels: int, size: int, kernel: int, groups: int = 1) -> Run:
    """One of a chain of float convolutions with ReLUs."""
    values = np.random.default_rng(0)
    nodes, constants, name = [], [], "x"
    for index in range(CHAIN):
        weight = values.standard_normal((channels, channels // groups, kernel, kernel), np.float32)
        weight /= np.sqrt(weight[0].size)
        constants.append(numpy_helper.from_array(weight, f"w{index}"))
        constants.append(numpy_helper.from_array(np.zeros(channels, np.float32), f"b{index}"))
        pads = [kernel // 2] * 4
        nodes.append(
            helper.make_node("Conv", [name, f"w{index}", f"b{index}"], [f"c{index}"], pads=pads, group=groups)
        )
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"]))
        name = f"r{index}"
    shape = (1, channels, size, size)
    return bound(
        model(nodes, constants, shape, name, TensorProto.FLOAT),
        values.standard_normal(shape, np.float32),
        CHAIN,
    )


def int8_convolutions(channels: int, size: int, kernel: int, groups: int = 1) -> Run:
    """One of a chain of QLinearConvs: bytes in, bytes out, a scale for each output channel."""
    values = np.random.default_rng(0)
    zero, step = np.uint8(0), np.float32(0.05)
    constants = [numpy_helper.from_array(np.array(v), n) for v, n in ((step, "s"), (zero, "z"))]
    nodes, name = [], "x"
    for index in range(CHAIN):
        weight = values.integers(-127, 128, (channels, channels // groups, kernel, kernel), np.int8)
        own = {
            f"w{index}": weight,
            f"ws{index}": np.full(channels, 0.01, np.float32),
            f"wz{index}": np.zeros(channels, np.int8),
            f"b{index}": np.zeros(channels, np.int32),
        }
        constants += [numpy_helper.from_array(v, n) for n, v in own.items()]
        inputs = [name, "s", "z", f"w{index}", f"ws{index}", f"wz{index}", "s", "z", f"b{index}"]
        name = f"y{index}"
        nodes.append(helper.make_node("QLinearConv", inputs, [name], pads=[kernel // 2] * 4, group=groups))
    shape = (1, channels, size, size)
    x = values.integers(0, 256, shape, np.uint8)
    return bound(model(nodes, constants, shape, name, TensorProto.UINT8), x, CHAIN)


def model(
    nodes: list[Any], constants: list[Any], shape: tuple[int, ...], result: str, kind: int
) -> onnx.ModelProto:
    """A model of one input ``x``."""
    given = helper.make_tensor_value_info("x", kind, shape)
    output = helper.make_tensor_value_info(result, kind, None)
    graph = helper.make_graph(nodes, "rival", [given], [output], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def torch_convolution(channels: int, size: int, kernel: int, groups: int = 1) -> Run:
    """torch's float convolution, channels last."""
    torch.set_num_threads(1)
    layer = torch.nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups)
    layer = layer.eval().to(memory_format=torch.channels_last)
    x = torch.randn(1, channels, size, size).to(memory_format=torch.channels_last)

    def convolve() -> None:
        with torch.inference_mode():
            layer(x)

    return calls(convolve)


def float_network(module: torch.nn.Module, x: np.ndarray, expected: np.ndarray) -> Run:
    """A float network of convolutions, ReLUs, additions and pools in onnxruntime, checked against torch."""
    found = onnx_of(module, x.shape)
    answer = session(found).run(None, {"x": x})[0]
    same("onnxruntime's network", answer, expected)
    return bound(found, x)


def onnx_of(module: torch.nn.Module, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The ONNX form of a traced float module; onnxruntime folds the batch norms itself."""
    plain = _plain(module).eval()
    traced, layers = _Tracer().trace(plain), dict(plain.named_modules())
    nodes: list[Any] = []
    constants: list[Any] = []
    names: dict[Any, str] = {}
    for node in traced.nodes:
        names[node] = "x" if node.op == "placeholder" else node.name
        inputs = [names[a] for a in node.all_input_nodes]
        if node.op == "output":
            return model(nodes, constants, shape, inputs[0], TensorProto.FLOAT)
        if node.op == "placeholder":
            continue
        if isinstance(layer := layers.get(str(node.target)), Subsample):
            found = _subsample(node.name, inputs[0], layer)
            nodes += found[0]
            constants += found[1]
            continue
        kind, options, weights = _operator(node, layer)
        for index, weight in enumerate(weights):
            constants.append(numpy_helper.from_array(weight.detach().numpy(), f"{node.name}.{index}"))
            inputs.append(f"{node.name}.{index}")
        nodes.append(helper.make_node(kind, inputs, [node.name], **options))
    raise ValueError("the module returns nothing")


class _Tracer(torch.fx.Tracer):
    """Stops at our shortcut, which ONNX has two operators for."""

    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Subsample) or super().is_leaf_module(m, module_qualified_name)


def _subsample(name: str, source: str, layer: Subsample) -> tuple[list[Any], list[Any]]:
    """Every other pixel, then channels of zeros: nodes and constants."""
    last = np.iinfo(np.int64).max
    numbers = {
        "starts": [0, 0],
        "ends": [last, last],
        "axes": [2, 3],
        "steps": [layer.stride] * 2,
        "pads": [0, 0, 0, 0, 0, layer.added, 0, 0],
    }
    constants = [numpy_helper.from_array(np.array(v, np.int64), f"{name}.{k}") for k, v in numbers.items()]
    *slicing, pads = [constant.name for constant in constants]
    nodes = [
        helper.make_node("Slice", [source, *slicing], [f"{name}.sliced"]),
        helper.make_node("Pad", [f"{name}.sliced", pads], [name]),
    ]
    return nodes, constants


def _operator(node: Any, layer: Any) -> tuple[str, dict[str, Any], list[torch.Tensor]]:
    """The ONNX operator of a traced step, its attributes and its weights."""
    if isinstance(layer, torch.nn.Conv2d):
        options = {"pads": list(layer.padding) * 2, "strides": list(layer.stride), "group": layer.groups}
        return "Conv", options, [layer.weight] + ([] if layer.bias is None else [layer.bias])
    if isinstance(layer, torch.nn.BatchNorm2d):
        statistics = [layer.weight, layer.bias, layer.running_mean, layer.running_var]
        return "BatchNormalization", {"epsilon": layer.eps}, statistics
    if isinstance(layer, torch.nn.Linear):
        return "Gemm", {"transB": 1}, [layer.weight, layer.bias]
    if isinstance(layer, torch.nn.MaxPool2d):
        pads, size, stride = (
            [v] * n for v, n in ((layer.padding, 4), (layer.kernel_size, 2), (layer.stride, 2))
        )
        return "MaxPool", {"pads": pads, "kernel_shape": size, "strides": stride}, []
    kinds = {"AdaptiveAvgPool2d": "GlobalAveragePool", "ReLU": "Relu", "Identity": "Identity"}
    if layer is not None:
        return kinds[type(layer).__name__], {}, []
    functions = {"add": "Add", "relu": "Relu", "flatten": "Flatten"}
    return functions[getattr(node.target, "__name__", node.target)], {}, []


def _plain(module: torch.nn.Module) -> torch.nn.Module:
    """A copy in which our float layers are torch's own, so that tools for torch know them."""
    copied = copy.deepcopy(module)
    for name, layer in list(copied.named_modules()):
        if isinstance(layer, QuantConv2d):
            o, c, k, _ = layer.weight.shape
            own = torch.nn.Conv2d(
                c * layer.groups, o, k, layer.stride, layer.padding, groups=layer.groups, bias=False
            )
            own.weight = layer.weight
            steps = [torch.nn.ReLU(), own] if layer.activation.relu else [own]
            parent, _, attribute = name.rpartition(".")
            setattr(
                copied.get_submodule(parent),
                attribute,
                torch.nn.Sequential(*steps) if len(steps) > 1 else own,
            )
    return copied


def torch_network(module: torch.nn.Module, x: np.ndarray) -> Run:
    """A torch module as it is, on one thread, channels last."""
    torch.set_num_threads(1)
    images = torch.from_numpy(x).to(memory_format=torch.channels_last)
    own = copy.deepcopy(module).to(memory_format=torch.channels_last)

    def infer() -> None:
        with torch.inference_mode():
            own(images)

    return calls(infer)


def numkong_bits(rows: int, columns: int, depth: int) -> Run:
    """numkong's product of packed bits, checked against numpy."""
    values = np.random.default_rng(0)
    a, b = (values.integers(0, 256, (n, depth // 8), np.uint8) for n in (rows, columns))
    packed = numkong.dots_pack(b, dtype="uint1")
    out = numkong.dots_packed(a, packed)
    bits = (np.unpackbits(m[:8], axis=1).astype(np.int64) for m in (a, b))
    same("numkong's bits", np.asarray(out)[:8, :8], next(bits) @ next(bits).T)
    return calls(lambda: numkong.dots_packed(a, packed, out=out))


def topi_bitserial(channels: int, size: int, kernel: int) -> Run:
    """TVM's own bitserial convolution, 1 bit by 1 bit, as its default pipeline compiles it."""
    data = te.placeholder((1, size, size, channels), "uint32", name="data")
    words = channels // 32
    weight = te.placeholder((kernel, kernel, 1, words, channels), "uint32", name="weight")
    result = topi.nn.bitserial_conv2d_nhwc(
        data, weight, 1, kernel // 2, 1, 1, "uint32", "int32", unipolar=False
    )
    function = te.create_prim_func([data, weight, result])
    module = build({"topi": function.with_attr("global_symbol", "topi")}, "native").mod
    values = np.random.default_rng(0)
    arrays = [
        values.integers(0, 2, (1, size, size, channels), np.uint32),
        values.integers(0, 1 << 32, (kernel, kernel, 1, words, channels), np.uint32),
        np.zeros([int(d) for d in result.shape], np.int32),
    ]
    return timed(module, "topi", [tvm.runtime.tensor(a, tvm.cpu()) for a in arrays])

"""The other side: onnxruntime, torch, numkong, TVM's own bitserial convolution, and the bare registers."""

import copy

import numkong
import numpy as np
import onnx
import onnxruntime
import torch
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import te, topi

from benchmarks.engines.onnx_form import model
from benchmarks.ours import timed
from benchmarks.race import Run, calls
from runtime.codegen.objects import build


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


def onnxruntime_network(
    found: onnx.ModelProto, x: np.ndarray, expected: np.ndarray, close: float = 1e-3
) -> Run:
    """A network in onnxruntime, checked against torch.

    Raises:
        WrongResultError: it differs by more than ``close``, as a share of the greatest output.
    """
    same("onnxruntime's network", session(found).run(None, {"x": x})[0], expected, close=close)
    return bound(found, x)


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


def topi_bitserial(channels: int, size: int, kernel: int, target: str = "native") -> Run:
    """TVM's own bitserial convolution, 1 bit by 1 bit, as its default pipeline compiles it."""
    data = te.placeholder((1, size, size, channels), "uint32", name="data")
    words = channels // 32
    weight = te.placeholder((kernel, kernel, 1, words, channels), "uint32", name="weight")
    result = topi.nn.bitserial_conv2d_nhwc(
        data, weight, 1, kernel // 2, 1, 1, "uint32", "int32", unipolar=False
    )
    function = te.create_prim_func([data, weight, result])
    module = build({"topi": function.with_attr("global_symbol", "topi")}, target).mod
    values = np.random.default_rng(0)
    arrays = [
        values.integers(0, 2, (1, size, size, channels), np.uint32),
        values.integers(0, 1 << 32, (kernel, kernel, 1, words, channels), np.uint32),
        np.zeros([int(d) for d in result.shape], np.int32),
    ]
    return timed(module, "topi", [tvm.runtime.tensor(a, tvm.cpu()) for a in arrays])

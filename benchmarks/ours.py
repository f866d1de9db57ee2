"""Our side: kernels and compiled networks as contenders, and torch modules that lower to what is compared."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import tvm
from torch import nn

import runtime
from benchmarks.race import Run
from latency import LatencyModel, MemoryTable
from latency.hardware.local import LocalDevice
from runtime.codegen.assembly import ENTRY
from runtime.codegen.kernel_functions import kernel_function, parameters
from runtime.codegen.objects import build
from runtime.kernels import kernel_for
from runtime.workload import Workload
from search_spaces import precisions
from search_spaces.layers import QuantConv2d

Shape = tuple[int, int, int, int]


@cache
def latencies(target: str = "native", threads: int = 1) -> LatencyModel:
    """What was measured of kernels for a target on so many threads."""
    return LatencyModel(LocalDevice(threads=threads, target=target), MemoryTable())


def kernel(workload: Workload, target: str = "native") -> Run:
    """One kernel on random data, in the schedule that measuring finds best."""
    schedules = latencies(target).schedules([workload])
    return kernel_for_target(workload, target, schedules.get(workload.key, ""))


def kernel_for_target(workload: Workload, target: str, schedule: str = "") -> Run:
    """One kernel on random data, as made for a target, in the most promising schedule if none is named."""
    function = kernel_function(workload, target, "kernel", schedule)
    values = np.random.default_rng(0)
    tensors = [_tensor(buffer.shape, buffer.dtype, values) for buffer in parameters(workload, target)]
    return timed(build({"kernel": function}, target).mod, "kernel", tensors)


def compiled(
    module: nn.Module, shape: Shape, threads: int = 1, target: str = "native"
) -> runtime.CompiledNetwork:
    """A network whose kernels are made in the way that is fastest on so many threads."""
    return latencies(target, threads).compile(module, shape)


def timed(module: Any, symbol: str, tensors: Sequence[Any]) -> Run:
    """A compiled function on its arguments, timed by TVM."""

    def run(repeats: int) -> float:
        return float(module.time_evaluator(symbol, tvm.cpu(), number=repeats, repeat=1)(*tensors).mean)

    return run


def network(compiled: runtime.CompiledNetwork, images: np.ndarray) -> Run:
    """A compiled network, its input in place."""
    compiled.arguments[0][...] = images
    module = tvm.runtime.load_module(str(compiled.library))
    return timed(module, ENTRY, [tvm.runtime.tensor(array, tvm.cpu()) for array in compiled.arguments])


def giga_macs(workload: Workload, milliseconds: float) -> float:
    """Billions of multiply-accumulates a second."""
    return kernel_for(workload).macs(workload) / milliseconds / 1e6


def convolutions(
    channels: int, size: int, kernel_size: int, precision: str, groups: int = 1
) -> list[Workload]:
    """Two convolutions with a batch norm between, so that the first writes what the second reads."""
    code = precisions.get(precision)
    module = nn.Sequential(
        QuantConv2d(channels, channels, kernel_size, code, groups=groups),
        nn.BatchNorm2d(channels),
        QuantConv2d(channels, channels, kernel_size, code, groups=groups),
    )
    return runtime.workloads(module.eval(), (1, channels, size, size))


def settled(module: nn.Module, shape: Shape) -> nn.Module:
    """The module in evaluation mode, after batch norms and int8 ranges have seen some images."""
    torch.manual_seed(0)
    module.train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(4, *shape[1:]))
    return module.eval()


def _tensor(shape: tuple[int, ...], dtype: str, values: np.random.Generator) -> Any:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        array = (values.uniform(0.5, 1.5, shape) * values.choice([-1, 1], shape)).astype(kind)
    elif kind == np.int64:  # a shift among them is of 32 to 63 places, as nearly all are
        array = values.integers(32, 64, shape, kind)
    else:
        limits = np.iinfo(kind)
        array = values.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return tvm.runtime.tensor(array, tvm.cpu())

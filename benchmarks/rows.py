"""The rows of the table: what is compared, how, and what must at least be reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import geometric_mean

import numpy as np
import torch
from torch import nn

import search_spaces
from benchmarks import ours, registers, rivals
from benchmarks.race import Effort, Run, race
from runtime.workload import BitserialConv2d, BitserialDense, Conv2d, Workload

SHAPES = ((64, 56, 3), (128, 28, 3), (256, 14, 3), (512, 7, 3), (256, 14, 1))
"""Channels, rows and columns, kernel."""
NETWORKS = {"resnet20": (1, 3, 32, 32), "resnet18": (1, 3, 224, 224)}
CONVOLUTIONS = ("conv2d", "bitserial_conv2d", "depthwise_conv2d")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what is compared.
        found: the ratio that was measured.
        required: the least that is asked, or the most where ``at_most``.
        at_most: whether smaller is better.
        times: milliseconds of each contender, by name.
    """

    name: str
    found: float
    required: float
    at_most: bool = False
    times: dict[str, float] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether what was asked is reached."""
        return self.found <= self.required if self.at_most else self.found >= self.required


Rows = Callable[[Effort], Iterator[Row]]
groups: dict[str, Rows] = {}


def group(name: str) -> Callable[[Rows], Rows]:
    """Register rows that are measured together."""

    def register(rows: Rows) -> Rows:
        groups[name] = rows
        return rows

    return register


def pick(workloads: list[Workload], family: str) -> Workload:
    """The first kernel of a family."""
    return next(w for w in workloads if w.family == family)


def chained(channels: int, size: int, kernel: int, precision: str, count: int = 1) -> Workload:
    """A convolution that writes what the next one reads."""
    families = ("conv2d", "bitserial_conv2d", "depthwise_conv2d")
    found = ours.convolutions(channels, size, kernel, precision, count)
    return next(w for w in found if w.family in families)


@group("binary convolution")
def binary_convolutions(effort: Effort) -> Iterator[Row]:
    """Alone and with all it needs, against onnxruntime's float and int8; against TVM's own and the limit."""
    ratios: dict[str, list[float]] = {}
    times: dict[str, float] = {}
    for channels, size, kernel in SHAPES:
        workloads = ours.convolutions(channels, size, kernel, "binary")
        coded = pick(workloads, "bitserial_conv2d")
        assert isinstance(coded, BitserialConv2d)
        alone = replace(coded, output="float")
        contenders = {
            "alone": ours.kernel(alone),
            "coded": ours.kernel(coded),
            "sign": ours.kernel(pick(workloads, "sign_pack")),
            "ort float": rivals.float_convolutions(channels, size, kernel),
            "ort int8": rivals.int8_convolutions(channels, size, kernel),
            "torch float": rivals.torch_convolution(channels, size, kernel),
            "topi": rivals.topi_bitserial(channels, size, kernel),
            "registers": registers.registers(),
        }
        found = race(contenders, effort)
        whole = found["sign"] + found["coded"]
        limit = registers.PRODUCTS / found["registers"]
        reached = ours.giga_macs(alone, 1.0) * 1e6 / found["alone"]
        for name, ratio in {
            "alone, onnxruntime float": found["ort float"] / found["alone"],
            "alone, onnxruntime int8": found["ort int8"] / found["alone"],
            "float in, code out, onnxruntime float": found["ort float"] / whole,
            "float in, code out, onnxruntime int8": found["ort int8"] / whole,
            "alone, TVM's bitserial_conv2d_nhwc": found["topi"] / found["alone"],
            "float out, registers": reached / limit,
            "code out, registers": reached / limit * found["alone"] / found["coded"],
        }.items():
            ratios.setdefault(name, []).append(ratio)
        times |= {f"{channels}x{size}x{size} {kernel}x{kernel} {n}": ms for n, ms in found.items()}
    required = (12, 4, 9, 3, 3, 0.85, 0.85)
    for (name, found_ratios), least in zip(ratios.items(), required, strict=True):
        yield Row(f"binary convolution {name}", geometric_mean(found_ratios), least, times=times)


@group("binary product")
def binary_product(effort: Effort) -> Iterator[Row]:
    """1024 x 1024 x 1024 bits against numkong."""
    product = BitserialDense(1024, 1024, 1024, "binary")
    found = race({"ours": ours.kernel(product), "numkong": rivals.numkong_bits(1024, 1024, 1024)}, effort)
    yield Row("binary product 1024x1024x1024, numkong", found["numkong"] / found["ours"], 2.5, times=found)


@group("ternary")
def ternary_weights(effort: Effort) -> Iterator[Row]:
    """Ternary weights over signs, with one scale and with two, by our binary kernel's speed."""
    ratios: dict[str, list[float]] = {"one scale": [], "TTQ's two scales": []}
    for channels, size, kernel in SHAPES[:4]:
        binary = BitserialConv2d(1, size, size, kernel, 1, kernel // 2, channels, channels, 1, "binary")
        ternary = replace(binary, weight="ternary")
        contenders = {
            "binary": ours.kernel(binary),
            "one scale": ours.kernel(replace(ternary, symmetric=True)),
            "TTQ's two scales": ours.kernel(ternary),
        }
        found = race(contenders, effort)
        for name in ratios:
            ratios[name].append(found["binary"] / found[name])
    for (name, found_ratios), least in zip(ratios.items(), (0.85, 0.45), strict=True):
        yield Row(f"ternary weights, {name}, our binary kernel", geometric_mean(found_ratios), least)


@group("bits")
def more_bits(effort: Effort) -> Iterator[Row]:
    """Codes of several bits by their time over one bit by one bit: it grows with the product of the bits."""
    binary = BitserialConv2d(1, 14, 14, 3, 1, 1, 256, 256, 1, "binary")
    pairs = [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (3, 3), (4, 4)]
    contenders = {f"{a}x{b}": ours.kernel(replace(binary, input_bits=a, weight_bits=b)) for a, b in pairs}
    found = race(contenders, effort)
    for a, b in pairs[1:]:
        name = f"{a} bits x {b} bit{'s' * (b > 1)} over 1 x 1, time"
        yield Row(name, found[f"{a}x{b}"] / found["1x1"], 1.05 * a * b, at_most=True, times=found)


@group("ternary bytes")
def ternary_bytes(effort: Effort) -> Iterator[Row]:
    """Ternary weights under bytes by our int8 kernel's speed."""
    ratios = []
    for channels, size, kernel in SHAPES[:4]:
        int8 = Conv2d(1, size, size, kernel, 1, kernel // 2, channels, channels, 1, "int8", "uint8")
        contenders = {"int8": ours.kernel(int8), "ternary": ours.kernel(replace(int8, weight="ternary"))}
        found = race(contenders, effort)
        ratios.append(found["int8"] / found["ternary"])
    yield Row("ternary weights x int8, our int8 kernel", geometric_mean(ratios), 0.95)


@group("float and int8")
def float_and_int8(effort: Effort) -> Iterator[Row]:
    """3x3, 1x1 and depthwise convolutions against onnxruntime's."""
    kinds = {"3x3": (256, 14, 3, 1), "1x1": (256, 14, 1, 1), "depthwise 3x3": (128, 28, 3, 128)}
    for precision, least in (("float", 0.95), ("int8", 0.9)):
        for name, (channels, size, kernel, count) in kinds.items():
            rival = rivals.float_convolutions if precision == "float" else rivals.int8_convolutions
            contenders = {
                "ours": ours.kernel(chained(channels, size, kernel, precision, count)),
                "onnxruntime": rival(channels, size, kernel, count),
            }
            if precision == "float":
                contenders["torch"] = rivals.torch_convolution(channels, size, kernel, count)
            found = race(contenders, effort)
            ratio = found["onnxruntime"] / found["ours"]
            yield Row(f"{precision} convolution {name}, onnxruntime {precision}", ratio, least, times=found)


@group("resnet20")
def resnet20(effort: Effort) -> Iterator[Row]:
    """Whole networks of 3x32x32 images."""
    return networks("resnet20", {"float": 1, "int8": 2, "binary": 5}, effort)


@group("resnet18")
def resnet18(effort: Effort) -> Iterator[Row]:
    """Whole networks of 3x224x224 images."""
    return networks("resnet18", {"float": 0.95, "int8": 2, "binary": 5}, effort)


@group("two threads")
def two_threads(effort: Effort) -> Iterator[Row]:
    """ResNet-18 on two cores over the same on one."""
    shape = NETWORKS["resnet18"]
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    for precision in ("float", "int8", "binary"):
        module = ours.settled(search_spaces.network("resnet18", precision), shape)
        one, two = (ours.compiled(module, shape, threads) for threads in (1, 2))
        rivals.same(f"our {precision} resnet18 on two threads", two.run(x), one.run(x), close=0)
        found = race({"one": ours.network(one, x), "two": ours.network(two, x)}, effort, cores=2)
        yield Row(
            f"resnet18 {precision}, two threads over one", found["one"] / found["two"], 1.7, times=found
        )


def networks(name: str, required: dict[str, float], effort: Effort) -> Iterator[Row]:
    """A network in each precision against onnxruntime's float, and against the sum of its own kernels."""
    shape = NETWORKS[name]
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    contenders: dict[str, Run] = {}
    kernels: dict[str, list[Workload]] = {}
    for precision in required:
        module = ours.settled(search_spaces.network(name, precision), shape)
        expected = _answer(module, x)
        compiled = ours.compiled(module, shape)
        # int8 sums in another order than torch's floats: values on the edge between two steps take the other
        rivals.same(
            f"our {precision} {name}", compiled.run(x), expected, close=0.05 if precision == "int8" else 1e-3
        )
        contenders[precision] = ours.network(compiled, x)
        kernels[precision] = list(compiled.info.workloads)
        if precision == "float":
            contenders["onnxruntime"] = rivals.float_network(module, x, expected)
            contenders["torch"] = rivals.torch_network(module, x)
    distinct = {w.key: ours.kernel(w) for found in kernels.values() for w in found}
    times = race(contenders | distinct, effort)
    shown = {contender: times[contender] for contender in contenders}
    for precision, least in required.items():
        ratio = times["onnxruntime"] / times[precision]
        yield Row(f"{name} {precision}, onnxruntime float", ratio, least, times=shown)
    for precision, found in kernels.items():
        total = sum(times[w.key] for w in found)
        yield Row(
            f"{name} {precision} over the sum of its kernels", times[precision] / total, 1.1, at_most=True
        )
    if name == "resnet20":
        outside = sum(times[w.key] for w in kernels["binary"] if w.family not in CONVOLUTIONS)
        share = outside / sum(times[w.key] for w in kernels["binary"])
        yield Row(f"{name} binary, share outside convolutions", share, 0.15, at_most=True)


def _answer(module: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(x)).numpy())

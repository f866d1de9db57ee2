"""The rows of the table: what is compared, how, and what must at least be reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import geometric_mean

import numpy as np
import torch
from torch import nn

import search_spaces
from benchmarks import ours, registers, rivals
from benchmarks.engines.files import calibration
from benchmarks.engines.onnx_form import onnx_of, quantized
from benchmarks.engines.plain import plain
from benchmarks.race import Effort, Run, race
from runtime.kernels.byte_products import byte_dot_for
from runtime.target import cpu_of
from runtime.workload import BitserialConv2d, BitserialDense, Conv2d, Workload

SHAPES = ((64, 56, 3), (128, 28, 3), (256, 14, 3), (512, 7, 3), (256, 14, 1))
"""Channels, rows and columns, kernel."""
NETWORKS = {"resnet20": (1, 3, 32, 32), "resnet18": (1, 3, 224, 224)}
CLOSE = {"float": 1e-3, "int8": 0.05, "binary": 1e-3}
"""How far ours may be from torch. Sums of int8 are in another order than torch's floats, and values on the
edge between two steps take the other."""
LOOSE = 0.15
"""How far a quantized network may be from the float one, as a share of the greatest output."""
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
        notes: why contenders did not run, by name.
        versions: of the engines that ran.
    """

    name: str
    found: float
    required: float
    at_most: bool = False
    times: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether what was asked is reached."""
        return self.found <= self.required if self.at_most else self.found >= self.required


def by_vectors(effort: Effort, avx512: float, others: float) -> float:
    """A goal, by whether the target has vectors of 512 bits."""
    return avx512 if "avx512f" in cpu_of(effort.target).flags else others


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
    found = ours.convolutions(channels, size, kernel, precision, count)
    return next(w for w in found if w.family in CONVOLUTIONS)


@group("binary convolution")
def binary_convolutions(effort: Effort) -> Iterator[Row]:
    """Alone and with all it needs, against onnxruntime's float and int8; against TVM's own and the limit."""
    ratios: dict[str, list[float]] = {}
    times: dict[str, float] = {}
    limit = registers.limit(effort.target)
    for channels, size, kernel in SHAPES:
        workloads = ours.convolutions(channels, size, kernel, "binary")
        coded = pick(workloads, "bitserial_conv2d")
        assert isinstance(coded, BitserialConv2d)
        alone = replace(coded, output="float")
        contenders = {
            "alone": ours.kernel(alone, effort.target),
            "coded": ours.kernel(coded, effort.target),
            "sign": ours.kernel(pick(workloads, "sign_pack"), effort.target),
            "ort float": rivals.float_convolutions(channels, size, kernel),
            "ort int8": rivals.int8_convolutions(channels, size, kernel),
            "torch float": rivals.torch_convolution(channels, size, kernel),
            "topi": rivals.topi_bitserial(channels, size, kernel, effort.target),
            "registers": limit.run,
        }
        found = race(contenders, effort)
        whole = found["sign"] + found["coded"]
        most = limit.products / found["registers"]
        reached = ours.giga_macs(alone, 1.0) * 1e6 / found["alone"]
        for name, ratio in {
            "alone, onnxruntime float": found["ort float"] / found["alone"],
            "alone, onnxruntime int8": found["ort int8"] / found["alone"],
            "float in, code out, onnxruntime float": found["ort float"] / whole,
            "float in, code out, onnxruntime int8": found["ort int8"] / whole,
            "alone, TVM's bitserial_conv2d_nhwc": found["topi"] / found["alone"],
            "float out, registers": reached / most,
            "code out, registers": reached / most * found["alone"] / found["coded"],
        }.items():
            ratios.setdefault(name, []).append(ratio)
        times |= {f"{channels}x{size}x{size} {kernel}x{kernel} {n}": ms for n, ms in found.items()}
    required = (by_vectors(effort, 12, 9.6), 4, 9, 3, 3, 0.85, 0.85)
    for (name, found_ratios), least in zip(ratios.items(), required, strict=True):
        yield Row(f"binary convolution {name}", geometric_mean(found_ratios), least, times=times)


@group("binary product")
def binary_product(effort: Effort) -> Iterator[Row]:
    """1024 x 1024 x 1024 bits against numkong."""
    product = BitserialDense(1024, 1024, 1024, "binary")
    found = race(
        {"ours": ours.kernel(product, effort.target), "numkong": rivals.numkong_bits(1024, 1024, 1024)},
        effort,
    )
    yield Row("binary product 1024x1024x1024, numkong", found["numkong"] / found["ours"], 2.5, times=found)


@group("ternary")
def ternary_weights(effort: Effort) -> Iterator[Row]:
    """Ternary weights over signs, with one scale and with two, by our binary kernel's speed."""
    ratios: dict[str, list[float]] = {"one scale": [], "TTQ's two scales": []}
    for channels, size, kernel in SHAPES[:4]:
        binary = BitserialConv2d(1, size, size, kernel, 1, kernel // 2, channels, channels, 1, "binary")
        ternary = replace(binary, weight="ternary")
        contenders = {
            "binary": ours.kernel(binary, effort.target),
            "one scale": ours.kernel(replace(ternary, symmetric=True), effort.target),
            "TTQ's two scales": ours.kernel(ternary, effort.target),
        }
        found = race(contenders, effort)
        for name in ratios:
            ratios[name].append(found["binary"] / found[name])
    required = by_vectors(effort, 0.85, 0.5), by_vectors(effort, 0.45, 0.5)
    for (name, found_ratios), least in zip(ratios.items(), required, strict=True):
        yield Row(f"ternary weights, {name}, our binary kernel", geometric_mean(found_ratios), least)


@group("bits")
def more_bits(effort: Effort) -> Iterator[Row]:
    """Codes of several bits by their time over one bit by one bit: it grows with the product of the bits."""
    binary = BitserialConv2d(1, 14, 14, 3, 1, 1, 256, 256, 1, "binary")
    pairs = [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (3, 3), (4, 4)]
    contenders = {f"{a}x{b}": _of_bits(binary, a, b, effort) for a, b in pairs}
    found = race(contenders, effort)
    for a, b in pairs[1:]:
        name = f"{a} bit{'s' * (a > 1)} x {b} bit{'s' * (b > 1)} over 1 x 1, time"
        yield Row(name, found[f"{a}x{b}"] / found["1x1"], 1.05 * a * b, at_most=True, times=found)


def _of_bits(binary: BitserialConv2d, a: int, b: int, effort: Effort) -> Run:
    return ours.kernel(replace(binary, input_bits=a, weight_bits=b), effort.target)


@group("ternary bytes")
def ternary_bytes(effort: Effort) -> Iterator[Row]:
    """Ternary weights under bytes by our int8 kernel's speed."""
    cpu = cpu_of(effort.target)
    for kernel, name in ((3, ""), (1, " 1x1")):
        ratios, least = [], 0.95
        for channels, size, _ in SHAPES[:4]:
            int8 = Conv2d(1, size, size, kernel, 1, kernel // 2, channels, channels, 1, "int8", "uint8")
            works = {"int8": int8, "ternary": replace(int8, weight="ternary")}
            found = race({name: ours.kernel(work, effort.target) for name, work in works.items()}, effort)
            ratios.append(found["int8"] / found["ternary"])
            way = byte_dot_for(works["ternary"], cpu)
            if kernel == 1 and way is not None and way.is_narrow:  # 3x3 int8 goes by Winograd's tiles there
                least = 1.5
        yield Row(f"ternary weights x int8{name}, our int8 kernel", geometric_mean(ratios), least)


@group("float and int8")
def float_and_int8(effort: Effort) -> Iterator[Row]:
    """3x3, 1x1 and depthwise convolutions against onnxruntime's."""
    kinds = {"3x3": (256, 14, 3, 1), "1x1": (256, 14, 1, 1), "depthwise 3x3": (128, 28, 3, 128)}
    for precision in ("float", "int8"):
        for name, shape in kinds.items():
            yield _beside_onnxruntime(f"{precision} convolution {name}", shape, precision, effort)
    narrow = chained(*kinds["1x1"][:3], "int8-7")
    assert isinstance(narrow, Conv2d)
    way = byte_dot_for(narrow, cpu_of(effort.target))
    if way is not None and way.sums_pairs:  # elsewhere it is int8's; and 3x3 goes by the same tiles
        yield _beside_onnxruntime("int8-7 convolution 1x1", kinds["1x1"], "int8-7", effort)


def _beside_onnxruntime(name: str, shape: tuple[int, int, int, int], precision: str, effort: Effort) -> Row:
    channels, size, kernel, count = shape
    own = chained(channels, size, kernel, precision, count)
    if precision == "float":
        rival = {
            "onnxruntime": rivals.float_convolutions(*shape),
            "torch": rivals.torch_convolution(*shape),
        }
    else:
        rival = {"onnxruntime": rivals.int8_convolutions(*shape)}
    found = race({"ours": ours.kernel(own, effort.target), **rival}, effort)
    least = 0.95 if precision == "float" and count == 1 else 1.0
    of = "float" if precision == "float" else "int8"
    return Row(f"{name}, onnxruntime {of}", found["onnxruntime"] / found["ours"], least, times=found)


@group("resnet20")
def resnet20(effort: Effort) -> Iterator[Row]:
    """Whole networks of 3x32x32 images."""
    return networks("resnet20", {"float": 1, "int8": 2, "binary": by_vectors(effort, 5, 2.5)}, effort)


@group("resnet18")
def resnet18(effort: Effort) -> Iterator[Row]:
    """Whole networks of 3x224x224 images."""
    return networks("resnet18", {"float": 1, "int8": 2, "binary": by_vectors(effort, 5, 2.5)}, effort)


@group("two threads")
def two_threads(effort: Effort) -> Iterator[Row]:
    """ResNet-18 on two cores over the same on one, beside what a loop on registers gains there.

    Two threads wait for the slower CPU, so other work on either slows them more than it slows one thread: the
    least of short turns counts. The loop gains nothing where the CPUs are two threads of one core.
    """
    effort = effort if effort.least else effort.undisturbed
    shape = NETWORKS["resnet18"]
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    contenders: dict[str, Run] = {}
    for precision in ("float", "int8", "binary"):
        module = ours.settled(search_spaces.network("resnet18", precision), shape)
        one, two = (ours.compiled(module, shape, n, effort.target) for n in (1, 2))
        rivals.same(f"our {precision} resnet18 on two threads", two.run(x), one.run(x), close=0)
        contenders |= {f"{precision} one": ours.network(one, x), f"{precision} two": ours.network(two, x)}
    loops = [registers.limit(effort.target, n) for n in (1, 2)]
    contenders |= {"registers one": loops[0].run, "registers two": loops[1].run}
    found = race(contenders, effort, cores=2)
    for precision in ("float", "int8", "binary"):
        gain = found[f"{precision} one"] / found[f"{precision} two"]
        yield Row(f"resnet18 {precision}, two threads over one", gain, 1.7, times=found)
    gain = loops[1].products / loops[0].products * found["registers one"] / found["registers two"]
    yield Row("loop on registers, two threads over one", gain, 1.7, times=found)


def networks(name: str, required: dict[str, float], effort: Effort) -> Iterator[Row]:
    """A network in each precision against onnxruntime's float, and against the sum of its own kernels."""
    shape = NETWORKS[name]
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    contenders: dict[str, Run] = {}
    kernels: dict[str, list[Workload]] = {}
    for precision in required:
        module = ours.settled(search_spaces.network(name, precision), shape)
        expected = answer(module, x)
        compiled = ours.compiled(module, shape, target=effort.target)
        rivals.same(f"our {precision} {name}", compiled.run(x), expected, close=CLOSE[precision])
        contenders[precision] = ours.network(compiled, x)
        kernels[precision] = list(compiled.info.workloads)
        if precision == "float":
            found = onnx_of(plain(module), shape)
            in_bytes = quantized(found, calibration(shape))
            contenders["onnxruntime float"] = rivals.onnxruntime_network(found, x, expected)
            contenders["onnxruntime int8"] = rivals.onnxruntime_network(in_bytes, x, expected, close=LOOSE)
            contenders["torch"] = rivals.torch_network(module, x)
    distinct = {w.key: ours.kernel(w, effort.target) for found in kernels.values() for w in found}
    times = race(contenders | distinct, effort)
    shown = {contender: times[contender] for contender in contenders}
    for precision, least in required.items():
        ratio = times["onnxruntime float"] / times[precision]
        yield Row(f"{name} {precision}, onnxruntime float", ratio, least, times=shown)
    ratio = times["onnxruntime int8"] / times["int8"]
    yield Row(f"{name} int8, onnxruntime int8", ratio, 1, times=shown)
    if name == "resnet20":
        yield Row(f"{name} binary, our int8", times["int8"] / times["binary"], 1.5, times=shown)
    for precision, found in kernels.items():
        total = sum(times[w.key] for w in found)
        yield Row(
            f"{name} {precision} over the sum of its kernels", times[precision] / total, 1.1, at_most=True
        )
    if name == "resnet20":
        outside = sum(times[w.key] for w in kernels["binary"] if w.family not in CONVOLUTIONS)
        share = outside / sum(times[w.key] for w in kernels["binary"])
        yield Row(f"{name} binary, share outside convolutions", share, 0.15, at_most=True)


def answer(module: nn.Module, x: np.ndarray) -> np.ndarray:
    """What torch computes."""
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(x)).numpy())

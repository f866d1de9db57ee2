"""Workloads of what is done value by value: codes, activations, scales and sums of two."""

from dataclasses import dataclass, field
from typing import ClassVar

from runtime.workload.base import (
    UNLESS_DEFAULT,
    Arithmetic,
    ByteCode,
    ElementwiseWorkload,
    ThresholdKind,
    Workload,
)


@dataclass(frozen=True)
class SignPack(Workload):
    """The bit ``x < threshold`` of each value, packed into uint32 words along the channels of a group."""

    family: ClassVar[str] = "sign_pack"
    height: int
    width: int
    channels: int
    groups: int
    threshold: ThresholdKind


@dataclass(frozen=True)
class Quantize(ElementwiseWorkload):
    """``round(x / step)``, of int8 plus a zero point, clamped to 0..255, or 0..2^N - 1 for uintN."""

    family: ClassVar[str] = "quantize"
    code: ByteCode
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Relu(ElementwiseWorkload):
    """``max(x, 0)`` where no kernel before it could take it in."""

    family: ClassVar[str] = "relu"
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Relu6(ElementwiseWorkload):
    """``min(max(x, 0), 6)``."""

    family: ClassVar[str] = "relu6"
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Prelu(Workload):
    """``max(x, 0) + slope * min(x, 0)``, a slope per channel."""

    family: ClassVar[str] = "prelu"
    pixels: int
    channels: int


@dataclass(frozen=True)
class Affine(Workload):
    """A scale and a bias per channel, then perhaps a ReLU: a batch norm that follows no convolution."""

    family: ClassVar[str] = "affine"
    pixels: int
    channels: int
    arithmetic: Arithmetic = "float"
    relu: bool = field(default=False, kw_only=True, metadata=UNLESS_DEFAULT)


@dataclass(frozen=True)
class AffineMap(Workload):
    """A scale for each channel of each pixel, and a bias per channel."""

    family: ClassVar[str] = "affine_map"
    pixels: int
    channels: int


@dataclass(frozen=True)
class ScaleChannels(Workload):
    """Each channel of an image times a number of that image (squeeze-and-excitation)."""

    family: ClassVar[str] = "scale_channels"
    pixels: int
    channels: int


@dataclass(frozen=True)
class Add(ElementwiseWorkload):
    """The sum of two tensors of the same shape."""

    family: ClassVar[str] = "add"
    arithmetic: Arithmetic = "float"

"""Workloads of convolutions and dense layers: what multiplies inputs by weights."""

from dataclasses import dataclass, field
from typing import ClassVar

from runtime.workload.base import (
    UNLESS_DEFAULT,
    Activation,
    Arithmetic,
    InputCode,
    Layout,
    OutputCode,
    SpatialWorkload,
    ThresholdKind,
    Workload,
)


@dataclass(frozen=True)
class FusedOutput:
    """What a convolution does before its result leaves the registers.

    Attributes:
        activation: what takes the place of the ReLU.
        residual: a tensor of the output's shape is added, before the ReLU or the activation.
        output: the code in which the result is written, for the next layer to read.
        also_float: with a code, the float is written as well.
        threshold: of what shape the thresholds of a binary output are.
        output_groups: in how many groups the next layer reads a binary output.
        arithmetic: how sums are scaled, and what the residual and the real output are.
    """

    relu: bool = field(default=False, kw_only=True)
    activation: Activation = field(default="none", kw_only=True, metadata=UNLESS_DEFAULT)
    residual: bool = field(default=False, kw_only=True)
    output: OutputCode = field(default="float", kw_only=True)
    also_float: bool = field(default=False, kw_only=True)
    threshold: ThresholdKind = field(default="zero", kw_only=True)
    output_groups: int = field(default=1, kw_only=True)
    arithmetic: Arithmetic = field(default="float", kw_only=True)


@dataclass(frozen=True)
class Conv2d(FusedOutput, SpatialWorkload):
    """Convolution of floats or bytes, then a scale and a bias per output channel, then an activation."""

    family: ClassVar[str] = "conv2d"
    in_channels: int
    out_channels: int
    groups: int
    weight: Layout
    input: InputCode


@dataclass(frozen=True)
class BitserialConv2d(FusedOutput, SpatialWorkload):
    """Convolution of packed codes with binary, ternary or n-bit weights by popcount, then scale and bias.

    Attributes:
        symmetric: ternary weights are +-1 times one scale, so that one sum serves both signs.
        input_bits: planes of signs that make one input, such as s_0 + 2 s_1 + 4 s_2, each s in {-1, +1}. Each
            pair of planes is a sum with a scale of its own.
        weight_bits: the same of a weight.
        digits: planes of the inputs stand for 0 and 1: a set bit is a 1. Totals and scales make up for it.
    """

    family: ClassVar[str] = "bitserial_conv2d"
    in_channels: int
    out_channels: int
    groups: int
    weight: Layout
    symmetric: bool = False
    input_bits: int = 1
    weight_bits: int = 1
    digits: bool = field(default=False, kw_only=True, metadata=UNLESS_DEFAULT)


@dataclass(frozen=True)
class DepthwiseConv2d(FusedOutput, SpatialWorkload):
    """Convolution of each channel with its own filter, then scale, bias and perhaps an activation."""

    family: ClassVar[str] = "depthwise_conv2d"
    channels: int
    weight: Layout
    input: InputCode


@dataclass(frozen=True)
class Dense(Workload):
    """Matrix product of (batch, in_features) in floats or bytes, then scale, bias, perhaps an activation."""

    family: ClassVar[str] = "dense"
    in_features: int
    out_features: int
    weight: Layout
    input: InputCode
    relu: bool = False
    arithmetic: Arithmetic = "float"
    activation: Activation = field(default="none", kw_only=True, metadata=UNLESS_DEFAULT)


@dataclass(frozen=True)
class BitserialDense(Workload):
    """Matrix product of packed codes with binary, ternary or n-bit weights by popcount, then scale and bias.

    ``input_bits``, ``weight_bits`` and ``digits`` are those of ``BitserialConv2d``.
    """

    family: ClassVar[str] = "bitserial_dense"
    in_features: int
    out_features: int
    weight: Layout
    symmetric: bool = False
    relu: bool = False
    activation: Activation = field(default="none", kw_only=True, metadata=UNLESS_DEFAULT)
    input_bits: int = field(default=1, kw_only=True, metadata=UNLESS_DEFAULT)
    weight_bits: int = field(default=1, kw_only=True, metadata=UNLESS_DEFAULT)
    digits: bool = field(default=False, kw_only=True, metadata=UNLESS_DEFAULT)

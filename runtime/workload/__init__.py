"""Workloads: each names one compiled kernel; every family is registered when this package is imported."""

from runtime.workload.base import (
    Arithmetic,
    ByteCode,
    InputCode,
    Layout,
    OutputCode,
    PooledCode,
    SpatialWorkload,
    ThresholdKind,
    Workload,
)
from runtime.workload.maps import (
    Add,
    Affine,
    AffineMap,
    Prelu,
    Quantize,
    Relu,
    Relu6,
    ScaleChannels,
    Sigmoid,
    SignPack,
)
from runtime.workload.moves import ChannelShuffle, Concat, Subsample, ToNchw, ToNhwc
from runtime.workload.pools import AvgPool2d, GlobalAvgPool, MaxPool2d
from runtime.workload.sums import BitserialConv2d, BitserialDense, Conv2d, Dense, DepthwiseConv2d, FusedOutput
from runtime.workload.window import Window

__all__ = [
    "Add",
    "Affine",
    "AffineMap",
    "Arithmetic",
    "AvgPool2d",
    "BitserialConv2d",
    "BitserialDense",
    "ByteCode",
    "ChannelShuffle",
    "Concat",
    "Conv2d",
    "Dense",
    "DepthwiseConv2d",
    "FusedOutput",
    "GlobalAvgPool",
    "InputCode",
    "Layout",
    "MaxPool2d",
    "OutputCode",
    "PooledCode",
    "Prelu",
    "Quantize",
    "Relu",
    "Relu6",
    "ScaleChannels",
    "Sigmoid",
    "SignPack",
    "SpatialWorkload",
    "Subsample",
    "ThresholdKind",
    "ToNchw",
    "ToNhwc",
    "Window",
    "Workload",
]

"""Workloads: each names one compiled kernel; every family is registered when this package is imported."""

from runtime.workload.activations import Elu, Gelu, Hardsigmoid, Hardswish, Sigmoid, Silu
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
    SignPack,
)
from runtime.workload.moves import ChannelShuffle, Concat, Permute, Slice, Subsample, ToNchw, ToNhwc
from runtime.workload.norms import GroupNorm, LayerNorm, Softmax
from runtime.workload.planes import AdaptiveAvgPool, Pad2d, ResizeBilinear, TakePixels
from runtime.workload.pools import AvgPool2d, GlobalAvgPool, MaxPool2d
from runtime.workload.sums import BitserialConv2d, BitserialDense, Conv2d, Dense, DepthwiseConv2d, FusedOutput
from runtime.workload.window import Window

__all__ = [
    "AdaptiveAvgPool",
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
    "Elu",
    "FusedOutput",
    "Gelu",
    "GlobalAvgPool",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "InputCode",
    "LayerNorm",
    "Layout",
    "MaxPool2d",
    "OutputCode",
    "Pad2d",
    "Permute",
    "PooledCode",
    "Prelu",
    "Quantize",
    "Relu",
    "Relu6",
    "ResizeBilinear",
    "ScaleChannels",
    "Sigmoid",
    "SignPack",
    "Silu",
    "Slice",
    "Softmax",
    "SpatialWorkload",
    "Subsample",
    "TakePixels",
    "ThresholdKind",
    "ToNchw",
    "ToNhwc",
    "Window",
    "Workload",
]

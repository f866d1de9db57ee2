"""The kernels, one module a family; importing this package registers them all."""

from runtime.kernels import (
    activations,
    bitserial,
    convolution,
    copies,
    depthwise,
    elementwise,
    levels,
    moves,
    norms,
    pooling,
    resizing,
    sign_pack,
)
from runtime.kernels.base import Buffer, Kernel, kernel_for, kernels

__all__ = [
    "Buffer",
    "Kernel",
    "activations",
    "bitserial",
    "convolution",
    "copies",
    "depthwise",
    "elementwise",
    "kernel_for",
    "kernels",
    "levels",
    "moves",
    "norms",
    "pooling",
    "resizing",
    "sign_pack",
]

"""The kernels, one module a family; importing this package registers them all."""

from runtime.kernels import bitserial, convolution, depthwise, elementwise, moves, pooling, sign_pack
from runtime.kernels.base import Buffer, Kernel, kernel_for, kernels

__all__ = [
    "Buffer",
    "Kernel",
    "bitserial",
    "convolution",
    "depthwise",
    "elementwise",
    "kernel_for",
    "kernels",
    "moves",
    "pooling",
    "sign_pack",
]

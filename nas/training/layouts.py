"""Training at the speed of its arithmetic: gradients that lie in memory as their tensors do, and memory kept.

torch's norms and activations take up to twenty times as long where an input and its gradient lie in memory
in different orders, and so it is with gradients of concatenations, which are slices, and of means over an
image, which have their channels first whatever the image has.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

from search_spaces.quantizers import memory_format


class EvenGradients(TorchFunctionMode):
    """Within, torch's functions compute what they do, with gradients in their tensors' layout."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        function = _FUNCTIONS.get(func)
        return func(*args, **given) if function is None else function(*args, **given)


def _batch_norm(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    layout = memory_format(x)
    y = F.batch_norm(x.contiguous(memory_format=layout), *args, **kwargs)
    if y.requires_grad:
        y.register_hook(lambda grad: grad.contiguous(memory_format=layout))  # type: ignore[no-untyped-call]  # torch's
    return y


def _cat(tensors: Any, dim: int = 0, **kwargs: Any) -> Tensor:
    parts = tuple(tensors)
    if dim not in (1, -3) or kwargs or not all(part.dim() == 4 for part in parts):
        return torch.cat(parts, dim, **kwargs)
    return cast(Tensor, _Concatenation.apply(*parts))  # type: ignore[no-untyped-call]  # torch's


class _Concatenation(Function):
    """Of channels; torch's own gives slices of the gradient, with gaps between their pixels."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.parts = [(part.shape[1], part.dtype, memory_format(part)) for part in parts]
        return torch.cat(parts, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        slices = torch.split(grads[0], [channels for channels, _, _ in ctx.parts], 1)
        return tuple(
            piece.to(dtype).contiguous(memory_format=layout)
            for piece, (_, dtype, layout) in zip(slices, ctx.parts, strict=True)
        )


def _adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    if output_size not in (1, (1, 1), [1, 1]) or x.dim() != 4:
        return F.adaptive_avg_pool2d(x, output_size)
    return cast(Tensor, _ImageMean.apply(x))  # type: ignore[no-untyped-call]  # torch's


class _ImageMean(Function):
    """(N, C, H, W) -> (N, C, 1, 1); torch's own gives a gradient with its channels first."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape, ctx.layout = x.shape, memory_format(x)
        return F.adaptive_avg_pool2d(x, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        pixels = ctx.shape[2] * ctx.shape[3]
        means = grads[0] / pixels
        spread = torch.empty(ctx.shape, dtype=means.dtype, device=means.device, memory_format=ctx.layout)
        return spread.copy_(means)


_FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    F.batch_norm: _batch_norm,
    torch.cat: _cat,
    torch.concat: _cat,
    torch.concatenate: _cat,
    F.adaptive_avg_pool2d: _adaptive_avg_pool2d,
}

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of mallopt(3), as <malloc.h> has them."""
_USUAL = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}


@contextmanager
def kept_memory() -> Iterator[None]:
    """What is freed within stays with the process and is used again; in the end it goes back.

    glibc gives large blocks back at once, and each page of the next one is made and zeroed again, which takes
    up to a half of a training on images of 32 pixels. Elsewhere nothing is done.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        for option, value in _USUAL.items():
            libc.mallopt(option, value)
        gc.collect(0)
        libc.malloc_trim(0)

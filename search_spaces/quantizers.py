"""Quantizers as pure functions: each with its formula, its gradient and the paper it is from.

Papers: [TTQ+] Holesovsky and Maki, *Compact ConvNets with Ternary Weights and Binary Activations*;
[BNN] Courbariaux et al., *Binarized Neural Networks*; [QNN] Hubara et al., *Quantized Neural Networks*;
[TWN] Li et al., *Ternary Weight Networks*; [XNOR] Rastegari et al., *XNOR-Net*; [XNOR++] Bulat and
Tzimiropoulos, *XNOR-Net++*; [DoReFa] Zhou et al., *DoReFa-Net*.
"""

import math
from functools import lru_cache
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.autograd import Function

DitherMode = Literal["2d", "3d"]
"""Along which axes a mask of dithering differs: rows and columns, or channels too."""

TERNARY_THRESHOLD = 0.05
"""t of [TTQ+] equation 2, the same for the whole network."""

SYMMETRIC_THRESHOLD = 0.7
"""Of the mean of |w|: [TWN] equation 6."""


class _Sign(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _signs(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return passed(grads[0], ctx.saved_tensors[0], -1, 1)


def _signs(x: Tensor) -> Tensor:
    # torch.sign maps 0 to 0, and behind a ReLU zeros are everywhere; in place, as memory is what takes time
    return torch.lt(x, 0, out=torch.empty_like(x)).mul_(-2).add_(1)


def passed(grad: Tensor, x: Tensor, low: "Bound", high: "Bound") -> Tensor:
    """``grad`` where low <= x <= high, else 0, for bounds that are no denormals; of any shape."""
    if isinstance(low, Tensor) and not x.is_cpu:  # a number would have to be waited for
        return grad * ((x >= low) & (x <= high))
    # in one pass; hardtanh has no gradient at its ends, so these are moved by one float
    ends = _just_beyond(float(low), float(high), x.dtype)
    return cast(Tensor, torch.ops.aten.hardtanh_backward(grad, x, *ends))


@lru_cache(maxsize=256)
def _just_beyond(low: float, high: float, dtype: torch.dtype) -> tuple[float, float]:
    """The floats before ``low`` and after ``high``; denormals, which a processor may not see, left out."""
    ends, beyond = torch.tensor([[low, high], [-math.inf, math.inf]], dtype=dtype, device="cpu")
    below, above = torch.nextafter(ends, beyond).tolist()
    tiny = torch.finfo(dtype).tiny
    return below if abs(below) >= tiny else -tiny, above if abs(above) >= tiny else tiny


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else -1 ([TTQ+] equation 6: sign(0) = +1); any shape.

    Gradient: straight through where |x| <= 1, else 0 ([TTQ+] equation 8, from [BNN]).
    """
    return cast(Tensor, _Sign.apply(x))  # type: ignore[no-untyped-call]  # torch's


@lru_cache(maxsize=32)
def dither_mask(channels: int, height: int, width: int, mode: DitherMode) -> Tensor:
    """The mask m of [TTQ+] equations 9 to 11, float32 of shape (channels, height, width), in [-1, 1].

    With i_x the column, i_y the row, and i_z = 1 for every channel (``2d``) or the channel's index (``3d``)::

        m = 2 m' - 1,    m' = ((((i_x + 67 i_z) + 236 i_y) * 119) & 255) / 255

    The result is shared between callers: do not write into it.
    """
    # on the CPU whatever the default device is: the mask is kept for all
    i_x = torch.arange(width, device="cpu").view(1, 1, width)
    i_y = torch.arange(height, device="cpu").view(1, height, 1)
    i_z = torch.arange(channels, device="cpu").view(channels, 1, 1)
    if mode == "2d":
        i_z = torch.ones_like(i_z)
    level = (((i_x + 67 * i_z) + 236 * i_y) * 119) & 255  # (C, H, W), integers
    # float64 first, so that every platform rounds to the same float32
    return (2.0 * (level.double() / 255.0) - 1.0).float()


def dithered(x: Tensor, mode: DitherMode, plane: tuple[int, int] = (1, 1)) -> Tensor:
    """x + m, for x (N, C, H, W), or (N, C H W): the features of images of ``plane`` rows and columns."""
    height, width = x.shape[2:] if x.dim() == 4 else plane
    channels = x[0].numel() // (height * width)
    if x.dim() != 4:
        return x + dither_mask(channels, height, width, mode).reshape(x.shape[1:]).to(x)
    return x + _laid_mask(channels, height, width, mode, memory_format(x)).to(x)


@lru_cache(maxsize=32)
def _laid_mask(
    channels: int, height: int, width: int, mode: DitherMode, layout: torch.memory_format
) -> Tensor:
    """The mask of one image, (1, channels, height, width), to add without changing the layout of images."""
    return dither_mask(channels, height, width, mode).unsqueeze(0).contiguous(memory_format=layout)


def memory_format(x: Tensor) -> torch.memory_format:
    """How images (N, C, H, W) lie in memory."""
    is_last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format


def in_memory_order(x: Tensor) -> Tensor:
    """All numbers of a tensor, (numel,), as they lie in memory, where they lie without gaps."""
    if x.dim() == 4 and memory_format(x) == torch.channels_last:
        return x.permute(0, 2, 3, 1).reshape(-1)
    return x.reshape(-1)


def ternary_codes(weight: Tensor) -> Tensor:
    """-1, 0 or +1 for each weight ([TTQ+] equations 1 and 2): 0 where |w| <= 0.05 max|w|; any shape."""
    delta = TERNARY_THRESHOLD * weight.abs().max()
    return (weight > delta).to(weight.dtype) - (weight < -delta).to(weight.dtype)


class _Ternarize(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        codes = ternary_codes(weight)
        ctx.save_for_backward(codes, positive, negative)
        return torch.where(codes > 0, positive, torch.where(codes < 0, -negative, torch.zeros_like(negative)))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        codes, positive, negative = ctx.saved_tensors
        grad = grads[0]
        to_weight = grad * torch.where(codes > 0, positive, torch.where(codes < 0, negative, 1.0))
        return to_weight, (grad * (codes > 0)).sum(), -(grad * (codes < 0)).sum()


def ternarize(weight: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """+W^p, 0 or -W^n for each weight ([TTQ+] equations 1 and 2); ``positive`` and ``negative`` are 0-dim.

    Gradient, with g the gradient of the result ([TTQ+] equations 3 to 5): of W^p the sum of g over the
    positive weights; of W^n *minus* the sum of g over the negative ones; of a weight g W^p, g or g W^n.
    """
    return cast(Tensor, _Ternarize.apply(weight, positive, negative))  # type: ignore[no-untyped-call]  # torch's


def symmetric_codes(weight: Tensor) -> Tensor:
    """-1, 0 or +1 for each weight ([TWN] equations 3 and 6): 0 where |w| <= 0.7 mean|w|; any shape."""
    delta = SYMMETRIC_THRESHOLD * weight.abs().mean()
    return (weight > delta).to(weight.dtype) - (weight < -delta).to(weight.dtype)


def symmetric_scale(weight: Tensor) -> Tensor:
    """The one scale that fits best: the mean of |w| where the code is not 0 ([TWN] equation 5); 0-dim."""
    chosen = symmetric_codes(weight) != 0
    return (weight.abs() * chosen).sum() / chosen.sum().clamp_min(1)


class _TernarizeSymmetrically(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return symmetric_codes(weight) * symmetric_scale(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def ternarize_symmetrically(weight: Tensor) -> Tensor:
    """+a, 0 or -a for each weight ([TWN] equations 3, 5 and 6), a in closed form; any shape.

    Gradient: the latent weights take that of the ternary ones as it is ([TWN] section 2.3).
    """
    return cast(Tensor, _TernarizeSymmetrically.apply(weight))  # type: ignore[no-untyped-call]  # torch's


def output_scales(weight: Tensor) -> Tensor:
    """The mean of |w| of each output channel ([XNOR] equation 6); weight (O, ...), result (O,)."""
    return weight.detach().abs().flatten(1).mean(1)


class _BinarizeAnalytically(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        scales = output_scales(weight).view(-1, *[1] * (weight.dim() - 1))
        ctx.save_for_backward(weight, scales)
        return _signs(weight) * scales

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        weight, scales = ctx.saved_tensors
        share: Tensor = 1 / weight[0].numel() + scales * (weight.abs() <= 1)
        return grads[0] * share


def binarize_analytically(weight: Tensor) -> Tensor:
    """sign(w) times the mean of |w| of its output channel ([XNOR] equations 4 and 6); weight (O, ...).

    Gradient ([XNOR] section 3.1): g (1 / n + a 1{|w| <= 1}), with a the scale and n the weights of a channel.
    """
    return cast(Tensor, _BinarizeAnalytically.apply(weight))  # type: ignore[no-untyped-call]  # torch's


class _MeanSigns(Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return _signs(weight) * weight.abs().mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def dorefa_signs(weight: Tensor) -> Tensor:
    """sign(w) times the mean of |w| over the layer ([DoReFa] equation 8); any shape.

    Gradient: straight through.
    """
    return cast(Tensor, _MeanSigns.apply(weight))  # type: ignore[no-untyped-call]  # torch's


def dorefa_weight(weight: Tensor, bits: int) -> Tensor:
    """2 q(tanh w / (2 max|tanh w|) + 1/2) - 1 ([DoReFa] equation 9), q rounding to 2^bits levels in 0..1.

    The result is an odd number from -(2^bits - 1) to 2^bits - 1, over 2^bits - 1. Gradient: q passes it on.
    """
    bent = weight.tanh()
    unit: Tensor = bent / (2 * bent.abs().max().clamp_min(1e-12)) + 0.5
    return cast(Tensor, _OddLevels.apply(unit, 2**bits - 1))  # type: ignore[no-untyped-call]  # torch's


class _OddLevels(Function):
    """2 q(x) - 1 by whole numbers: the difference of floats near 1 would not be as exact as kernels are."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, highest: int) -> Tensor:
        return (2 * torch.round(x * highest) - highest) / highest

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return 2 * grads[0], None


def levels(x: Tensor, bits: int) -> Tensor:
    """x clamped to 0..1 and rounded to a multiple of 1 / (2^bits - 1) ([DoReFa] equations 5 and 6).

    Gradient: straight through within 0..1, else 0.
    """
    highest = 2**bits - 1
    return fake_quantize(x, torch.tensor(1 / highest, device=x.device), 0, highest)


Bound = int | Tensor
"""The lowest or highest step: a number, or a 0-dim tensor."""


class _FakeQuantize(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, low: Bound, high: Bound) -> Tensor:
        # as compiled code does: a division costs more than all the rest
        per_scale = 1 / scale
        ctx.save_for_backward(x, per_scale)
        ctx.ends = low, high
        steps = x * per_scale
        return steps.round_().clamp_(low, high).mul_(scale)  # type: ignore[arg-type]  # both ends are of one kind

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        x, per_scale = ctx.saved_tensors
        return passed(grads[0], x * per_scale, *ctx.ends), None, None, None


def fake_quantize(x: Tensor, scale: Tensor, low: Bound, high: Bound) -> Tensor:
    """``clamp(round(x * (1 / scale)), low, high) * scale``, halves to even; ``scale`` broadcasts to x.

    Gradient: straight through where x / scale lies in [low, high], else 0; none for the scale ([QNN]).
    """
    return cast(Tensor, _FakeQuantize.apply(x, scale, low, high))  # type: ignore[no-untyped-call]  # torch's


def channel_scales(weight: Tensor) -> Tensor:
    """The int8 step of each output channel, max|w| / 127; weight (O, ...), result (O,), always positive."""
    largest = weight.detach().abs().flatten(1).amax(1)
    return largest.clamp_min(1e-8) / 127

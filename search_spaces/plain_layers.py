"""Layers without a precision: shuffles, learned scales and shifts, and subsampling."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from search_spaces.errors import InvalidInput
from search_spaces.quantizers import memory_format


class ChannelShuffle(nn.Module):
    """Interleaves the channels of ``groups`` groups (ShuffleNet); (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, groups: int) -> None:
        check_positive(groups=groups)
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if memory_format(x) == torch.channels_last:  # and so it stays
            pixels = x.permute(0, 2, 3, 1).reshape(n, h, w, self.groups, c // self.groups)
            return pixels.transpose(3, 4).reshape(n, h, w, c).permute(0, 3, 1, 2)
        x = x.reshape(n, self.groups, c // self.groups, h, w).transpose(1, 2)  # (N, C / groups, groups, H, W)
        return x.reshape(n, c, h, w)


class OutputScale(nn.Module):
    """A learned factor for the output of a binary layer (XNOR-Net++, equations 4 to 7).

    (N, C, H, W) -> the same, times G. Case 1: G = a over channels. Case 2: G over channels and pixels. Case
    3: G is the outer product of a over channels and b over pixels. Case 4: of a over channels, b over rows, c
    over columns. However it was learned, ``merged`` is what a network computes with once it is trained.

    Raises:
        InvalidInput: a case that is not 1 to 4, or a size below 1.
    """

    def __init__(self, channels: int, height: int, width: int, case: int) -> None:
        check_positive(channels=channels, height=height, width=width)
        if case not in (1, 2, 3, 4):
            raise InvalidInput("case", f"there is no case {case}", "choose 1 to 4")
        super().__init__()
        shapes = {
            1: [(channels, 1, 1)],
            2: [(channels, height, width)],
            3: [(channels, 1, 1), (1, height, width)],
            4: [(channels, 1, 1), (1, height, 1), (1, 1, width)],
        }
        self.case, self.size = case, (channels, height, width)
        self.factors = nn.ParameterList([nn.Parameter(torch.ones(shape)) for shape in shapes[case]])

    def merged(self) -> Tensor:
        """G, (C, H, W), or (C, 1, 1) in case 1."""
        product: Tensor = self.factors[0]
        for factor in list(self.factors)[1:]:
            product = product * factor
        return product

    def forward(self, x: Tensor) -> Tensor:
        return x * self.merged()


class ChannelShift(nn.Module):
    """A learned number added to each channel (ReActNet, equations 1 and 2); (N, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        check_positive(channels=channels)
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift.view(-1, 1, 1)


class ShiftedPReLU(nn.Sequential):
    """A PReLU between two learned shifts (ReActNet, equation 2: RPReLU); (N, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__(ChannelShift(channels), nn.PReLU(channels), ChannelShift(channels))


class Subsample(nn.Module):
    """Every ``stride``-th pixel, and zeros for ``added`` channels behind the others (He et al., option A).

    (N, C, H, W) -> (N, C + added, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, stride: int, added: int) -> None:
        check_positive(stride=stride)
        if added < 0:
            raise InvalidInput("added", f"{added} is negative", "choose 0 or more")
        super().__init__()
        self.stride, self.added = stride, added

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.stride == 1 else _EveryNth.apply(x, self.stride)  # type: ignore[no-untyped-call]  # torch's
        return F.pad(kept, [0, 0, 0, 0, 0, self.added])


class _EveryNth(Function):
    """Of rows and columns; the gradient lies in memory as the images do, which torch's own does not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int) -> Tensor:
        ctx.shape, ctx.stride, ctx.layout = x.shape, stride, memory_format(x)
        return x[:, :, ::stride, ::stride].contiguous(memory_format=ctx.layout)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0]
        spread = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=ctx.layout)
        spread.zero_()[:, :, :: ctx.stride, :: ctx.stride] = grad
        return spread, None


def check_positive(**sizes: int) -> None:
    """Refuse a size below 1 by its name."""
    for name, value in sizes.items():
        if value < 1:
            raise InvalidInput(name, f"{value} is below 1", "choose 1 or more")

"""What a kind of block is, and what kinds are made of: layers with a batch norm each, pre-activation.

A kind is a class registered in ``blocks`` (entry-point group ``bitnas.blocks``): ``roles`` names the
layers that take a precision, and the constructor takes the input channels, the block's data and a
precision for each role. Forward passes must be traceable by torch.fx, with no control flow on data, and
must not look into layers, at their precisions or shapes: what a pass decides by is an attribute of the block.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, ClassVar

from torch import nn

from search_spaces.architecture import Block
from search_spaces.layers import QuantConv2d
from search_spaces.plain_layers import Subsample
from search_spaces.precision import Precision
from search_spaces.registry import Registry


class BlockModule(nn.Module):
    """A block: (N, in_channels, H, W) -> (N, block.width, H', W'), with H' = ceil(H / stride).

    The output is a batch norm's, without a ReLU: whatever consumes it brings its own activation.
    """

    roles: ClassVar[tuple[str, ...]] = ()

    def __init__(self, in_channels: int, block: Block, precisions: Mapping[str, Precision]) -> None:
        super().__init__()


blocks: Registry[type[BlockModule]] = Registry("block", "blocks")


NORM_MOMENTUM = 0.2
"""Share of the newest batch in the running statistics, which short trainings would else leave behind."""


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    precision: Precision,
    *,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """A convolution with the batch norm that follows every one; the arguments are ``QuantConv2d``'s."""
    options = in_channels, out_channels, kernel, precision, stride, groups, relu
    made = _shared.get()
    if made is None:
        return _conv_norm(*options)
    made[options] += 1
    return _shared_conv_norm(made[options], *options)


def _conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    precision: Precision,
    stride: int,
    groups: int,
    relu: bool,
) -> nn.Sequential:
    conv = QuantConv2d(in_channels, out_channels, kernel, precision, stride=stride, groups=groups, relu=relu)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels, momentum=NORM_MOMENTUM))


_shared: ContextVar[Counter[Hashable] | None] = ContextVar("shared", default=None)


@lru_cache(4096)
def _shared_conv_norm(_nth: int, *options: Any) -> nn.Sequential:
    return _conv_norm(*options)


@contextmanager
def shared_layers() -> Iterator[None]:
    """A module made here shares its layers with others, not with itself: it is to look at, and soon made."""
    token = _shared.set(Counter())
    try:
        yield
    finally:
        _shared.reset(token)


def forget_layers() -> None:
    """Have ``shared_layers`` make its layers again."""
    _shared_conv_norm.cache_clear()


def keeps_shape(in_channels: int, block: Block) -> bool:
    """Whether the output can be added to the input."""
    return block.stride == 1 and in_channels == block.width


def shortcut(in_channels: int, block: Block) -> tuple[bool, nn.Module]:
    """Whether a block adds its input to its output, and what brings that to its shape, without parameters.

    (N, in_channels, H, W) -> (N, block.width, H', W'). With ``skip`` the input is added where the block keeps
    its shape; with ``pool``, where it subsamples and does not narrow, a 3x3 average pooling, as ShuffleNet's,
    and zeros for added channels.
    """
    if keeps_shape(in_channels, block):
        return block.skip, nn.Identity()
    added = block.width - in_channels
    if not block.pool or block.stride == 1 or added < 0:
        return False, nn.Identity()
    pool = nn.AvgPool2d(3, block.stride, 1)
    return True, nn.Sequential(pool, Subsample(1, added)) if added else pool

"""Workloads of what moves values and computes nothing."""

from dataclasses import dataclass
from typing import ClassVar

from runtime.workload.base import Arithmetic, Workload


@dataclass(frozen=True)
class Subsample(Workload):
    """Every ``stride``-th pixel, and zeros for ``added`` channels behind the others."""

    family: ClassVar[str] = "subsample"
    height: int
    width: int
    channels: int
    stride: int
    added: int
    arithmetic: Arithmetic = "float"

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return -(-self.height // self.stride)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return -(-self.width // self.stride)


@dataclass(frozen=True)
class Interleave(Workload):
    """Pixels of ``stride[0] * stride[1]`` phases, which lie in the channels of a smaller image, side by side.

    Pixel (y, x) of group g is pixel ``((y + start) // stride)`` of phase ``(y + start) % stride``, rows and
    columns alike; the channels of a group are (phases, C / groups).

    Attributes:
        height: rows of the smaller image, as ``width`` are its columns.
        channels: of the output.
        stride: rows and columns of phases.
        start: the first row and column of the output, among all that there are.
        size: rows and columns of the output.
    """

    family: ClassVar[str] = "interleave"
    height: int
    width: int
    channels: int
    groups: int
    stride: tuple[int, int]
    start: tuple[int, int]
    size: tuple[int, int]
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Concat(Workload):
    """Tensors side by side along their channels."""

    family: ClassVar[str] = "concat"
    pixels: int
    channels: tuple[int, ...]
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class ChannelShuffle(Workload):
    """Channel ``g * (C / groups) + i`` goes to ``i * groups + g`` (ShuffleNet)."""

    family: ClassVar[str] = "channel_shuffle"
    pixels: int
    channels: int
    groups: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Slice(Workload):
    """Some channels of each pixel, one beside the other: the inverse of a concatenation."""

    family: ClassVar[str] = "slice"
    pixels: int
    channels: int
    start: int
    count: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Permute(Workload):
    """The axes of each image in another order: axis i is what was axis ``order[i]`` of ``shape``."""

    family: ClassVar[str] = "permute"
    shape: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class ToNhwc(Workload):
    """From torch's NCHW to the kernels' NHWC."""

    family: ClassVar[str] = "to_nhwc"
    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class ToNchw(Workload):
    """From the kernels' NHWC back to torch's NCHW."""

    family: ClassVar[str] = "to_nchw"
    height: int
    width: int
    channels: int
    arithmetic: Arithmetic = "float"

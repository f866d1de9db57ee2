"""Workloads of what changes the sides of an image: borders and other resolutions."""

from dataclasses import dataclass
from typing import ClassVar

from runtime.workload.base import Arithmetic, Workload


@dataclass(frozen=True)
class Pad2d(Workload):
    """An image with a border of one number.

    Attributes:
        before: channels of that number before those of the image; ``behind``: after them.
        is_zero: the number is 0; else it is a constant.
    """

    family: ClassVar[str] = "pad2d"
    height: int
    width: int
    channels: int
    top: int
    bottom: int
    left: int
    right: int
    before: int = 0
    behind: int = 0
    is_zero: bool = True
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class ResizingWorkload(Workload):
    """An image of other sides."""

    height: int
    width: int
    out_height: int
    out_width: int
    channels: int


@dataclass(frozen=True)
class TakePixels(ResizingWorkload):
    """The pixels of an image in the rows and columns that two constants name: resizing to the nearest."""

    family: ClassVar[str] = "take_pixels"


@dataclass(frozen=True)
class ResizeBilinear(ResizingWorkload):
    """Each pixel lies between four: constants name their rows and columns, and the share of the others."""

    family: ClassVar[str] = "resize_bilinear"


@dataclass(frozen=True)
class AdaptiveAvgPool(ResizingWorkload):
    """Means over windows that fill the image: of y, rows ``floor(y H / H')`` to ``ceil((y + 1) H / H')``."""

    family: ClassVar[str] = "adaptive_avg_pool"

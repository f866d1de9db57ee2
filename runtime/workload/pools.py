"""Workloads of poolings."""

from dataclasses import dataclass, field
from typing import ClassVar

from runtime.workload.base import UNLESS_DEFAULT, Arithmetic, PooledCode, SpatialWorkload, Workload
from runtime.workload.window import Sides, all_sides
from search_spaces.pairs import short


@dataclass(frozen=True)
class MaxPool2d(SpatialWorkload):
    """The largest value in each window; padding counts for nothing, and neither does a NaN.

    Attributes:
        channels: of packed signs, the words of a pixel.
        code: what a channel is. Of signs the largest is +1 unless all are -1.
        mixed: of signs, some channels take the smallest in place of the largest, as a constant tells.
    """

    family: ClassVar[str] = "max_pool2d"
    channels: int
    code: PooledCode = "float"
    mixed: bool = False
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class AvgPool2d(SpatialWorkload):
    """The mean of each window; padding counts as zero, as in torch's default.

    Attributes:
        uncounted: pixels of the padding that no window counts, (top, left, bottom, right) where they differ.
        divisor: what every sum is divided by; 0 for the pixels under the window that count.
    """

    family: ClassVar[str] = "avg_pool2d"
    channels: int
    arithmetic: Arithmetic = "float"
    uncounted: Sides = field(default=0, kw_only=True, metadata=UNLESS_DEFAULT)
    divisor: int = field(default=0, kw_only=True, metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        super().__post_init__()
        uncounted = 0 if self.divisor else short(all_sides(self.uncounted))
        object.__setattr__(self, "uncounted", uncounted)


@dataclass(frozen=True)
class GlobalAvgPool(Workload):
    """The mean of each channel over all pixels of an image."""

    family: ClassVar[str] = "global_avg_pool"
    pixels: int
    channels: int
    arithmetic: Arithmetic = "float"

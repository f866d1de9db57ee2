"""Workloads of levels: as their value, or, where they are sums of a few numbers, as a bit for each number."""

from dataclasses import dataclass, field
from typing import ClassVar

from runtime.workload.base import UNLESS_DEFAULT, ElementwiseWorkload, Workload


@dataclass(frozen=True)
class Levels(ElementwiseWorkload):
    """The nearest of 2^bits levels, as a float."""

    family: ClassVar[str] = "levels"
    bits: int


@dataclass(frozen=True)
class Steps(ElementwiseWorkload):
    """``round(x highest) / highest`` of a number clamped to 0..1, as a float."""

    family: ClassVar[str] = "steps"
    highest: int


@dataclass(frozen=True)
class LevelPack(Workload):
    """The digits of the nearest of 2^bits levels, packed into uint32 words along the channels of a group.

    Attributes:
        affine: each channel is scaled and shifted first: a batch norm that follows no convolution.
    """

    family: ClassVar[str] = "level_pack"
    height: int
    width: int
    channels: int
    groups: int
    bits: int
    affine: bool = field(default=False, kw_only=True, metadata=UNLESS_DEFAULT)

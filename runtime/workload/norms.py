"""Workloads of what is made of all features of a row, or of a group: norms and softmax."""

from dataclasses import dataclass
from typing import ClassVar

from runtime.workload.base import Workload


@dataclass(frozen=True)
class LayerNorm(Workload):
    """Each row of features less its mean, over its deviation, times a scale and plus a bias for each feature.

    Ba et al., *Layer normalization*, 2016.
    """

    family: ClassVar[str] = "layer_norm"
    rows: int
    features: int


@dataclass(frozen=True)
class GroupNorm(Workload):
    """The same over all pixels of a group of channels (Wu and He, *Group normalization*, 2018)."""

    family: ClassVar[str] = "group_norm"
    pixels: int
    channels: int
    groups: int


@dataclass(frozen=True)
class Softmax(Workload):
    """``exp(x) / sum(exp(x))`` over the features of each row.

    Attributes:
        log: the logarithm of it.
    """

    family: ClassVar[str] = "softmax"
    rows: int
    features: int
    log: bool = False

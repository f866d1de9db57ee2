"""Workloads of activations: a smooth or broken line through zero, applied number by number."""

from dataclasses import dataclass
from typing import ClassVar

from runtime.workload.base import ElementwiseWorkload


@dataclass(frozen=True)
class Sigmoid(ElementwiseWorkload):
    """``1 / (1 + exp(-x))``."""

    family: ClassVar[str] = "sigmoid"


@dataclass(frozen=True)
class Silu(ElementwiseWorkload):
    """``x / (1 + exp(-x))`` (Elfwing et al., *Sigmoid-weighted linear units*, 2017)."""

    family: ClassVar[str] = "silu"


@dataclass(frozen=True)
class Hardsigmoid(ElementwiseWorkload):
    """``min(max(x + 3, 0), 6) / 6`` (Howard et al., *Searching for MobileNetV3*, 2019)."""

    family: ClassVar[str] = "hardsigmoid"


@dataclass(frozen=True)
class Hardswish(ElementwiseWorkload):
    """``x min(max(x + 3, 0), 6) / 6``, of the same paper."""

    family: ClassVar[str] = "hardswish"


@dataclass(frozen=True)
class Gelu(ElementwiseWorkload):
    """``x Phi(x)``, Phi the normal distribution (Hendrycks and Gimpel, *GELUs*, 2016).

    Attributes:
        tanh: Phi(x) is their ``(1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``.
    """

    family: ClassVar[str] = "gelu"
    tanh: bool = False


@dataclass(frozen=True)
class Elu(ElementwiseWorkload):
    """``x`` above zero, ``alpha (exp(x) - 1)`` below, alpha being a constant (Clevert et al., 2016)."""

    family: ClassVar[str] = "elu"

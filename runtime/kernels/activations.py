"""Kernels of activations, number by number."""

import math
from functools import reduce
from typing import TypeVar

from runtime.kernels.base import Buffer, kernels
from runtime.kernels.curves import CURVES
from runtime.kernels.elementwise import ElementwiseKernel
from runtime.kernels.exponential import exponential, sigmoid
from runtime.tvm_types import Compute, Expr, Tensors
from runtime.workload import ElementwiseWorkload, Elu, Gelu

TAIL_SCALE = 0.3275911
TAIL_TERMS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0)
"""Abramowitz and Stegun, *Handbook of Mathematical Functions*, 7.1.26: 1 - erf(z) for z of 0 and above is
``p(1 / (1 + TAIL_SCALE z)) exp(-z^2)``, p being the polynomial of these terms, to within 1.5e-7."""

TANH_SCALE, TANH_CUBE = math.sqrt(2 / math.pi), 0.044715

E = TypeVar("E", bound=ElementwiseWorkload)


class ActivationKernel(ElementwiseKernel[E]):
    """A kernel that maps each number by itself."""

    def buffers(self, workload: E) -> tuple[Buffer, ...]:
        """Data (size,) -> (size,)."""
        shape = (workload.size,)
        return Buffer("data", "input", shape, "float32"), Buffer("output", "output", shape, "float32")

    def expression(self, workload: E, args: Tensors) -> Compute:
        """The activation of the number."""
        return lambda i: self.activate(workload, args["data"][i], args)

    def activate(self, workload: E, x: Expr, args: Tensors) -> Expr:
        """What the number becomes."""
        raise TypeError(f"{type(self).__name__} does nothing for {workload.family}")


class CurveKernel(ActivationKernel[ElementwiseWorkload]):
    """An activation that kernels with weights know as well."""

    def activate(self, workload: ElementwiseWorkload, x: Expr, args: Tensors) -> Expr:
        """That of the workload's family."""
        return CURVES[workload.family](x)


class GeluKernel(ActivationKernel[Gelu]):
    """x Phi(x)."""

    def activate(self, workload: Gelu, x: Expr, args: Tensors) -> Expr:
        """The number times the probability of a smaller one."""
        if workload.tanh:
            return x * sigmoid(_cubic(x))  # (1 + tanh(u)) / 2 is the sigmoid of 2 u
        return x * _normal_distribution(x)


class EluKernel(ActivationKernel[Elu]):
    """x, or alpha (exp(x) - 1)."""

    def buffers(self, workload: Elu) -> tuple[Buffer, ...]:
        """Data (size,), alpha (1,) -> (size,)."""
        data, output = super().buffers(workload)
        return data, Buffer("alpha", "constant", (1,), "float32"), output

    def activate(self, workload: Elu, x: Expr, args: Tensors) -> Expr:
        """The exponential is that of negative numbers, so that nothing overflows."""
        from tvm import tirx

        zero, one = tirx.const(0.0, "float32"), tirx.const(1.0, "float32")
        below = args["alpha"][0] * (exponential(tirx.min(zero, x)) - one)
        return tirx.Select(x > zero, x, below)


def _cubic(x: Expr) -> Expr:
    """What the sigmoid is taken of for the approximation of Phi."""
    from tvm import tirx

    linear, cube = (tirx.const(2 * TANH_SCALE * f, "float32") for f in (1.0, TANH_CUBE))
    return x * (x * x * cube + linear)


def _normal_distribution(x: Expr) -> Expr:
    """Phi(x) by the tail beyond |x|, so that small probabilities keep their digits."""
    from tvm import tirx

    def const(value: float) -> Expr:
        return tirx.const(value, "float32")

    z = tirx.Select(x < const(0), -x, x) * const(math.sqrt(0.5))
    t = const(1) / (z * const(TAIL_SCALE) + const(1))
    terms = [0.5 * term for term in TAIL_TERMS]
    p = reduce(lambda total, term: total * t + const(term), terms[1:], const(terms[0]))
    tail = p * exponential(-z * z)
    return tirx.Select(x < const(0), tail, const(1) - tail)


for _family in ("sigmoid", "silu", "hardsigmoid", "hardswish"):
    kernels.add(_family, CurveKernel())
kernels.add("gelu", GeluKernel())
kernels.add("elu", EluKernel())

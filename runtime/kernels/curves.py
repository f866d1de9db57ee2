"""Activations as expressions: what becomes of one number, in a kernel of its own or where sums end."""

from collections.abc import Callable, Mapping

from runtime.kernels.exponential import exponential, sigmoid
from runtime.kernels.fixed_point import REAL_DTYPES
from runtime.tvm_types import Expr
from runtime.workload import Arithmetic


def rectified(value: Expr, arithmetic: Arithmetic = "float") -> Expr:
    """max(0, x) with the operands in the order that lets a NaN through, as torch does."""
    from tvm import tirx

    return tirx.max(tirx.const(0, REAL_DTYPES[arithmetic]), value)


def rectified_to(most: Expr, value: Expr, arithmetic: Arithmetic = "float") -> Expr:
    """min(most, max(0, x)); a NaN goes through."""
    from tvm import tirx

    return tirx.min(most, rectified(value, arithmetic))


def relu6(x: Expr) -> Expr:
    """min(6, max(0, x)); a NaN goes through."""
    return rectified_to(_const(6.0), x)


def silu(x: Expr) -> Expr:
    """x / (1 + exp(-x)), by one division."""
    return x / (_const(1.0) + exponential(-x))


def hardsigmoid(x: Expr) -> Expr:
    """relu6(x + 3) / 6; a NaN goes through."""
    return relu6(x + _const(3.0)) * _const(1 / 6)


def hardswish(x: Expr) -> Expr:
    """The number times the share of it that passes."""
    return x * hardsigmoid(x)


def _const(value: float) -> Expr:
    from tvm import tirx

    return tirx.const(value, "float32")


CURVES: Mapping[str, Callable[[Expr], Expr]] = {
    "none": lambda x: x,
    "relu6": relu6,
    "hardswish": hardswish,
    "hardsigmoid": hardsigmoid,
    "silu": silu,
    "sigmoid": sigmoid,
}
"""What each activation makes of a float32."""

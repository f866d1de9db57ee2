"""Operators of our own in TVM's programs: vectorized as TVM's are, each lowered in its own way."""

from collections.abc import Callable

from runtime.tvm_types import Expr

PURE_EFFECT = 1  # TVM's CallEffectKind::kPure
ABOVE_TVM = 99
"""The level of our lowerings: the highest one of a name is taken."""


def register_operator(name: str, lower: Callable[[Expr], Expr] | None = None, by_lanes: bool = True) -> None:
    """Make an operator known, once.

    Args:
        name: it begins with ``tirx.``.
        lower: gives for a call, whose arguments are vectors by then, what LLVM knows; None where another
            operator that takes its call lowers it.
        by_lanes: whether a vector of calls is a call of vectors.
    """
    from tvm import ir, tirx

    ir.register_op_attr(name, "TCallEffectKind", PURE_EFFECT)
    if by_lanes:
        ir.register_op_attr(name, "TVectorizable", True)
    if lower is not None:
        tirx.register_intrin_lowering(name, target="llvm", f=lower, level=ABOVE_TVM)


def called(name: str, dtype: str, *args: Expr) -> Expr:
    """A call of a registered operator."""
    from tvm import ir

    return ir.Call(ir.Op.get(name), list(args), ret_ty=dtype)

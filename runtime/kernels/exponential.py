"""The exponential of floats as vector instructions: a mathematical library has one number at a time."""

from functools import reduce

from runtime.tvm_types import Expr

LARGEST, SMALLEST = 89.0, -88.0
"""What is beyond these is as they are: infinity, and 0. So is what lies less than 0.4 within them."""

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693359375, -0.00021219444005471377
"""Parts of the logarithm of 2: the first has few bits, so that its products with whole numbers are exact."""

TERMS = (0.00139262504, 0.00836323295, 0.0416665524, 0.166665763, 0.5)
"""Of (exp(r) - 1 - r) / r^2 for |r| up to ln(2) / 2, the highest power first.

The polynomial that agrees with it at the five Chebyshev nodes; exp(r) is then off by 1e-8 of itself.
"""

ROUNDING = 1.5 * 2.0**23  # added to a small float32, it leaves no bits for a fraction
ROUNDING_BITS = 0x4B400000
EXPONENT_BIAS, FRACTION_BITS = 127, 23


def exponential(x: Expr) -> Expr:
    """exp(x) of a float32 to within 2 units in the last place; a NaN stays one.

    As 2^n exp(r), with n the whole number nearest to x / ln(2), which is written into the exponent's bits.
    """
    from tvm import tirx

    def const(value: float) -> Expr:
        return tirx.const(value, "float32")

    x = tirx.max(const(SMALLEST), tirx.min(const(LARGEST), x))
    shifted = tirx.reinterpret("int32", x * const(LOG2_E) + const(ROUNDING))
    n = shifted - tirx.const(ROUNDING_BITS, "int32")
    steps = n.astype("float32")
    r = steps * const(-LN2_LOW) + (steps * const(-LN2_HIGH) + x)
    rest = reduce(lambda total, term: total * r + const(term), TERMS[1:], const(TERMS[0]))
    power = tirx.shift_left(n + tirx.const(EXPONENT_BIAS, "int32"), tirx.const(FRACTION_BITS, "int32"))
    return ((rest * r) * r + r + const(1.0)) * tirx.reinterpret("float32", power)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x))."""
    from tvm import tirx

    one = tirx.const(1.0, "float32")
    return one / (one + exponential(-x))

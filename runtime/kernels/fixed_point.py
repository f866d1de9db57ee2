"""Integers in place of floats: real numbers in fixed point, and products with real factors.

Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*,
section 2.2: a real factor is a whole number times a power of two, and so a scaled sum is rounded from 64
bits by a shift.
"""

from typing import TYPE_CHECKING

from runtime.kernels.base import Buffer
from runtime.tvm_types import Expr, Tensors

if TYPE_CHECKING:
    from runtime.workload import Arithmetic

LIMIT = (1 << 30) - 1
"""The largest real number that is kept as an int32: the sum of two fits one. What stands for 1, a power of
two, is a constant, as it depends on what a network has learned."""

HIGHEST_BYTE = 255

COUNT_BITS = 13
"""Of numbers whose sum is divided by their count as it is."""

UNIT = Buffer("unit", "constant", (1,), "float32")
"""What stands for 1, where floats become such numbers."""

SIX = Buffer("six", "constant", (1,), "int32")
"""What stands for 6, where a ReLU6 ends."""

REAL_DTYPES = {"float": "float32", "integer": "int32"}
"""What a real number is kept in."""


def scale_buffers(shape: tuple[int, ...]) -> list[Buffer]:
    """The constants of ``rescaled`` for each channel; what is rounded has its half in the bias."""
    return [
        Buffer("multiplier", "constant", shape, "int32"),
        Buffer("bias", "constant", shape, "int64"),
        Buffer("shift", "constant", (1,), "int64"),
    ]


def code_buffers() -> list[Buffer]:
    """The constants of ``rescaled`` from a real number to the steps of a code, its zero point in the bias."""
    return [
        Buffer("code_multiplier", "constant", (1,), "int32"),
        Buffer("code_bias", "constant", (1,), "int64"),
        Buffer("code_shift", "constant", (1,), "int64"),
    ]


def rescaled(x: Expr, multiplier: Expr, bias: Expr, shift: Expr) -> Expr:
    """``(x * multiplier + bias) >> shift``, an int64."""
    from tvm import tirx

    return tirx.shift_right(x.astype("int64") * multiplier.astype("int64") + bias, shift)


def rescaled_in_32_bits(x: Expr, multiplier: Expr, bias: Expr, shift: Expr) -> Expr:
    """``rescaled``, brought to what an int32 holds.

    A shift by 32 places and more leaves the upper half of 64 bits, which vectors have at once, and CPUs like
    AVX2's shift 64 bits with their sign in no instruction. Smaller shifts are those of large scales, which
    are rare.
    """
    from tvm import tirx

    bits, most = tirx.const(32, "int64"), (1 << 31) - 1
    total = x.astype("int64") * multiplier.astype("int64") + bias
    upper = tirx.shift_right(total, bits).astype("int32")
    low, high = tirx.const(-most - 1, "int64"), tirx.const(most, "int64")
    whole = tirx.max(tirx.min(tirx.shift_right(total, shift), high), low).astype("int32")
    return tirx.if_then_else(shift >= bits, tirx.shift_right(upper, (shift - bits).astype("int32")), whole)


def saturated(x: Expr) -> Expr:
    """An integer brought to within +-LIMIT, as an int32."""
    from tvm import tirx

    dtype = str(x.ty)
    high, low = tirx.const(LIMIT, dtype), tirx.const(-LIMIT, dtype)
    return tirx.max(tirx.min(x, high), low).astype("int32")


def from_float(x: Expr, unit: Expr) -> Expr:
    """A float32 in fixed point, halves away from 0; what is too large becomes the largest."""
    from tvm import tirx

    def const(value: float) -> Expr:
        return tirx.const(value, "float32")

    most = const(float(LIMIT - 63))  # a float32
    steps = tirx.max(tirx.min(x * unit, most), -most)
    return (steps + tirx.Select(steps < const(0), const(-0.5), const(0.5))).astype("int32")


def as_code(x: Expr, args: Tensors, highest: int) -> Expr:
    """A real number in fixed point as a byte of 0..``highest``."""
    return as_byte(rescaled_in_32_bits(x, *(args[b.name][0] for b in code_buffers())), None, highest)


def as_byte(x: Expr, lowest: Expr, highest: Expr | int) -> Expr:
    """An int32 of ``lowest``, or 0, to ``highest``, as a byte."""
    from tvm import tirx

    low = tirx.const(0, "int32") if lowest is None else lowest
    high = tirx.const(highest, "int32") if isinstance(highest, int) else highest
    return tirx.max(tirx.min(x, high), low).astype("uint8")


def byte_within(x: Expr, lowest: Expr | None, highest: Expr | int) -> Expr:
    """A byte brought to within these two."""
    from tvm import tirx

    if not isinstance(highest, int):
        x = tirx.min(x, highest.astype("uint8"))
    elif highest < HIGHEST_BYTE:
        x = tirx.min(x, tirx.const(highest, "uint8"))
    return x if lowest is None else tirx.max(x, lowest.astype("uint8"))


def mean(total: Expr, count: Expr, most: int) -> Expr:
    """The mean of ``count`` fixed-point numbers, from their sum as an int64; there are ``most`` at most.

    It is off by ``count`` 2^-33 of itself, and by 2^-20 at most: sums of very many are shortened first.
    """
    from tvm import tirx

    lost = max(0, most.bit_length() - COUNT_BITS)
    if isinstance(count, int):
        reciprocal = tirx.const(round((1 << (32 + lost)) / count), "int64")
    else:
        long = count.astype("int64")
        reciprocal = tirx.truncdiv(tirx.const(1 << (32 + lost), "int64") + long // 2, long)
    half, shift = tirx.const(1 << 31, "int64"), tirx.const(32, "int64")
    kept = tirx.shift_right(total, tirx.const(lost, "int64")) if lost else total
    return tirx.shift_right(kept * reciprocal + half, shift).astype("int32")


def zero_of(arithmetic: "Arithmetic") -> Expr:
    """A real zero."""
    from tvm import tirx

    return tirx.const(0, REAL_DTYPES[arithmetic])

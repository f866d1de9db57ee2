"""Sums of bits in halves of words, as NEON counts them.

NEON counts the bits of bytes, and takes two instructions to add the counts to sums of 32 bits. One adds them
to sums of 16 bits, of which a word has two: they are added up at the end.
"""

from functools import lru_cache, partial

from runtime.cpu import BitCount
from runtime.kernels.intrinsics import in_pieces, lane_sum
from runtime.kernels.operators import register_operator
from runtime.tvm_types import Expr, IterVar

BIT_SUM = "tirx.bitnas_{}_sum"
REGISTER = 4
"""Words in a register of NEON."""

MOST_WORDS = (2**16 - 1) // 16
"""Of so many words a sum of 16 bits counts the bits, half a word each."""

WAYS = (BitCount.UADALP, BitCount.VPADAL)


@lru_cache
def _register() -> None:
    for kind in WAYS:
        register_operator(BIT_SUM.format(kind.name), partial(_lower, kind))


def half_sum(kind: BitCount, word: Expr, axis: list[IterVar]) -> Expr:
    """The sum over ``axis`` of the bits of each half of a uint32, two uint16 in an int32."""
    from tvm import tirx

    _register()
    return lane_sum(BIT_SUM.format(kind.name), tirx.reinterpret("int32", word), axis)


def both_halves(total: Expr) -> Expr:
    """The number of bits, int32, from a finished ``half_sum``."""
    from tvm import tirx

    halves = tirx.reinterpret("uint32", total)
    added = (halves & tirx.const(0xFFFF, "uint32")) + (halves >> tirx.const(16, "uint32"))
    return tirx.reinterpret("int32", added)


def _lower(kind: BitCount, call: Expr) -> Expr:
    if kind is BitCount.VPADAL:
        return in_pieces(_vpadal, REGISTER, *call.args)
    return _uadalp(*call.args)


def _uadalp(sums: Expr, words: Expr) -> Expr:
    """LLVM for 64-bit ARM finds the instructions by itself, for vectors of any width."""
    from tvm import tirx

    halves = f"uint16x{2 * int(sums.ty.dtype.lanes)}"
    return _seen_as(sums, _seen_as(halves, sums) + tirx.popcount(_seen_as(halves, words)))


def _vpadal(sums: Expr, words: Expr) -> Expr:
    from tvm import tirx

    counts = tirx.call_llvm_pure_intrin("uint8x16", "llvm.ctpop.v16i8", _seen_as("uint8x16", words))
    name = "llvm.arm.neon.vpadalu.v8i16.v16i8"
    return _seen_as(sums, tirx.call_llvm_pure_intrin("uint16x8", name, _seen_as("uint16x8", sums), counts))


def _seen_as(kind: str | Expr, vector: Expr) -> Expr:
    """The bits of a vector as another type, or as that of another vector."""
    from tvm import tirx

    dtype = kind if isinstance(kind, str) else str(kind.ty.dtype)
    return tirx.call_intrin(dtype, "tirx.reinterpret", vector)

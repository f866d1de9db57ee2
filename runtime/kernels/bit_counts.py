"""How each CPU counts the bits of 32-bit words and sums the counts.

NEON counts the bits of bytes, and takes two instructions to add the counts to sums of 32 bits. One adds them
to sums of 16 bits, of which a word has two: they are added up at the end. With dot products LLVM finds a
single one for sums of 32 bits, too.
"""

from runtime.target import BitCount, Cpu
from runtime.tvm_types import Expr

REGISTER = 4
"""Words in a register of NEON."""

MOST_WORDS = (2**16 - 1) // 16
"""Of so many words a sum of 16 bits counts the bits, half a word each."""


def bit_count_for(cpu: Cpu, words: int, lanes: int) -> BitCount:
    """The way to count the bits of ``words`` words in each of so many lanes."""
    return cpu.bit_count if words <= MOST_WORDS and lanes % REGISTER == 0 else BitCount.WORDS


def add_bits(kind: BitCount, sums: Expr, words: Expr) -> Expr:
    """``sums`` plus the bits of the lower half and of the upper half of each word: int32 vectors.

    They are as wide as a register, or of any width where ``kind`` leaves it to LLVM.
    """
    from tvm import tirx

    count = int(sums.ty.dtype.lanes)
    halves = _seen_as(f"uint16x{2 * count}", sums)
    if kind is BitCount.VPADAL:
        counts = tirx.call_llvm_pure_intrin("uint8x16", "llvm.ctpop.v16i8", _seen_as("uint8x16", words))
        name = "llvm.arm.neon.vpadalu.v8i16.v16i8"
        found = tirx.call_llvm_pure_intrin("uint16x8", name, halves, counts)
    else:
        found = halves + tirx.popcount(_seen_as(f"uint16x{2 * count}", words))
    return _seen_as(f"int32x{count}", found)


def _seen_as(dtype: str, vector: Expr) -> Expr:
    from tvm import tirx

    return tirx.call_intrin(dtype, "tirx.reinterpret", vector)

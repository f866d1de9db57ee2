"""Counts of bits by looking them up, for CPUs that have no instruction that counts those of a vector.

x86 has none before AVX-512 VPOPCNTDQ, and what stands for it takes a dozen. But vpshufb looks 32 numbers up
at once, in a table of 16. So four bits of a pixel choose a table, which tells for each four bits of a weight
how many of them differ; the weights of 32 output channels are looked up in it. Two instructions, vpshufb and
vpaddb, count 128 bits. The counts are bytes, which are widened before they can be more than 255.

A byte of the image, eight channels of a pixel, chooses two tables, which lie side by side: one for its low
half and one for its high half.
"""

from functools import cache, lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from runtime.kernels.operators import called, register_operator
from runtime.tvm_types import Expr

LOOKUP, HALVED_LOOKUP = "tirx.bitnas_lookup", "tirx.bitnas_halved_lookup"
NIBBLE = 16  # numbers that four bits choose among
ROW = 2 * NIBBLE
VPSHUFB = {16: "llvm.x86.ssse3.pshuf.b.128", 32: "llvm.x86.avx2.pshuf.b", 64: "llvm.x86.avx512.pshuf.b.512"}


@cache
def lookup_table(kind: str) -> NDArray[np.uint8]:
    """Counts (256, 32) for each byte of an image: those of its low half, and those of its high half.

    ``kind`` says what is counted against the four bits that are looked up: ``xor`` bits that differ, ``and``
    bits that are set in both.
    """
    byte, other = np.arange(256)[:, None], np.arange(NIBBLE)[None]
    halves = [byte & 15, byte >> 4]
    counted = [{"xor": half ^ other, "and": half & other}[kind] for half in halves]
    counts = [np.bitwise_count(bits) for bits in counted]
    table = np.concatenate(counts, axis=1).astype(np.uint8)
    table.setflags(write=False)
    return table


@lru_cache
def _register() -> None:
    register_operator(LOOKUP, partial(_lower, NIBBLE))
    register_operator(HALVED_LOOKUP, partial(_lower, ROW))


def looked_up(first: Expr, index: Expr, is_halved: bool = False) -> Expr:
    """The number at ``index`` (uint8, below 16) of the 16 that begin with the load ``first``, as uint8.

    In a vector, ``first`` is the same for all lanes. It is the load of one number: TVM's schedules do not
    follow loads of vectors. In a halved one, lanes from the 16th on look up the 16 numbers that follow.
    """
    _register()
    return called(HALVED_LOOKUP if is_halved else LOOKUP, "uint8", first, index)


def _lower(width: int, call: Expr) -> Expr:
    """vpshufb, whose table is ``width`` numbers, as often as they fit the vector."""
    from tvm import tirx

    first, index = call.args
    load = first.value if isinstance(first, tirx.Broadcast) else first
    lanes = int(index.ty.dtype.lanes)
    numbers = tirx.BufferLoad(load.source, [tirx.Ramp(load.indices[0], 1, width)])
    table = tirx.Shuffle([numbers] * (lanes // width), list(range(lanes))) if lanes > width else numbers
    return tirx.call_llvm_pure_intrin(f"uint8x{lanes}", VPSHUFB[lanes], table, index)

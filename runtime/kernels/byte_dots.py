"""How each CPU multiplies and sums four bytes in each int32 lane, in LLVM's terms.

VNNI and sdot do it at once. Older CPUs multiply 16 bits: x86 sums two neighbours then (pmaddwd), so words are
taken apart into their even and their odd bytes; NEON multiplies bytes into 16 bits, adds two
products, and sums neighbours after.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.target import ByteDot
from runtime.tvm_types import Expr

PMADDWD = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}
EVEN_BYTES = 0x00FF00FF
PAIRED = (ByteDot.SMULL, ByteDot.VMULL)
"""Ways that take weights in the order of ``paired``."""


def add_dot(kind: ByteDot, total: Expr, data: Expr, weight: Expr) -> Expr:
    """``total`` plus, in each lane, a0 w0 + a1 w1 + a2 w2 + a3 w3.

    All are int32 vectors of a width that ``kind`` has. The bytes of ``data`` are the a, unsigned or signed as
    it takes them, those of ``weight`` the signed w. All lanes of ``data`` are the same.
    """
    return WAYS[kind](total, data, weight)


def _vpdpbusd(total: Expr, data: Expr, weight: Expr) -> Expr:
    count = _lanes(total)
    name = f"llvm.x86.avx512.vpdpbusd.{32 * count}"
    return _call(f"int32x{count}", name, total, _bytes(data), _bytes(weight))


def _sdot(total: Expr, data: Expr, weight: Expr) -> Expr:
    return _call("int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", total, _bytes(data), _bytes(weight))


def _pmaddwd(total: Expr, data: Expr, weight: Expr) -> Expr:
    from tvm import tirx

    count, eight = _lanes(total), tirx.const(8, "int16")
    halves, even = f"int16x{2 * count}", tirx.const(EVEN_BYTES, "int32")
    # unsigned bytes lose their neighbours, signed ones are shifted down from the top
    unsigned = [_seen_as(halves, word & even) for word in (data, data >> 8)]
    both = _seen_as(halves, weight)
    signed = [(both << eight) >> eight, both >> eight]
    for a, w in zip(unsigned, signed, strict=True):
        total = total + _call(f"int32x{count}", PMADDWD[count], a, w)
    return total


def _smull(total: Expr, data: Expr, weight: Expr) -> Expr:
    """As ``_by_pairs``; LLVM chooses the bytes from a register of whole words, by tbl."""
    from tvm import tirx

    pairs = tirx.Shuffle([_seen_as("int16x8", data)], [0, 2, 4, 6, 1, 3, 5, 7])
    longer = "llvm.aarch64.neon.saddlp.v4i32.v8i16"
    return total + _call("int32x4", longer, _by_pairs(pairs, weight))


def _vmull(total: Expr, data: Expr, weight: Expr) -> Expr:
    """As ``_by_pairs``, on 32-bit ARM, whose table look-up is slow."""
    from tvm import tirx

    word = data.value if isinstance(data, tirx.Broadcast) else tirx.Shuffle([data], [0])
    ends = [tirx.Broadcast((word >> shift).astype("int16"), 4) for shift in (0, 16)]
    sums = _by_pairs(tirx.Shuffle(ends, list(range(8))), weight)
    return _call("int32x4", "llvm.arm.neon.vpadals.v4i32.v8i16", total, sums)


def _by_pairs(pairs: Expr, weight: Expr) -> Expr:
    """Products of bytes, those of a word's first two and last two added: int16x8, two for each of four words.

    ``pairs`` are the first two bytes of four words of data, then their last two, which is also the order of
    weights: see ``paired``. Two products of bytes fit 16 bits unless both are of -128 by -128: weights must
    not be.
    """
    data, own = _seen_as("int8x16", pairs), _bytes(weight)
    low, high = (_part(data, first) * _part(own, first) for first in (0, 8))
    return low + high


def paired(words: NDArray[Any]) -> NDArray[Any]:
    """Words (..., lanes) as ``PAIRED`` ways take them: the first two bytes of four, then their last two."""
    fours = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape[:-1], -1, 4, 2)
    return np.ascontiguousarray(fours.swapaxes(-1, -2)).view(words.dtype).reshape(words.shape)


def _part(values: Expr, first: int) -> Expr:
    """Eight bytes from ``first`` on, as 16 bits each."""
    from tvm import tirx

    return tirx.Cast("int16x8", tirx.Shuffle([values], list(range(first, first + 8))))


def _smull_wide(total: Expr, data: Expr, weight: Expr) -> Expr:
    """For any weights: each product is widened before two are added."""
    longer = "llvm.aarch64.neon.saddlp.v4i32.v8i16"
    low, high = (_call("int32x4", longer, products) for products in _halves_of_products(data, weight))
    return total + _call("int32x4", "llvm.aarch64.neon.addp.v4i32", low, high)


def _vmull_wide(total: Expr, data: Expr, weight: Expr) -> Expr:
    """As ``_smull_wide``, on 32-bit ARM."""
    from tvm import tirx

    sums = []
    for products in _halves_of_products(data, weight):
        pairs = _call("int32x4", "llvm.arm.neon.vpaddls.v4i32.v8i16", products)
        ends = (tirx.Shuffle([pairs], list(half)) for half in (range(2), range(2, 4)))
        sums.append(_call("int32x2", "llvm.arm.neon.vpadd.v2i32", *ends))
    return total + tirx.Shuffle(sums, list(range(4)))


def _halves_of_products(data: Expr, weight: Expr) -> list[Expr]:
    """The products of the first eight bytes and of the others, in 16 bits each."""
    return [_part(_bytes(data), first) * _part(_bytes(weight), first) for first in (0, 8)]


def _call(dtype: str, name: str, *args: Expr) -> Expr:
    from tvm import tirx

    return tirx.call_llvm_pure_intrin(dtype, name, *args)


def _bytes(words: Expr) -> Expr:
    return _seen_as(f"int8x{4 * _lanes(words)}", words)


def _seen_as(dtype: str, vector: Expr) -> Expr:
    from tvm import tirx

    return tirx.call_intrin(dtype, "tirx.reinterpret", vector)


def _lanes(vector: Expr) -> int:
    return int(vector.ty.dtype.lanes)


WAYS: dict[ByteDot, Callable[[Expr, Expr, Expr], Expr]] = {
    ByteDot.VPDPBUSD_512: _vpdpbusd,
    ByteDot.VPDPBUSD_256: _vpdpbusd,
    ByteDot.PMADDWD_512: _pmaddwd,
    ByteDot.PMADDWD_256: _pmaddwd,
    ByteDot.PMADDWD_128: _pmaddwd,
    ByteDot.SDOT: _sdot,
    ByteDot.SMULL: _smull,
    ByteDot.SMULL_WIDE: _smull_wide,
    ByteDot.VMULL: _vmull,
    ByteDot.VMULL_WIDE: _vmull_wide,
}

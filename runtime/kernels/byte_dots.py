"""How each CPU multiplies and sums four bytes in each int32 lane, in LLVM's terms.

VNNI and sdot do it at once. Older CPUs multiply 16 bits: x86 sums two neighbours then (pmaddwd), so words are
taken apart into their even and their odd bytes; NEON multiplies bytes into 16 bits, adds two products, and
sums neighbours after. x86 also sums two products of bytes in 16 bits (pmaddubsw), which saturates: for those
that are small enough.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cpu import ByteDot
from runtime.tvm_types import Expr

PMADDWD = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}
PMADDUBSW = {
    4: "llvm.x86.ssse3.pmadd.ub.sw.128",
    8: "llvm.x86.avx2.pmadd.ub.sw",
    16: "llvm.x86.avx512.pmaddubs.w.512",
}
EVEN_BYTES = 0x00FF00FF
PAIRED = (ByteDot.SMULL, ByteDot.VMULL)
"""Ways that take weights in the order of ``paired``."""
MOST_IN_16_BITS = (1 << 15) - 1


def add_dot(kind: ByteDot, total: Expr, *factors: Expr) -> Expr:
    """``total`` plus, in each lane, a0 w0 + a1 w1 + a2 w2 + a3 w3.

    All are int32 vectors of a width that ``kind`` has. The last of ``factors`` has the signed w as its bytes,
    the first the a, unsigned or signed as ``kind`` takes them, and the same in all lanes; where it takes
    halves, two have these in 16 bits each. A narrow ``kind`` adds a0 w0 + a1 w1 to the lower half of a lane,
    a2 w2 + a3 w3 to the upper.
    """
    return WAYS[kind](total, *factors)


def add_narrow(kind: ByteDot, total: Expr, narrow: Expr) -> Expr:
    """``total`` plus, in each lane, the signed halves of ``narrow``."""
    return total + _pairs(narrow)


def add_pairs(total: Expr, data: Expr, weight: Expr) -> Expr:
    """``total`` plus, in each lane, the products of the signed halves of ``data`` and ``weight``."""
    count = _lanes(total)
    pair = (_seen_as(f"int16x{2 * count}", vector) for vector in (data, weight))
    return total + _call(f"int32x{count}", PMADDWD[count], *pair)


def halves(word: Expr) -> list[Expr]:
    """A word's even bytes in 16 bits each, and its odd ones."""
    from tvm import tirx

    even = tirx.const(EVEN_BYTES, "int32")
    return [word & even, (word >> 8) & even]


def _vpdpbusd(total: Expr, data: Expr, weight: Expr) -> Expr:
    count = _lanes(total)
    name = f"llvm.x86.avx512.vpdpbusd.{32 * count}"
    return _call(f"int32x{count}", name, total, _bytes(data), _bytes(weight))


def _sdot(total: Expr, data: Expr, weight: Expr) -> Expr:
    return _call("int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", total, _bytes(data), _bytes(weight))


def _pmaddwd(total: Expr, even: Expr, odd: Expr, weight: Expr) -> Expr:
    from tvm import tirx

    count, eight = _lanes(total), tirx.const(8, "int16")
    in_16_bits = f"int16x{2 * count}"
    both = _seen_as(in_16_bits, weight)
    for a, w in zip((even, odd), ((both << eight) >> eight, both >> eight), strict=True):
        total = total + _call(f"int32x{count}", PMADDWD[count], _seen_as(in_16_bits, a), w)
    return total


def _pmaddubsw(total: Expr, data: Expr, weight: Expr) -> Expr:
    return total + _pairs(_products_by_twos(data, weight))


def _paddw(total: Expr, data: Expr, weight: Expr) -> Expr:
    in_16_bits = f"int16x{2 * _lanes(total)}"
    return _seen_as(f"int32x{_lanes(total)}", _seen_as(in_16_bits, total) + _products_by_twos(data, weight))


def _products_by_twos(data: Expr, weight: Expr) -> Expr:
    """a0 w0 + a1 w1 and a2 w2 + a3 w3 of each lane, in 16 bits."""
    count = _lanes(data)
    return _call(f"int16x{2 * count}", PMADDUBSW[count], _bytes(data), _bytes(weight))


def _pairs(vector: Expr) -> Expr:
    """The sums of neighbours of 16 bits."""
    from tvm import tirx

    count = _bits(vector) // 32
    in_16_bits = f"int16x{2 * count}"
    ones = tirx.Broadcast(tirx.const(1, "int16"), 2 * count)
    return _call(f"int32x{count}", PMADDWD[count], _seen_as(in_16_bits, vector), ones)


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


def _bits(vector: Expr) -> int:
    return int(vector.ty.dtype.bits) * _lanes(vector)


WAYS: dict[ByteDot, Callable[..., Expr]] = {
    ByteDot.VPDPBUSD_512: _vpdpbusd,
    ByteDot.VPDPBUSD_256: _vpdpbusd,
    ByteDot.PMADDWD_512: _pmaddwd,
    ByteDot.PMADDWD_256: _pmaddwd,
    ByteDot.PMADDWD_128: _pmaddwd,
    ByteDot.PMADDUBSW_512: _pmaddubsw,
    ByteDot.PMADDUBSW_256: _pmaddubsw,
    ByteDot.PMADDUBSW_128: _pmaddubsw,
    ByteDot.PADDW_512: _paddw,
    ByteDot.PADDW_256: _paddw,
    ByteDot.PADDW_128: _paddw,
    ByteDot.SDOT: _sdot,
    ByteDot.SMULL: _smull,
    ByteDot.SMULL_WIDE: _smull_wide,
    ByteDot.VMULL: _vmull,
    ByteDot.VMULL_WIDE: _vmull_wide,
}

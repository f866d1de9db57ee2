"""How each CPU multiplies and sums four bytes in each int32 lane, in LLVM's terms.

VNNI and sdot do it at once. Older CPUs multiply 16 bits: x86 sums two neighbours then (pmaddwd), so words are
taken apart into their even and their odd bytes; NEON multiplies bytes into 16 bits and sums neighbours after.
x86 also sums two products of bytes in 16 bits (pmaddubsw), which saturates: for those that are small enough.
"""

from collections.abc import Callable

from runtime.target import ByteDot
from runtime.tvm_types import Expr

PMADDWD = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}
PMADDUBSW = {
    4: "llvm.x86.ssse3.pmadd.ub.sw.128",
    8: "llvm.x86.avx2.pmadd.ub.sw",
    16: "llvm.x86.avx512.pmaddubs.w.512",
}
EVEN_BYTES = 0x00FF00FF
MOST_IN_16_BITS = (1 << 15) - 1


def add_dot(kind: ByteDot, total: Expr, *factors: Expr) -> Expr:
    """``total`` plus, in each lane, a0 w0 + a1 w1 + a2 w2 + a3 w3.

    All are int32 vectors of a width that ``kind`` has. The last of ``factors`` has the signed w as its bytes,
    the first the a, unsigned or signed as ``kind`` takes them; where it takes halves, two have these in 16
    bits each. A narrow ``kind`` adds a0 w0 + a1 w1 to the lower half of a lane, a2 w2 + a3 w3 to the upper.
    """
    return WAYS[kind](total, *factors)


def add_narrow(kind: ByteDot, total: Expr, narrow: Expr) -> Expr:
    """``total`` plus, in each lane, the signed halves of ``narrow``."""
    return total + _pairs(narrow)


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
    """Two products of bytes fit 16 bits unless both are of -128 by -128: weights must not be."""
    low, high = _halves_of_products(data, weight)
    pairs = _call("int16x8", "llvm.aarch64.neon.addp.v8i16", low, high)
    return total + _call("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", pairs)


def _smull_wide(total: Expr, data: Expr, weight: Expr) -> Expr:
    """As ``_smull``, for any weights."""
    longer = "llvm.aarch64.neon.saddlp.v4i32.v8i16"
    low, high = (_call("int32x4", longer, products) for products in _halves_of_products(data, weight))
    return total + _call("int32x4", "llvm.aarch64.neon.addp.v4i32", low, high)


def _vmull(total: Expr, data: Expr, weight: Expr) -> Expr:
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
    from tvm import tirx

    def half(words: Expr, first: int) -> Expr:
        return tirx.Cast("int16x8", tirx.Shuffle([_bytes(words)], list(range(first, first + 8))))

    return [half(data, first) * half(weight, first) for first in (0, 8)]


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
}

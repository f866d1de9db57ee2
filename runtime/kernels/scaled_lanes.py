"""Sums of bytes scaled by integers in the registers of x86, and four registers packed into one of bytes.

A product of 32 bits by 32 comes of every other lane of a register (pmuldq). So the factors and biases of each
register's lanes lie apart, those of even lanes before those of odd ones, as 64 bits each. The upper halves of
the products join again in one register, and bytes are made of four such at once (packssdw, packuswb), which
saturate on the way.
"""

from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cpu import Cpu
from runtime.graph import Constants
from runtime.kernels.covering import Vectors
from runtime.kernels.fixed_point import LIMIT
from runtime.kernels.intrinsics import DOT_LANES
from runtime.kernels.operators import called, register_operator
from runtime.tvm_types import Expr

SCALED, SCALED_BYTES = "tirx.bitnas_scaled_{}", "tirx.bitnas_scaled_bytes_{}"
SATURATED_SUM = "tirx.bitnas_saturated_sum"
HALF = 32  # bits of a product's upper half
PACKS = {
    4: ("llvm.x86.sse2.packssdw.128", "llvm.x86.sse2.packuswb.128"),
    8: ("llvm.x86.avx2.packssdw", "llvm.x86.avx2.packuswb"),
    16: ("llvm.x86.avx512.packssdw.512", "llvm.x86.avx512.packuswb.512"),
}
"""By lanes of a register: neighbours of 32 bits to one of 16, and of 16 bits to one of unsigned bytes."""
PACKED_LANES = 4  # of 32 bits in which packs work, whatever the register


def lanes_for(cpu: Cpu, vectors: Vectors) -> int | None:
    """Lanes of a register in which sums are scaled here; None where TVM's own operators do it."""
    if cpu.architecture != "x86_64" or vectors.kept not in DOT_LANES:
        return None
    widest = 16 if "avx512bw" in cpu.flags else 8 if "avx2" in cpu.flags else 4
    return min(widest, vectors.kept)


def arranged(lanes: int, constants: Constants) -> Constants:
    """Factors and biases of all lanes, those of even lanes of each register before those of odd ones."""
    found = {**constants}
    for name in ("multiplier", "bias"):
        wide: NDArray[Any] = np.asarray(constants[name]).astype(np.int64)
        registers = wide.reshape(-1, lanes // 2, 2).swapaxes(-1, -2)
        found[name] = np.ascontiguousarray(registers).reshape(wide.shape)
    return found


def scaled_lanes(lanes: int, total: Expr, multiplier: Expr, bias: Expr, shift: Expr) -> Expr:
    """``(total * multiplier + bias) >> shift`` of int32 lanes, brought to what an int32 holds.

    ``multiplier`` and ``bias`` are int64, ``arranged`` or the same in all lanes.
    """
    return _call(SCALED, lanes, "int32", total, multiplier, bias, shift)


def scaled_bytes(lanes: int, total: Expr, multiplier: Expr, bias: Expr, shift: Expr) -> Expr:
    """The same brought to what an unsigned byte holds, as such."""
    return _call(SCALED_BYTES, lanes, "uint8", total, multiplier, bias, shift)


def saturated_sum(x: Expr, y: Expr) -> Expr:
    """The sum of any int32 and of one within +-LIMIT, brought to within +-LIMIT.

    It is an operator since TVM would simplify the expression to one that overflows.
    """
    _register()
    return called(SATURATED_SUM, "int32", x, y)


def _call(name: str, lanes: int, dtype: str, *args: Expr) -> Expr:
    _register()
    return called(name.format(lanes), dtype, *args)


@lru_cache
def _register() -> None:
    register_operator(SATURATED_SUM, _lower_saturated_sum)
    for lanes in PACKS:
        register_operator(SCALED.format(lanes), partial(_lower_scaled, lanes))
        register_operator(SCALED_BYTES.format(lanes), partial(_lower_scaled_bytes, lanes))


def _lower_scaled(lanes: int, call: Expr) -> Expr:
    return _joined(_registers(lanes, call))


def _lower_scaled_bytes(lanes: int, call: Expr) -> Expr:
    """Four registers at a time; where there are fewer, some of them again."""
    found = _registers(lanes, call)
    return _joined([_packed(lanes, found[first : first + 4]) for first in range(0, len(found), 4)])


def _lower_saturated_sum(call: Expr) -> Expr:
    from tvm import tirx

    x, y = call.args
    limit = tirx.Broadcast(tirx.const(LIMIT, "int32"), _lanes(x))
    least = tirx.Broadcast(tirx.const(-LIMIT, "int32"), _lanes(x))
    return tirx.max(tirx.min(x, limit - y), least - y) + y


def _joined(vectors: list[Expr]) -> Expr:
    from tvm import tirx

    count = sum(_lanes(vector) for vector in vectors)
    return vectors[0] if len(vectors) == 1 else tirx.Shuffle(vectors, list(range(count)))


def _registers(lanes: int, call: Expr) -> list[Expr]:
    total, multiplier, bias, shift = call.args
    shift, half = _part(shift, 0, 1), lanes // 2
    found = []
    for first in range(0, _lanes(total), lanes):
        sums = _seen_as(f"int64x{half}", _part(total, first, lanes))
        products = []
        for number, own in enumerate((sums, sums >> _const(HALF, half))):
            place = first + number * half
            factor, offset = (_part(each, place, half) for each in (multiplier, bias))
            products.append(_lower_half(own) * _lower_half(factor) + offset)
        found.append(_shifted(products, shift))
    return found


def _lower_half(wide: Expr) -> Expr:
    """Lanes of 64 bits with the sign of their lower halves: what pmuldq makes of them."""
    bits = _const(HALF, _lanes(wide))
    return (wide << bits) >> bits


def _shifted(products: list[Expr], shift: Expr) -> Expr:
    """Lanes of 32 bits of even and of odd products, shifted and saturated.

    A shift by 32 places and more leaves the upper halves alone. Smaller ones, those of large scales, lose
    bits of these: what is lost must be the sign.
    """
    from tvm import tirx

    lanes, bits = 2 * _lanes(products[0]), tirx.const(HALF, "int64")

    def each(value: Expr) -> Expr:
        return tirx.Broadcast(value, lanes)

    upper = _upper_halves(products)
    far = upper >> each((shift - bits).astype("int32"))
    left = tirx.Broadcast(bits - shift, lanes // 2)
    near = _upper_halves([product << left for product in products])
    sign = upper >> each(tirx.const(HALF - 1, "int32"))
    fits = (upper >> each((shift - tirx.const(1, "int64")).astype("int32"))) == sign
    saturated = tirx.Select(fits, near, sign ^ each(tirx.const(0x7FFFFFFF, "int32")))
    return tirx.if_then_else(shift >= bits, far, saturated)


def _upper_halves(products: list[Expr]) -> Expr:
    """The upper halves of even and of odd products in turn."""
    from tvm import tirx

    lanes = 2 * _lanes(products[0])
    halves = [_seen_as(f"int32x{lanes}", product) for product in products]
    return tirx.Shuffle(halves, [i + 1 if i % 2 == 0 else lanes + i for i in range(lanes)])


def _packed(lanes: int, registers: list[Expr]) -> Expr:
    """The bytes of up to four registers."""
    from tvm import tirx

    to_16, to_8 = PACKS[lanes]
    count = lanes * len(registers)
    filled = [registers[min(i, len(registers) - 1)] for i in range(4 if len(registers) > 2 else 2)]
    words = [
        tirx.call_llvm_pure_intrin(f"int16x{2 * lanes}", to_16, *filled[i : i + 2])
        for i in range(0, len(filled), 2)
    ]
    found = tirx.call_llvm_pure_intrin(f"int8x{4 * lanes}", to_8, words[0], words[-1])
    if lanes > PACKED_LANES:  # each 128 bits hold four lanes of each register
        parts = lanes // PACKED_LANES
        order = [part * 4 + register for register in range(4) for part in range(parts)]
        found = tirx.Shuffle([_seen_as(f"int32x{lanes}", found)], order)
        found = _seen_as(f"int8x{4 * lanes}", found)
    found = _seen_as(f"uint8x{4 * lanes}", found)
    return found if count == 4 * lanes else tirx.Shuffle([found], list(range(count)))


def _part(vector: Expr, first: int, lanes: int) -> Expr:
    """Lanes of a vector; of what is loaded, these alone are."""
    from tvm import ir, tirx

    if isinstance(vector, tirx.Broadcast):
        return vector.value if lanes == 1 else tirx.Broadcast(vector.value, lanes)
    if _lanes(vector) == lanes:
        return vector
    if isinstance(vector, ir.TensorLoad) and isinstance(vector.indices[-1], tirx.Ramp):
        *outer, ramp = vector.indices
        start = ramp.base + first * ramp.stride
        return tirx.BufferLoad(vector.source, [*outer, tirx.Ramp(start, ramp.stride, lanes)])
    return tirx.Shuffle([vector], list(range(first, first + lanes)))


def _const(value: int, lanes: int) -> Expr:
    from tvm import tirx

    return tirx.Broadcast(tirx.const(value, "int64"), lanes)


def _seen_as(dtype: str, vector: Expr) -> Expr:
    from tvm import tirx

    return tirx.call_intrin(dtype, "tirx.reinterpret", vector)


def _lanes(vector: Expr) -> int:
    return int(vector.ty.dtype.lanes)

"""Three operations that TVM has no names for, each an instruction or a few.

``byte_dot_sum`` adds up dot products of four bytes (VNNI, sdot and the like); ``lane_mask`` packs the signs
of 16 lanes into 16 bits; ``spread`` lets lanes of several groups read each its own.
"""

from collections.abc import Callable
from functools import lru_cache, partial

from runtime.cpu import ByteDot, Permute
from runtime.kernels.byte_dots import add_dot, add_narrow, add_pairs
from runtime.kernels.operators import called, register_operator
from runtime.tvm_types import Expr, IterVar, TirBuffer

BYTE_DOT, LANE_MASK = "tirx.bitnas_byte_dot", "tirx.bitnas_lane_mask"
BYTE_DOT_SUM = "tirx.bitnas_{}_sum"
PAIR_SUM = "tirx.bitnas_{}_pair_sum"
WIDE_SUM = "tirx.bitnas_{}_wide_sum"
DOT_LANES = (4, 8, 16)
MASK_LANES = 16


@lru_cache
def _register() -> None:
    register_operator(BYTE_DOT)
    register_operator(LANE_MASK, _lower_lane_mask, by_lanes=False)
    for kind in ByteDot:
        register_operator(BYTE_DOT_SUM.format(kind.name), partial(_lower_byte_dot_sum, kind))
        register_operator(PAIR_SUM.format(kind.name), partial(_lower_pair_sum, kind))
        register_operator(WIDE_SUM.format(kind.name), partial(_lower_wide_sum, kind))


def byte_dot_sum(kind: ByteDot, data: list[Expr], weight: Expr, axis: list[IterVar]) -> Expr:
    """The sum over ``axis`` of a0 w0 + a1 w1 + a2 w2 + a3 w3.

    ``data`` is an int32 whose bytes are the a, unsigned or signed, or, where ``kind`` takes halves, two: of
    a0 and a2 in 16 bits each, and of a1 and a3. The bytes of ``weight`` are the signed w. Of a narrow kind,
    the sum is two of 16 bits, for ``wide_sum``.
    """
    _register()
    dot = called(BYTE_DOT, "int32", *data, weight)
    return lane_sum(BYTE_DOT_SUM.format(kind.name), dot, axis)


def pair_sum(kind: ByteDot, data: Expr, weight: Expr, axis: list[IterVar]) -> Expr:
    """The sum over ``axis`` of a0 w0 + a1 w1, the signed halves of two int32."""
    _register()
    pair = called(BYTE_DOT, "int32", data, weight)
    return lane_sum(PAIR_SUM.format(kind.name), pair, axis)


def pair_added(kind: ByteDot, total: Expr, data: Expr, weight: Expr) -> Expr:
    """``total`` plus a0 w0 + a1 w1, the signed halves of two int32, in loops that are written by hand."""
    _register()
    return called(PAIR_SUM.format(kind.name), "int32", total, called(BYTE_DOT, "int32", data, weight))


def wide_sum(kind: ByteDot, narrow: Expr, axis: list[IterVar]) -> Expr:
    """The sum over ``axis`` of the two halves of each of the narrow sums."""
    return lane_sum(WIDE_SUM.format(kind.name), narrow, axis)


def lane_sum(name: str, value: Expr, axis: list[IterVar]) -> Expr:
    """The sum over ``axis`` by an operator of ours that adds an int32 to its first operand in its own way."""
    from tvm import te, tirx

    reducer = te.comm_reducer(
        lambda total, each: called(name, "int32", total, each),
        lambda dtype: tirx.const(0, dtype),
        name="lane_sum",
    )
    return reducer(value, axis=axis)


def lane_mask(first_lane: Expr) -> Expr:
    """Bit i of the result is the sign bit of lane i of the 16 int8 that begin with ``first_lane``.

    The argument is the load of one lane: TVM's schedules do not follow loads of vectors.
    """
    _register()
    return called(LANE_MASK, "int32", first_lane)


def spread(
    how: Permute, dtype: str, first: Expr, offset: Expr, lane: Expr, channels: int, units: int
) -> Expr:
    """In lane i of 16, what lies ``i // channels * units + offset`` behind ``first``; ``lane`` is i.

    ``first`` is the load of a number of 32 bits; the ``16 / channels * units`` from there on are read,
    16 at most. ``channels`` is a multiple of 4.
    """
    return called(_register_spread(how, channels, units), dtype, first, offset, lane)


@lru_cache
def _register_spread(how: Permute, channels: int, units: int) -> str:
    name = f"tirx.bitnas_spread_{how.name.lower()}_{channels}_{units}"
    register_operator(name, partial(_lower_spread, how, channels, units))
    return name


def _lower_spread(how: Permute, channels: int, units: int, call: Expr) -> Expr:
    """A part of the lanes at a time: from one group by a broadcast, from several by a permutation."""
    from tvm import tirx

    first, offset = (arg.value if isinstance(arg, tirx.Broadcast) else arg for arg in call.args[:2])
    parts = []
    for lane in range(0, MASK_LANES, how.value):
        start = first.indices[0] + lane // channels * units
        groups = how.value // channels
        if groups <= 1:
            parts.append(tirx.Broadcast(tirx.BufferLoad(first.source, [start + offset]), how.value))
        else:
            parts.append(_permuted(how, channels, units, first.source, start, offset))
    return parts[0] if len(parts) == 1 else tirx.Shuffle(parts, list(range(MASK_LANES)))


PERMUTES = {
    (Permute.AVX512, "float32"): "llvm.x86.avx512.permvar.sf.512",
    (Permute.AVX512, "int32"): "llvm.x86.avx512.permvar.si.512",
    (Permute.AVX2, "float32"): "llvm.x86.avx2.permps",
    (Permute.AVX2, "int32"): "llvm.x86.avx2.permd",
}


def _permuted(how: Permute, channels: int, units: int, source: TirBuffer, start: Expr, offset: Expr) -> Expr:
    from tvm import tirx

    lanes, count = how.value, how.value // channels * units
    dtype = str(source.dtype)
    window = tirx.BufferLoad(source, [tirx.Ramp(start, 1, count)])
    if count < lanes:
        window = tirx.Shuffle([window] * -(-lanes // count), list(range(lanes)))
    lane = tirx.Ramp(tirx.const(0, "int32"), tirx.const(1, "int32"), lanes)
    log = channels.bit_length() - 1
    index = (lane >> tirx.const(log, "int32")) * tirx.const(units, "int32") + tirx.Broadcast(offset, lanes)
    kind = "float32" if dtype == "float32" else "int32"
    if dtype != kind:
        window = tirx.call_intrin(f"{kind}x{lanes}", "tirx.reinterpret", window)
    found = tirx.call_llvm_pure_intrin(f"{kind}x{lanes}", PERMUTES[how, kind], window, index)
    return found if dtype == kind else tirx.call_intrin(f"{dtype}x{lanes}", "tirx.reinterpret", found)


def _lower_byte_dot_sum(kind: ByteDot, call: Expr) -> Expr:
    """As many lanes at a time as the instruction has; it adds to its first operand."""
    total, dot = call.args
    return in_pieces(partial(add_dot, kind), kind.lanes, total, *dot.args)


def _lower_pair_sum(kind: ByteDot, call: Expr) -> Expr:
    total, pair = call.args
    return in_pieces(add_pairs, kind.lanes, total, *pair.args)


def _lower_wide_sum(kind: ByteDot, call: Expr) -> Expr:
    return in_pieces(partial(add_narrow, kind), kind.lanes, *call.args)


def in_pieces(operation: Callable[..., Expr], most: int, *vectors: Expr) -> Expr:
    """The result, for vectors of any width, of an operation on vectors of at most so many lanes."""
    from tvm import tirx

    count = int(vectors[0].ty.dtype.lanes)
    width = min(count, most)

    def piece(vector: Expr, first: int) -> Expr:
        if isinstance(vector, tirx.Broadcast):
            return tirx.Broadcast(vector.value, width)
        return vector if width == count else tirx.Shuffle([vector], list(range(first, first + width)))

    pieces = [operation(*(piece(v, first) for v in vectors)) for first in range(0, count, width)]
    return pieces[0] if len(pieces) == 1 else tirx.Shuffle(pieces, list(range(count)))


def _lower_lane_mask(call: Expr) -> Expr:
    """pmovmskb, which LLVM turns into a mask register where the lanes come from a comparison."""
    from tvm import tirx

    first = call.args[0]
    lanes = tirx.BufferLoad(first.source, [tirx.Ramp(first.indices[0], 1, MASK_LANES)])
    return tirx.call_llvm_pure_intrin("int32", "llvm.x86.sse2.pmovmskb.128", lanes)

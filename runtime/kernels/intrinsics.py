"""Two operations that TVM has no names for, each one instruction on CPUs that have it.

``byte_dot_sum`` adds up dot products of four bytes (VNNI, sdot); ``lane_mask`` packs the signs of 16 lanes
into 16 bits. They are operators of our own: TVM vectorizes them as it does its own, and lowers them as told here.
"""

from functools import lru_cache
from typing import Any

from runtime.target import ByteDot

BYTE_DOT, LANE_MASK = "tirx.bitnas_byte_dot", "tirx.bitnas_lane_mask"
BYTE_DOT_SUMS: dict[ByteDot, str] = {
    "unsigned": "tirx.bitnas_unsigned_dot_sum",
    "signed": "tirx.bitnas_signed_dot_sum",
}
PURE = 1  # TVM's CallEffectKind::kPure
DOT_LANES = (4, 8, 16)
MASK_LANES = 16
SDOT_LANES = 4


@lru_cache
def _register() -> None:
    from tvm import ir, tirx

    for name in (BYTE_DOT, *BYTE_DOT_SUMS.values(), LANE_MASK):
        ir.register_op_attr(name, "TCallEffectKind", PURE)
    for name in (BYTE_DOT, *BYTE_DOT_SUMS.values()):
        ir.register_op_attr(name, "TVectorizable", True)
    tirx.register_intrin_lowering(
        BYTE_DOT_SUMS["unsigned"], target="llvm", f=_lower_unsigned_dot_sum, level=99
    )
    tirx.register_intrin_lowering(BYTE_DOT_SUMS["signed"], target="llvm", f=_lower_signed_dot_sum, level=99)
    tirx.register_intrin_lowering(LANE_MASK, target="llvm", f=_lower_lane_mask, level=99)


def byte_dot_sum(kind: ByteDot, data: Any, weight: Any, axis: list[Any]) -> Any:
    """The sum over ``axis`` of a0 w0 + a1 w1 + a2 w2 + a3 w3.

    ``data`` is an int32 whose bytes are the a, unsigned or signed; those of ``weight`` are the signed w.
    """
    from tvm import ir, te, tirx

    _register()
    reducer = te.comm_reducer(
        lambda total, dot: ir.Call(ir.Op.get(BYTE_DOT_SUMS[kind]), [total, dot], ret_ty="int32"),
        lambda dtype: tirx.const(0, dtype),
        name="byte_dot_sum",
    )
    return reducer(ir.Call(ir.Op.get(BYTE_DOT), [data, weight], ret_ty="int32"), axis=axis)


def lane_mask(first_lane: Any) -> Any:
    """Bit i of the result is the sign bit of lane i of the 16 int8 that begin with ``first_lane``.

    The argument is the load of one lane: TVM's schedules do not follow loads of vectors.
    """
    from tvm import ir

    _register()
    return ir.Call(ir.Op.get(LANE_MASK), [first_lane], ret_ty="int32")


def _lower_unsigned_dot_sum(call: Any) -> Any:
    """vpdpbusd: the instruction adds to its first operand."""
    from tvm import tirx

    total, dot = call.args
    count = total.ty.dtype.lanes
    name = f"llvm.x86.avx512.vpdpbusd.{32 * count}"
    return tirx.call_llvm_pure_intrin(f"int32x{count}", name, total, *(_as_bytes(v, count) for v in dot.args))


def _lower_signed_dot_sum(call: Any) -> Any:
    """sdot, four lanes at a time."""
    from tvm import tirx

    total, dot = call.args
    count = total.ty.dtype.lanes

    def four(vector: Any, first: int) -> Any:
        return tirx.Shuffle([vector], [first + i for i in range(SDOT_LANES)])

    parts = []
    for first in range(0, count, SDOT_LANES):
        factors = (_as_bytes(four(v, first), SDOT_LANES) for v in dot.args)
        name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
        parts.append(tirx.call_llvm_pure_intrin("int32x4", name, four(total, first), *factors))
    return parts[0] if len(parts) == 1 else tirx.Shuffle(parts, list(range(count)))


def _as_bytes(words: Any, count: int) -> Any:
    from tvm import tirx

    return tirx.call_intrin(f"int8x{4 * count}", "tirx.reinterpret", words)


def _lower_lane_mask(call: Any) -> Any:
    """pmovmskb, which LLVM turns into a mask register where the lanes come from a comparison."""
    from tvm import tirx

    first = call.args[0]
    lanes = tirx.BufferLoad(first.source, [tirx.Ramp(first.indices[0], 1, MASK_LANES)])
    return tirx.call_llvm_pure_intrin("int32", "llvm.x86.sse2.pmovmskb.128", lanes)

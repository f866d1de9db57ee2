"""How a convolution ends, while its sums are still in registers: scale, bias, residual, ReLU, output code.

A network's next layer reads bits or bytes, so they are what a layer writes: a value's bit is set where it
lies below the threshold of the next sign, a byte is the value in the next layer's steps. Where the float is
needed as well (a shortcut reads it) both are written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.kernels import packing
from runtime.kernels.base import Buffer
from runtime.kernels.intrinsics import lane_mask
from runtime.target import Cpu
from runtime.workload import FusedOutput

LANES = 16  # one mask of 16 bits
ROUNDING = 1.5 * 2.0**23  # added to a small float32, it leaves no bits for a fraction: half goes to even
ROUNDING_BITS = 0x4B400000  # the bits of that float32; what they grew by is the rounded number
STEPS = {
    "uint8": (0, 255, 0),
    "int8": (-127, 127, 128),
    **{f"uint{n}": (0, 2**n - 1, 0) for n in range(2, 8)},
}
"""Lowest and highest step of a byte, and what is added to store it: bytes are stored without a sign."""

Shape = tuple[int, int, int, int, int]
"""An output: images, rows, columns, vectors of channels, lanes."""
Value = Callable[..., Any]
"""The float32 value, or for ``is_below_limit`` the condition, at (n, y, x, o, i)."""


@dataclass(frozen=True)
class Stages:
    """What follows the sums: TE tensors by block name in order, and those that are results of the kernel."""

    tensors: dict[str, Any]
    results: tuple[Any, ...]


def can_write_bits(channels: int, groups: int) -> bool:
    """Whether masks of 16 lanes fill the words of ``groups`` groups of the next layer."""
    depth = channels // groups
    return depth % packing.WORD == 0 or depth == LANES


def epilogue_inputs(workload: FusedOutput, shape: Shape) -> list[Buffer]:
    """The tensor to add, where there is one."""
    return [Buffer("residual", "input", shape, "float32")] if workload.residual else []


def epilogue_constants(workload: FusedOutput, shape: Shape) -> list[Buffer]:
    """The next layer's step or thresholds."""
    _, rows, columns, vectors, lanes = shape
    if workload.output in STEPS:
        return [Buffer("inverse_step", "constant", (1,), "float32")]
    if workload.output == "float" or workload.threshold == "zero":
        return []
    plane = (rows, columns) if workload.threshold in ("position", "element") else (1, 1)
    channel = (vectors, lanes) if workload.threshold in ("channel", "element") else (1, 1)
    return [Buffer("threshold", "constant", (*plane, *channel), "float32")]


def epilogue_outputs(workload: FusedOutput, shape: Shape) -> list[Buffer]:
    """The float output, the coded one, or both, in this order."""
    found = []
    if workload.output == "float" or workload.also_float:
        found.append(Buffer("output", "output", shape, "float32"))
    if workload.output in STEPS:
        found.append(Buffer("codes", "output", shape, "uint8"))
    elif workload.output == "binary":
        found.append(Buffer("codes", "output", *_bits_layout(workload, shape)))
    return found


def _bits_layout(workload: FusedOutput, shape: Shape) -> tuple[tuple[int, ...], str]:
    """One mask for each vector; where a group's only word is half filled, a whole word."""
    depth = shape[3] * shape[4] // workload.output_groups
    return shape[:4], "uint32" if depth == LANES else "uint16"


def rectified(value: Any) -> Any:
    """max(0, x) with the operands in the order that lets a NaN through, as torch does."""
    from tvm import tirx

    return tirx.max(tirx.const(0, "float32"), value)


def quantized(value: Any, inverse_step: Any, code: str) -> Any:
    """``round(value * inverse_step)``, half to even, clamped to the code's range, as a byte."""
    from tvm import tirx

    low, high, offset = STEPS[code]
    scaled = tirx.max(tirx.min(value * inverse_step, tirx.const(high, "float32")), tirx.const(low, "float32"))
    # TVM does not vectorize its own rounding
    shifted = tirx.reinterpret("int32", scaled + tirx.const(ROUNDING, "float32"))
    return (shifted - tirx.const(ROUNDING_BITS - offset, "int32")).astype("uint8")


def finish(workload: FusedOutput, cpu: Cpu, shape: Shape, args: dict[str, Any], value: Value) -> Stages:
    """The stages from the scaled and shifted value to the outputs."""
    from tvm import te

    def complete(n: Any, y: Any, x: Any, o: Any, i: Any) -> Any:
        found = value(n, y, x, o, i)
        if workload.residual:
            found = found + args["residual"][n, y, x, o, i]
        return rectified(found) if workload.relu else found

    tensors: dict[str, Any] = {}
    final = complete
    if workload.output == "float" or workload.also_float:
        output = tensors["output"] = te.compute(shape, complete, name="output")
        final = lambda *index: output[index]  # noqa: E731 - the same value by another way
    if workload.output in STEPS:
        inverse = args["inverse_step"]
        tensors["codes"] = te.compute(
            shape, lambda *index: quantized(final(*index), inverse[0], workload.output), name="codes"
        )
    elif workload.output == "binary":
        tensors |= write_bits(
            workload, cpu, shape, lambda *index: final(*index) < _threshold(workload, args, *index)
        )
    return Stages(tensors, tuple(tensors[name] for name in ("output", "codes") if name in tensors))


def write_bits(workload: FusedOutput, cpu: Cpu, shape: Shape, is_set: Value) -> dict[str, Any]:
    """The stages ``mask`` (a byte a lane, all ones where the bit is set) and ``codes`` (bits)."""
    from tvm import te, tirx

    def byte(*index: Any) -> Any:
        return tirx.Select(is_set(*index), tirx.const(-1, "int8"), tirx.const(0, "int8"))

    mask = te.compute(shape, byte, name="mask")
    bits_shape, dtype = _bits_layout(workload, shape)
    if cpu.has_lane_mask:
        bits = te.compute(bits_shape, lambda *index: lane_mask(mask[(*index, 0)]).astype(dtype), name="codes")
    else:
        lane = te.reduce_axis((0, LANES), "lane")
        one = tirx.const(1, dtype)

        def bit(*index: Any) -> Any:
            return (mask[(*index, lane)].astype(dtype) & one) << lane.var.astype(dtype)

        bits = te.compute(bits_shape, lambda *index: te.sum(bit(*index), axis=lane), name="codes")
    return {"mask": mask, "codes": bits}


def _threshold(workload: FusedOutput, args: dict[str, Any], n: Any, y: Any, x: Any, o: Any, i: Any) -> Any:
    from tvm import tirx

    if workload.threshold == "zero":
        return tirx.const(0, "float32")
    table = args["threshold"]
    index = [k if int(extent) > 1 else 0 for k, extent in zip((y, x, o, i), table.shape, strict=True)]
    return table[tuple(index)]

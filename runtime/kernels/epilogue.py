"""How a convolution ends, while its sums are still in registers: scale, bias, residual, activation, code.

A network's next layer reads bits or bytes, so they are what a layer writes: a value's bit is set where it
lies below the threshold of the next sign, a byte is the value in the next layer's steps. Where the real
number is needed as well (a shortcut reads it) both are written. It is a float, or a fixed-point number where
bytes meet bytes and all is done in integers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cpu import Cpu
from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer
from runtime.kernels.covering import VECTOR, Grid, Vectors, vectors_of
from runtime.kernels.curves import CURVES, rectified, rectified_to
from runtime.kernels.fixed_point import (
    REAL_DTYPES,
    SIX,
    UNIT,
    as_byte,
    as_code,
    byte_within,
    code_buffers,
    from_float,
    rescaled,
    rescaled_in_32_bits,
    saturated,
    scale_buffers,
)
from runtime.kernels.intrinsics import lane_mask
from runtime.kernels.placing import Placed, place_outputs
from runtime.kernels.scaled_lanes import arranged, lanes_for, saturated_sum, scaled_bytes, scaled_lanes
from runtime.kernels.weight_layouts import taps_of
from runtime.tvm_types import Compute, Expr, PrimFunc, Stmt, Tensor, Tensors, TirBuffer
from runtime.workload import HIGHEST_BYTE, Activation, FusedOutput, is_affine

LANES = VECTOR  # one mask of 16 bits
ROUNDING = 1.5 * 2.0**23  # added to a small float32, it leaves no bits for a fraction: half goes to even
ROUNDING_BITS = 0x4B400000  # the bits of that float32; what they grew by is the rounded number
STEPS = {"int8": 255, "int7": 127, **{f"uint{n}": 2**n - 1 for n in range(2, 9)}}
"""Highest step of a byte; the zero point of affine ones is a constant of kernels, that of the others is 0."""

Value = Compute
"""The value at (n, y, x, o, i) of a grid, or for ``is_below_limit`` the condition.

It is a float32, or, where sums are scaled by integers, a fixed-point number as an int64, or, where nothing
but a byte is made of it, that byte before it is clamped, as an int32.
"""
MakeStage = Callable[..., Tensor]
"""Makes a stage of its shape, its value at an index, and its ``name``, as ``te.compute`` does."""


@dataclass(frozen=True)
class Stages:
    """What follows the sums.

    Attributes:
        tensors: TE tensors by block name, in order.
        results: those that the kernel writes.
        placed: where it writes them.
        lanes: how many of each vector it writes.
        joined: the stage that is of all vectors of a pixel at once, if any.
    """

    tensors: Tensors
    results: tuple[Tensor, ...]
    placed: dict[str, Placed]
    lanes: int
    joined: str = ""

    def place(self, scheduled: PrimFunc) -> PrimFunc:
        """The scheduled function of the stages, its stores where they belong."""
        return place_outputs(scheduled, self.placed, self.lanes)


def fills_words(channels: int, groups: int) -> bool:
    """Whether masks of 16 lanes fill the words of ``groups`` groups of the next layer."""
    depth = channels // groups
    return depth % packing.WORD == 0 or depth == LANES


def has_integer_form(activation: Activation) -> bool:
    """Whether an activation is computed without a float as well."""
    return activation in ("none", "relu6")


def can_write_bits(vectors: Vectors, groups: int) -> bool:
    """Whether each mask of 16 lanes is a piece of the words of ``groups`` groups of the next layer."""
    in_turn = vectors.groups == 1 or vectors.group.padded == vectors.group.extent
    return vectors.kept == LANES and in_turn and (groups == 1 or fills_words(vectors.channels, groups))


def scales_by_integers(workload: Any) -> bool:
    """Whether the sums are of bytes and are scaled without a float; depthwise low-bit weights are floats."""
    if workload.arithmetic != "integer" or workload.input not in HIGHEST_BYTE:
        return False
    return workload.family != "depthwise_conv2d" or taps_of(workload).scales_by_integers


def has_real(workload: FusedOutput) -> bool:
    """Whether there is a real number between the sums and what is written."""
    return workload.residual or workload.also_float or workload.output == "float"


def scales(workload: Any, shape: tuple[int, ...]) -> list[Buffer]:
    """What sums are scaled by, for each channel."""
    if scales_by_integers(workload):
        return scale_buffers(shape)
    return [Buffer(name, "constant", shape, "float32") for name in ("scale", "bias")]


def scale_arguments(workload: Any, cpu: Cpu, buffers: tuple[Buffer, ...]) -> tuple[Buffer, ...]:
    """The arguments of a kernel for a CPU: without what ``arranged_scales`` puts into the biases."""
    if not scales_by_integers(workload):
        return buffers
    kept = (b for b in buffers if b.name != "offset")
    if lanes_for(cpu, vectors_of(workload)) is None:
        return tuple(kept)
    return tuple(replace(b, dtype="int64") if b.name == "multiplier" else b for b in kept)


def arranged_scales(workload: Any, cpu: Cpu, constants: Constants, excess: int) -> Constants:
    """The constants of ``scale_arguments``; sums lack ``excess`` times the offset of their channel."""
    if not scales_by_integers(workload):
        return constants
    found = {**constants}
    if "offset" in found:
        found["bias"] = _bias(constants, excess)
    lanes = lanes_for(cpu, vectors_of(workload))
    return found if lanes is None else arranged(lanes, found)


def _bias(constants: Constants, excess: int) -> NDArray[np.int64]:
    """The biases of sums, each with what its sum lacks: modulo 2^64, as the sums are."""
    offset, multiplier = (np.asarray(constants[name]).astype(np.int64) for name in ("offset", "multiplier"))
    bias: NDArray[np.int64] = np.asarray(constants["bias"]).astype(np.int64)
    return bias + (excess * offset * multiplier.reshape(offset.shape)).reshape(bias.shape)


def scaled(workload: Any, cpu: Cpu, total: Expr, args: Tensors, o: Expr, i: Expr) -> Expr:
    """The sum as a ``Value``."""
    if not scales_by_integers(workload):
        return total.astype("float32") * args["scale"][o, i] + args["bias"][o, i]
    factors = args["multiplier"][o, i], args["bias"][o, i], args["shift"][0]
    lanes = lanes_for(cpu, vectors_of(workload))
    if lanes is None:
        return (rescaled if has_real(workload) else rescaled_in_32_bits)(total, *factors)
    return (scaled_lanes if has_real(workload) else scaled_bytes)(lanes, total, *factors)


def epilogue_inputs(workload: FusedOutput, grid: Grid) -> list[Buffer]:
    """The tensor to add, where there is one."""
    dtype = REAL_DTYPES[workload.arithmetic]
    return [Buffer("residual", "input", grid.output, dtype)] if workload.residual else []


def epilogue_constants(workload: FusedOutput, grid: Grid) -> list[Buffer]:
    """The next layer's step and zero point, or thresholds."""
    if workload.arithmetic == "integer":
        return _integer_constants(workload)
    if workload.output in STEPS:
        return step_buffers(workload.output)
    if workload.output == "float" or workload.threshold == "zero":
        return []
    plane = grid.output[1:3] if workload.threshold in ("position", "element") else (1, 1)
    channel = grid.vectors.shape if workload.threshold in ("channel", "element") else (1, 1)
    return [Buffer("threshold", "constant", (*plane, *channel), "float32")]


def _integer_constants(workload: FusedOutput) -> list[Buffer]:
    found, is_relu6 = [] if scales_by_integers(workload) else [UNIT], workload.activation == "relu6"
    if has_real(workload):
        found += [SIX] if is_relu6 else []
        return found + code_buffers() if workload.output in STEPS else found
    if workload.output in STEPS and is_affine(workload.output) and (workload.relu or is_relu6):
        found.append(_OUTPUT_ZERO)  # a ReLU ends at the zero point, which the bias holds already
    return [*found, _OUTPUT_MOST] if is_relu6 else found


_OUTPUT_ZERO = Buffer("output_zero", "constant", (1,), "int32")
_OUTPUT_MOST = Buffer("output_most", "constant", (1,), "int32")
"""The byte of 6, where a ReLU6 ends."""


def step_buffers(code: str) -> list[Buffer]:
    """One over the step of a byte, and its zero point where it has one."""
    inverse = Buffer("inverse_step", "constant", (1,), "float32")
    return [inverse, _OUTPUT_ZERO] if is_affine(code) else [inverse]


def epilogue_outputs(workload: FusedOutput, grid: Grid) -> list[Buffer]:
    """The real output, the coded one, or both, in this order."""
    found = []
    if workload.output == "float" or workload.also_float:
        found.append(Buffer("output", "output", grid.output, REAL_DTYPES[workload.arithmetic]))
    if workload.output in STEPS:
        found.append(Buffer("codes", "output", grid.output, "uint8"))
    elif workload.output == "binary":
        found.append(Buffer("codes", "output", *_bits_layout(workload, grid)))
    return found


def _bits_layout(workload: FusedOutput, grid: Grid) -> tuple[tuple[int, ...], str]:
    """One mask for each vector in words; where a group's only word is half filled, a whole word."""
    pixels, depth = grid.output[:3], grid.vectors.channels // workload.output_groups
    if depth == LANES:
        return (*pixels, grid.vectors.count), "uint32"
    masks = packing.WORD // LANES * workload.output_groups * packing.words(depth)
    return (*pixels, masks), "uint16"


def quantized(value: Expr, args: Tensors, code: str) -> Expr:
    """``round(value / step)``, half to even, plus the zero point, clamped to the code's range, as a byte."""
    from tvm import tirx

    zero = args["output_zero"][0] if is_affine(code) else tirx.const(0, "int32")
    low, high = -zero.astype("float32"), (tirx.const(STEPS[code], "int32") - zero).astype("float32")
    steps = tirx.max(tirx.min(value * args["inverse_step"][0], high), low)
    # TVM does not vectorize its own rounding
    shifted = tirx.reinterpret("int32", steps + tirx.const(ROUNDING, "float32"))
    return (shifted - (tirx.const(ROUNDING_BITS, "int32") - zero)).astype("uint8")


def finish(
    workload: FusedOutput,
    cpu: Cpu,
    grid: Grid,
    args: Tensors,
    value: Value,
    compute: MakeStage | None = None,
) -> Stages:
    """The stages from the scaled and shifted value to the outputs, made by ``compute``, or as TE tensors."""
    from tvm import te

    compute = compute or te.compute
    is_integer = workload.arithmetic == "integer"
    is_code = is_integer and not has_real(workload)  # the value is a byte already
    lanes = lanes_for(cpu, grid.vectors) if scales_by_integers(workload) else None

    def complete(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
        found = value(n, y, x, o, i)
        if is_integer and not scales_by_integers(workload):
            found = from_float(found, args["unit"][0])
        if workload.residual:
            residual = args["residual"][grid.place(n, y, x, o, i)]
            if is_integer and lanes is not None:
                return ended(saturated_sum(found, residual))
            found = found + residual
        if is_code:
            return found
        found = saturated(found) if is_integer else found
        return ended(found)

    def ended(found: Expr) -> Expr:
        found = rectified(found, workload.arithmetic) if workload.relu else found
        if is_integer and workload.activation == "relu6":
            return rectified_to(args["six"][0], found, workload.arithmetic)
        return CURVES[workload.activation](found)

    def code(*index: Expr) -> Expr:
        if not is_integer:
            return quantized(final(*index), args, workload.output)
        if not is_code:
            return code_of(final(*index))
        lowest = args["output_zero"][0] if "output_zero" in args else None
        highest = args["output_most"][0] if "output_most" in args else STEPS[workload.output]
        within = as_byte if lanes is None else byte_within
        return within(final(*index), lowest, highest)

    def code_of(real: Expr) -> Expr:
        if lanes is None:
            return as_code(real, args, STEPS[workload.output])
        multiplier, bias, shift = (args[b.name][0] for b in code_buffers())
        found = scaled_bytes(lanes, real, multiplier.astype("int64"), bias, shift)
        return byte_within(found, None, STEPS[workload.output])

    tensors: Tensors = {}
    final = complete
    if workload.also_float:
        real = tensors["real"] = compute(grid.shape, complete, name="real")
        final = lambda *index: real[index]  # noqa: E731 - the same value by another way
    if workload.output == "float" or workload.also_float:
        tensors["output"] = compute(grid.shape, final, name="output")
    if workload.output in STEPS:
        tensors["codes"] = compute(grid.shape, code, name="codes")
    elif workload.output == "binary":
        return write_bits(
            workload,
            cpu,
            grid,
            lambda *index: final(*index) < _threshold(workload, grid, args, *index),
            tensors,
            compute,
        )
    joins = workload.output in STEPS and lanes is not None and _lie_in_a_row(grid.vectors)
    stages = _stages(grid, tensors, Placed(grid.output, grid.place))
    return replace(stages, joined="codes") if joins else stages


def _lie_in_a_row(vectors: Vectors) -> bool:
    """Whether lanes of neighbouring vectors are neighbouring channels."""
    return vectors.kept == vectors.width and vectors.group.padded == vectors.group.extent


def _stages(grid: Grid, tensors: Tensors, codes: Placed) -> Stages:
    placed = {"output": Placed(grid.output, grid.place), "codes": codes}
    results = tuple(tensors[name] for name in placed if name in tensors)
    return Stages(tensors, results, placed, grid.vectors.kept)


def write_bits(
    workload: FusedOutput,
    cpu: Cpu,
    grid: Grid,
    is_set: Value,
    before: Tensors | None = None,
    compute: MakeStage | None = None,
) -> Stages:
    """``before`` and the stages ``mask`` (a byte a lane, all ones where the bit is set) and ``codes``."""
    from tvm import te, tirx

    compute = compute or te.compute

    def lost(o: Expr) -> Expr:
        """Lanes of a vector whose bits the vector before it has."""
        return o * LANES - grid.vectors.first(o)

    is_whole = grid.vectors.group.padded == grid.vectors.group.extent

    def byte(*index: Expr) -> Expr:
        return tirx.Select(is_set(*index), tirx.const(-1, "int8"), tirx.const(0, "int8"))

    tensors = {**(before or {}), "mask": compute(grid.shape, byte, name="mask")}
    shape, dtype = _bits_layout(workload, grid)
    if cpu.has_lane_mask:

        def masked(*index: Expr) -> Expr:
            bits = lane_mask(tensors["mask"][(*index, 0)])
            return (bits if is_whole else bits >> lost(index[3])).astype(dtype)

    else:
        lane = te.reduce_axis((0, LANES), "lane")
        one = tirx.const(1, "uint32")

        def bit(*index: Expr) -> Expr:
            return (tensors["mask"][(*index, lane)].astype("uint32") & one) << lane.var.astype("uint32")

        bits = compute(grid.shape[:4], lambda *index: te.sum(bit(*index), axis=lane), name="bits")
        tensors["bits"] = bits

        def masked(*index: Expr) -> Expr:
            found = bits[index]
            return (found if is_whole else found >> lost(index[3]).astype("uint32")).astype(dtype)

    tensors["codes"] = compute(grid.shape[:4], masked, name="codes")
    return _stages(grid, tensors, _place_of_bits(grid, shape))


def _place_of_bits(grid: Grid, shape: tuple[int, ...]) -> Placed:
    """Masks lie side by side; where they are odd in number, no bits fill the last word."""
    from tvm import tirx

    last = grid.vectors.count - 1

    def place(n: Expr, y: Expr, x: Expr, o: Expr) -> tuple[Expr, ...]:
        return n, *grid.pixel(y, x), o

    def fill(codes: TirBuffer, index: Sequence[Expr]) -> Stmt:
        n, y, x, o = index
        none = tirx.BufferStore(codes, tirx.const(0, codes.dtype), place(n, y, x, last + 1))
        return tirx.IfThenElse(o == last, none, None)

    return Placed(shape, place, fill if shape[3] > grid.vectors.count else None)


def _threshold(
    workload: FusedOutput, grid: Grid, args: Tensors, n: Expr, y: Expr, x: Expr, o: Expr, i: Expr
) -> Expr:
    from tvm import tirx

    if workload.threshold == "zero":
        return tirx.const(0, "float32")
    table = args["threshold"]
    place = *grid.pixel(y, x), o, i
    index = [k if int(extent) > 1 else 0 for k, extent in zip(place, table.shape, strict=True)]
    return table[tuple(index)]

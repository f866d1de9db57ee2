"""Sums of products of bytes: four at a time where the CPU has vectors, one by one elsewhere."""

import numpy as np

from runtime.cpu import ByteDot, Cpu
from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer, ByChannel
from runtime.kernels.byte_dots import PAIRED, paired
from runtime.kernels.byte_sums import Products, Sums, sum_by_fours, takes
from runtime.kernels.covering import Grid, vectors_of
from runtime.kernels.intrinsics import DOT_LANES
from runtime.kernels.mmla_forms import by_steps, multiplies_pairs
from runtime.kernels.padding import Image, flat_placeholder, pad_rows, tap_axes
from runtime.kernels.quads import fill_quads, join_quads
from runtime.kernels.reading import reader
from runtime.kernels.weight_layouts import quads_of
from runtime.tvm_types import Expr, Tensor, Tensors
from runtime.workload import HIGHEST_BYTE, Conv2d, is_affine

QUAD = packing.QUAD  # bytes of one dot product
BYTE_OFFSET = 128  # what bytes lose on the way into a dot product of signed bytes

Index = tuple[Expr, Expr, Expr, Expr, Expr]


def byte_dot_for(workload: Conv2d, cpu: Cpu) -> ByteDot | None:
    """The way to multiply four bytes at a time, if there is one."""
    if vectors_of(workload).width not in DOT_LANES:
        return None
    if multiplies_pairs(workload, cpu):
        return ByteDot.USMMLA
    wide = {ByteDot.SMULL: ByteDot.SMULL_WIDE, ByteDot.VMULL: ByteDot.VMULL_WIDE}
    quads = quads_of(workload)
    if cpu.byte_dot in wide and (quads.is_odd or not quads.is_bytewise):  # odd bytes may be -128
        return wide[cpu.byte_dot]
    window, depth = workload.window.taps, packing.quads(_depth(workload))
    return next((kind for kind in cpu.byte_dots if takes(kind, window, depth, _highest_pair(workload))), None)


def _depth(workload: Conv2d) -> int:
    return workload.in_channels // workload.groups


def _highest_pair(workload: Conv2d) -> int:
    """What the sum of two products may be, as bytes are stored."""
    return 2 * HIGHEST_BYTE[workload.input] * quads_of(workload).highest


def arranged(workload: Conv2d, cpu: Cpu, constants: Constants) -> Constants:
    """The constants with weights in the order that the CPU takes them in."""
    kind = byte_dot_for(workload, cpu)
    if kind not in (*PAIRED, ByteDot.USMMLA):
        return constants
    weight = np.ascontiguousarray(constants["weight"])
    words = weight.view(np.uint32).reshape(-1, vectors_of(workload).width)
    words = by_steps(words, quads_of(workload).per_word) if kind is ByteDot.USMMLA else paired(words)
    return {**constants, "weight": words.view(weight.dtype).reshape(weight.shape)}


def quads_by_channel(workload: Conv2d, cpu: Cpu) -> ByChannel:
    """How these weights lie: bytes of (..., lanes, 4), or bits where several quads are in a word.

    ``paired`` has the halves of four words beside each other, ``by_steps`` two quads of a lane.
    """
    kind, quads = byte_dot_for(workload, cpu), quads_of(workload)
    (vectors, lanes), window = vectors_of(workload).shape, workload.window
    steps = window.count * packing.quads(_depth(workload))  # quads of a channel
    of_bits = quads.per_word > 1
    rows = packing.quads(steps) if of_bits else steps
    word = packing.WORD if of_bits else QUAD
    if kind in PAIRED:
        return ByChannel((vectors, rows, lanes // 4, 2, 4, word // 2), (0, 2, 4), of_bits)
    if kind is not ByteDot.USMMLA:
        return ByChannel((vectors, rows, lanes, word), (0, 2), of_bits)
    if not of_bits:
        return ByChannel((vectors, rows // 2, lanes, 2, word), (0, 2))
    return ByChannel((vectors, rows, lanes // 2, 2, QUAD, 2, 2, 2), (0, 6, 2), of_bits)


def window_buffers(workload: Conv2d, image: tuple[int, int], out: tuple[int, int]) -> list[Buffer]:
    """Scratch for the sums of a pixel's bytes (N, H, W, G) and of a window's (N, Ho, Wo, G), where needed.

    Twice a sum of products of odd weights, as they are stored, lacks the sum of the inputs.
    """
    w = workload
    if not quads_of(w).is_odd:
        return []
    pixels = (w.batch, *w.window.padded(*image), w.groups)
    windows = (w.batch, *out, w.groups)
    return [Buffer("pixels", "scratch", pixels, "int32"), Buffer("windows", "scratch", windows, "int32")]


def accumulate_bytes(
    workload: Conv2d,
    cpu: Cpu,
    grid: Grid,
    buffers: dict[str, Buffer],
    args: Tensors,
    scratch: Tensors,
) -> tuple[Image, Sums]:
    """The input, and the sums of products of bytes as they are stored, int32, of the grid's shape."""
    kind = byte_dot_for(workload, cpu)
    if kind is None:
        image, data = _bytes(workload, buffers, args, scratch)
        sums = _one_by_one(workload, grid, data, args, scratch)
    else:
        image, data = words_of_image(workload, buffers, args, scratch)
        sums = _by_fours(workload, cpu, kind, grid, data, args, scratch)
    add_windows(workload, kind, buffers, data, scratch)
    return image, sums


def add_windows(
    workload: Conv2d, kind: ByteDot | None, buffers: dict[str, Buffer], data: Image, scratch: Tensors
) -> None:
    """The stages that ``window_buffers`` are for."""
    if quads_of(workload).is_odd:
        scratch["pixels"] = _pixels(data, kind)
        scratch["windows"] = _windows(workload, scratch["pixels"], buffers["windows"].shape)


def all_products(
    workload: Conv2d, cpu: Cpu, grid: Grid, total: Expr, args: Tensors, scratch: Tensors, index: Index
) -> Expr:
    """The sum of products of what bytes stand for, from that of the bytes as they are stored."""
    from tvm import tirx

    n, y, x, o, i = index
    if quads_of(workload).is_odd:
        total = 2 * total + scratch["windows"][n, *grid.pixel(y, x), grid.group(o, i)]
    if "offset" not in args:  # it is in the bias
        return total
    excess = tirx.const(_loss(workload, cpu), "int32")
    excess = excess + args["zero_point"][0] if is_affine(workload.input) else excess
    return total + args["offset"][o, i] * excess


def excess_of(workload: Conv2d, cpu: Cpu, constants: Constants) -> int:
    """What stored bytes are more than what they stand for, as dot products take them."""
    zero = int(constants["zero_point"].item()) if is_affine(workload.input) else 0
    return zero + _loss(workload, cpu)


def _loss(workload: Conv2d, cpu: Cpu) -> int:
    kind = byte_dot_for(workload, cpu)
    return -BYTE_OFFSET if kind is not None and kind.is_signed else 0


def _by_fours(
    workload: Conv2d, cpu: Cpu, kind: ByteDot, grid: Grid, data: Image, args: Tensors, scratch: Tensors
) -> Sums:
    from tvm import tirx

    w, depth, (vectors, width) = workload, data.shape[-1], grid.vectors.shape
    weight = quads_of(w).words(args, scratch, (vectors, *w.window.taps, depth, width, QUAD))
    flip = tirx.const(-0x7F7F7F80 if kind.is_signed else 0, "int32")  # the highest bit of each byte
    read = reader(grid, data, cpu)

    def pixel(n: Expr, y: Expr, x: Expr, ky: Expr, kx: Expr) -> tuple[Expr, Expr, Expr]:
        return n, *w.window.pixel(*grid.pixel(y, x), ky, kx)

    products = Products(
        window=w.window.taps,
        image=data.shape,
        word=lambda *i: data[i] ^ flip,
        pixel=pixel,
        group=grid.group,
        weight=lambda *i: weight[i],
        highest_pair=_highest_pair(w),
        lane_word=(lambda *i: read(*i) ^ flip) if grid.spans_groups else None,
    )
    return sum_by_fours(kind, grid.shape, products)


def _one_by_one(workload: Conv2d, grid: Grid, data: Image, args: Tensors, scratch: Tensors) -> Sums:
    from tvm import te

    w, depth, (vectors, width) = workload, data.shape[-1] // QUAD, grid.vectors.shape
    weights = quads_of(w).bytes(args, scratch, (vectors, *w.window.taps, depth, width, QUAD))
    axes = (*_axes(w, depth), (QUAD, "byte"))
    ky, kx, quad, byte = (te.reduce_axis((0, extent), name) for extent, name in axes)

    def product(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
        pixel = n, *w.window.pixel(y, grid.columns.at(x), ky, kx), grid.group(o, i)
        stored = data[(*pixel, quad * QUAD + byte)].astype("int32")
        return te.sum(stored * weights[o, ky, kx, quad, i, byte].astype("int32"), axis=[ky, kx, quad, byte])

    return Sums(te.compute(grid.shape, product, name="accumulate"))


def _axes(workload: Conv2d, quads: int) -> tuple[tuple[int, str], ...]:
    rows, columns = workload.window.taps
    return (rows, "ky"), (columns, "kx"), (quads, "quad")


def _bytes(
    workload: Conv2d, buffers: dict[str, Buffer], args: Tensors, scratch: Tensors
) -> tuple[Image, Image]:
    """The image as it comes, and padded where it must be."""
    zero = args.get("zero_point")
    image = data = flat_placeholder("data", buffers["data"].shape, "uint8")
    if image.shape[-1] % QUAD:
        data = fill_quads(image, workload.window, zero)
    elif workload.window.is_padded:
        data = pad_rows(image, workload.window, 0, zero)
    if data is not image:
        scratch["padded"] = data.tensor
    return image, data


def words_of_image(
    workload: Conv2d, buffers: dict[str, Buffer], args: Tensors, scratch: Tensors
) -> tuple[Image, Image]:
    """As ``_bytes``, in int32 words of four where it is padded or can be seen so."""
    zero = args.get("zero_point")
    *outer, depth = buffers["data"].shape
    if depth % QUAD:
        image = flat_placeholder("data", (*outer, depth), "uint8")
        data = join_quads(image, workload.window, zero)
    else:
        image = data = flat_placeholder("data", (*outer, depth // QUAD), "int32")
        if workload.window.is_padded:
            data = pad_rows(image, workload.window, 0, zero)
    if data is not image:
        scratch["padded"] = data.tensor
    return image, data


def _pixels(data: Image, kind: ByteDot | None) -> Tensor:
    """The sum of each pixel's bytes (N, H, W, G), as the products take them: of words if by fours."""
    from tvm import te, tirx

    unit = te.reduce_axis((0, data.shape[-1]), "unit")
    low = tirx.const(0x00FF00FF, "int32")
    less = QUAD * BYTE_OFFSET if kind is not None and kind.is_signed else 0

    def held(n: Expr, y: Expr, x: Expr, g: Expr) -> Expr:
        found = data[n, y, x, g, unit].astype("int32")
        if kind is not None:
            pairs = (found & low) + ((found >> 8) & low)
            found = (pairs & 0xFFFF) + (pairs >> 16) - less
        return te.sum(found, axis=unit)

    return te.compute(data.shape[:-1], held, name="pixels")


def _windows(workload: Conv2d, pixels: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sum of what lies under each window (N, Ho, Wo, G)."""
    from tvm import te

    ky, kx = tap_axes(workload.window, "wy", "wx")

    def under(n: Expr, y: Expr, x: Expr, g: Expr) -> Expr:
        return te.sum(pixels[n, *workload.window.pixel(y, x, ky, kx), g], axis=[ky, kx])

    return te.compute(shape, under, name="windows")

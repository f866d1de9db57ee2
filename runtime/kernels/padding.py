"""Windows over images in TE, and the border around images: rows lie in one piece and are copied as such."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from runtime.kernels.loops import in_turn, loop
from runtime.tvm_types import Expr, Stmt, Tensor, TirBuffer
from runtime.workload import Window

VECTOR_BYTES = 64


@dataclass(frozen=True)
class Image:
    """A TE tensor that holds an image of ``shape`` (N, H, W, ...), as one flat row unless told otherwise."""

    tensor: Tensor
    shape: tuple[int, ...]
    is_flat: bool = True

    def __getitem__(self, index: tuple[Expr, ...]) -> Expr:
        if not self.is_flat:
            return self.tensor[index]
        flat = 0
        for extent, i in zip(self.shape, index, strict=True):
            flat = flat * extent + i
        return self.tensor[flat]

    def place(self, flat: Expr) -> list[Expr]:
        """Where the element of this number lies in the tensor."""
        from tvm import tirx

        if self.is_flat:
            return [flat]
        found = []
        for extent in reversed(self.shape[1:]):
            found.append(tirx.floormod(flat, extent))
            flat = tirx.floordiv(flat, extent)
        return [flat, *reversed(found)]


def tap_axes(window: Window, rows: str = "ky", columns: str = "kx") -> tuple[Expr, Expr]:
    """TE's axes over the taps of a window."""
    from tvm import te

    return te.reduce_axis((0, window.kernel_height), rows), te.reduce_axis((0, window.kernel_width), columns)


def is_inside(window: Window, height: int, width: int, y: Expr, x: Expr) -> Expr:
    """Whether a pixel of the padded image lies on the image."""
    from tvm import tirx

    top, left = window.top, window.left
    return tirx.all(y >= top, y < height + top, x >= left, x < width + left)


def flat_placeholder(name: str, shape: tuple[int, ...], dtype: str) -> Image:
    """An argument of the kernel that is indexed as (N, H, W, ...) and lies flat."""
    from tvm import te

    return Image(te.placeholder((prod(shape),), dtype, name=name), shape)


def pad_rows(image: Image, window: Window, value: int | float, byte: Tensor | None = None) -> Image:
    """The image (N, H, W, ...) with a window's padding, pixels of ``value``.

    Where ``byte`` is given, an int32 tensor (1,), each byte of the border has its value.
    """
    from tvm import te, tirx

    n, height, width, *rest = image.shape
    depth, dtype = prod(rest), str(image.tensor.dtype)
    padded_height, padded_width = window.padded(height, width)
    row, left, inner = padded_width * depth, window.left * depth, width * depth

    def statement(ins: list[TirBuffer], outs: list[TirBuffer]) -> Stmt:
        source, target = ins[0], outs[0]
        fill = tirx.const(value, dtype) if byte is None else _repeated(ins[1][0], dtype)

        def padded_row(i: Expr, y: Expr) -> Stmt:
            start = (i * padded_height + y) * row
            first = (i * height + y - window.top) * inner
            filled = in_turn(stores(target, start, row, lambda j: fill, dtype))
            copied = in_turn(
                [
                    *stores(target, start, left, lambda j: fill, dtype),
                    *stores(target, start + left, inner, lambda j: source[first + j], dtype),
                    *stores(target, start + left + inner, window.right * depth, lambda j: fill, dtype),
                ]
            )
            is_outside = tirx.any(y < window.top, y >= height + window.top)
            return tirx.IfThenElse(is_outside, filled, copied)

        def image_rows(i: Expr) -> Stmt:
            return loop(padded_height, lambda y: padded_row(i, y), tirx.ForKind.PARALLEL)

        return loop(n, image_rows, tirx.ForKind.PARALLEL)

    shape = (n, padded_height, padded_width, *rest)
    flat = (prod(shape),)
    sources = [image.tensor] if byte is None else [image.tensor, byte]
    buffers = {  # of offset zero, which TVM would else keep as an unknown
        "in_buffers": [tirx.decl_buffer(s.shape, s.dtype, f"source{i}") for i, s in enumerate(sources)],
        "out_buffers": [tirx.decl_buffer(flat, dtype, "padded")],
    }
    return Image(te.extern(flat, sources, statement, name="padded", dtype=dtype, **buffers), shape)


def _repeated(byte: Expr, dtype: str) -> Expr:
    """A byte as one, or four times in a word."""
    from tvm import tirx

    if dtype == "uint8":
        return byte.astype("uint8")
    word = byte.astype("uint32") * tirx.const(0x01010101, "uint32")
    return tirx.reinterpret("int32", word)


def stores(
    target: TirBuffer, start: Expr, count: int, value: Callable[[Expr], Expr], dtype: str
) -> list[Stmt]:
    """Store ``value(j)`` at ``start + j`` for j below ``count``: full vectors, then ever smaller ones."""
    import numpy as np
    from tvm import tirx

    parts, done = [], 0
    width = VECTOR_BYTES // np.dtype(dtype).itemsize
    while done < count:
        while width > count - done:
            width //= 2
        vectors = (count - done) // width

        def vector(k: Expr, done: int = done, width: int = width) -> Stmt:
            def lane(i: Expr) -> Stmt:
                j = done + k * width + i
                return tirx.BufferStore(target, value(j), [start + j])

            return loop(width, lane, tirx.ForKind.VECTORIZED) if width > 1 else lane(0)

        parts.append(loop(vectors, vector))
        done += vectors * width
    return parts

"""Images of bytes by fours, as dot product instructions take them: channels are filled up to whole quads."""

from runtime.kernels.packing import QUAD, quads
from runtime.kernels.padding import Image, is_inside
from runtime.tvm_types import Expr, Tensor
from runtime.workload import Window


def _byte(image: Image, window: Window, zero: Tensor | None, index: tuple[Expr, ...], channel: Expr) -> Expr:
    """A byte of the padded image with channels beyond the last, which meet weights of zero."""
    from tvm import tirx

    n, y, x, g = index
    _, height, width, *_ = image.shape
    present = tirx.all(is_inside(window, height, width, y, x), channel < image.shape[-1])
    fill = tirx.const(0, "uint8") if zero is None else zero[0].astype("uint8")
    return tirx.if_then_else(present, image[n, y - window.top, x - window.left, g, channel], fill)


def _padded_shape(image: Image, window: Window, depth: int) -> tuple[int, ...]:
    n, height, width, groups, _ = image.shape
    return n, *window.padded(height, width), groups, depth


def fill_quads(image: Image, window: Window, zero: Tensor | None) -> Image:
    """The image of bytes (N, H, W, G, C) padded, and its channels filled up to whole quads.

    ``zero`` is a tensor (1,) of what stands for zero; None for 0.
    """
    from tvm import te

    shape = _padded_shape(image, window, quads(image.shape[-1]) * QUAD)
    filled = te.compute(shape, lambda *i: _byte(image, window, zero, i[:4], i[4]), name="padded")
    return Image(filled, shape, is_flat=False)


def join_quads(image: Image, window: Window, zero: Tensor | None) -> Image:
    """As ``fill_quads``, each quad as one int32 word."""
    from tvm import te, tirx

    def word(*index: Expr) -> Expr:
        *pixel, quad = index
        found = tirx.const(0, "uint32")
        for k in range(QUAD):
            byte = _byte(image, window, zero, tuple(pixel), quad * QUAD + k).astype("uint32")
            found = found | (byte << tirx.const(8 * k, "uint32"))
        return tirx.reinterpret("int32", found)

    shape = _padded_shape(image, window, quads(image.shape[-1]))
    return Image(te.compute(shape, word, name="padded"), shape, is_flat=False)

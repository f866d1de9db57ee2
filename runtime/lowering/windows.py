"""What torch's options of windows mean: one way to read them for all layers that slide a window."""

from dataclasses import replace
from typing import Any

from runtime.graph import Value
from runtime.lowering.rulebook import At
from runtime.workload import Pad2d, Window


def two_numbers(at: At, option: str, value: Any, least: int) -> tuple[int, int]:
    """A window's option as numbers for rows and columns, each at least ``least``."""
    at.require(not isinstance(value, str), f"{option} '{value}' is not computed; give a number")
    given = tuple(value) if isinstance(value, tuple | list) else (value,)
    whole = all(isinstance(each, int) and not isinstance(each, bool) for each in given)
    at.require(whole and len(given) in (1, 2), f"{option} {value} is not one or two whole numbers")
    at.require(min(given) >= least, f"{option} {value} is less than {least}, which torch refuses too")
    return int(given[0]), int(given[-1])


def pool_window(at: At, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1) -> Window:
    """The window of a pool, whose stride is its size if not given."""
    kernel = two_numbers(at, "kernel_size", kernel_size, 1)
    steps = kernel if stride in (None, [], ()) else two_numbers(at, "stride", stride, 1)
    top, left = two_numbers(at, "padding", padding, 0)
    problem = f"padding {padding} is more than half of its window of {kernel[0]}x{kernel[1]}"
    at.require(2 * top <= kernel[0] and 2 * left <= kernel[1], problem)
    return Window.of(kernel, steps, (top, left, top, left), two_numbers(at, "dilation", dilation, 1))


def convolution_window(at: At, kernel: tuple[int, ...], stride: Any, padding: Any, dilation: Any) -> Window:
    """The window of a convolution; torch has names for two paddings."""
    kernel = two_numbers(at, "kernel_size", kernel, 1)
    steps, gaps = two_numbers(at, "stride", stride, 1), two_numbers(at, "dilation", dilation, 1)
    if padding == "same":
        at.require(steps == (1, 1), "padding 'same' takes stride 1")
        rows, columns = ((taps - 1) * gap for taps, gap in zip(kernel, gaps, strict=True))
        sides = rows // 2, columns // 2, rows - rows // 2, columns - columns // 2
        return Window.of(kernel, steps, sides, gaps)
    top, left = (0, 0) if padding == "valid" else two_numbers(at, "padding", padding, 0)
    return Window.of(kernel, steps, (top, left, top, left), gaps)


def adaptive_sides(at: At, image: Value, output_size: Any) -> tuple[int, int]:
    """The rows and columns that an adaptive pool makes of an image; None leaves the image's own."""
    size = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
    at.require(len(size) == 2, f"output_size {output_size} is not one or two numbers")
    wanted = [own if given is None else given for given, own in zip(size, image.shape[1:3], strict=True)]
    whole = all(isinstance(side, int) and side > 0 for side in wanted)
    at.require(whole, f"output_size {output_size} is not one or two whole numbers above 0")
    rows, columns = wanted
    return rows, columns


def ceiled(window: Window, height: int, width: int) -> Window:
    """The window with so much padding more that their number is rounded up, as torch does it."""
    rows, columns = window.extent
    below = _missing(height, window.top, rows, window.stride_y)
    behind = _missing(width, window.left, columns, window.stride_x)
    return replace(window, bottom=window.bottom + below, right=window.right + behind)


def _missing(size: int, padding: int, extent: int, stride: int) -> int:
    """Pixels that the last window lacks, unless it would start behind the image."""
    room = size + 2 * padding - extent
    steps = -(-room // stride)
    if steps * stride >= size + padding:
        steps -= 1
    return max(0, steps * stride - room)


def leaves_the_image(window: Window, height: int, width: int) -> bool:
    """Whether no tap of some window lies on the image: a pool has nothing to choose from."""
    rows, columns = window.outputs(height, width)
    return _misses(rows, window.stride_y, window.dilation_y, window.kernel_height, window.top, height) or (
        _misses(columns, window.stride_x, window.dilation_x, window.kernel_width, window.left, width)
    )


def _misses(count: int, stride: int, dilation: int, taps: int, padding: int, size: int) -> bool:
    return any(
        all(not 0 <= i * stride + k * dilation - padding < size for k in range(taps)) for i in range(count)
    )


def with_border(at: At, image: Value, window: Window) -> tuple[Value, Window]:
    """The image without the zeros that were put around it, and the window that pads as many itself."""
    node = at.builder.producer(image)
    if node is None or image.shape != node.output.shape or not _is_border(node.workload):
        return image, window
    sides = ("top", "left", "bottom", "right")
    wider = {side: getattr(window, side) + getattr(node.workload, side) for side in sides}
    return with_border(at, node.inputs[0], replace(window, **wider))


def _is_border(workload: Any) -> bool:
    """Whether it puts zeros around an image and does nothing else."""
    return isinstance(workload, Pad2d) and workload.is_zero and not workload.before and not workload.behind

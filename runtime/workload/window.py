"""How a window slides over an image: its taps, steps, gaps and the border around the image."""

from dataclasses import dataclass
from typing import Any

from search_spaces.errors import InvalidInput
from search_spaces.pairs import Pair, short

Sides = int | tuple[int, int, int, int]
"""Top, left, bottom and right; a number where all agree."""


@dataclass(frozen=True)
class Window:
    """A window of taps; sizes, steps and gaps are in pixels.

    Attributes:
        kernel_height: rows of taps.
        kernel_width: columns of taps.
        stride_y: from one window to the next one below.
        stride_x: from one window to the next one to the right.
        top: pixels of padding above the image, as the three that follow on its other sides.
        dilation_y: from one row of taps to the next.
        dilation_x: from one column of taps to the next.
    """

    kernel_height: int = 1
    kernel_width: int = 1
    stride_y: int = 1
    stride_x: int = 1
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    dilation_y: int = 1
    dilation_x: int = 1

    @staticmethod
    def of(kernel: Pair, stride: Pair = 1, padding: Sides = 0, dilation: Pair = 1) -> "Window":
        """The window that the fields of a workload tell."""
        kernel, dilation = both(kernel), both(dilation)
        gaps = [1 if taps == 1 else gap for taps, gap in zip(kernel, dilation, strict=True)]
        return Window(*kernel, *both(stride), *all_sides(padding), *gaps)

    @property
    def taps(self) -> tuple[int, int]:
        """Rows and columns of taps."""
        return self.kernel_height, self.kernel_width

    @property
    def count(self) -> int:
        """How many taps it has."""
        return self.kernel_height * self.kernel_width

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right."""
        return self.top, self.left, self.bottom, self.right

    @property
    def is_padded(self) -> bool:
        """Whether there is a border around the image."""
        return any(self.padding)

    @property
    def is_pointwise(self) -> bool:
        """Whether each output pixel reads just its own input pixel."""
        return self.count == self.stride_y == self.stride_x == 1 and not self.is_padded

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last."""
        return (self.kernel_height - 1) * self.dilation_y + 1, (self.kernel_width - 1) * self.dilation_x + 1

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of an image with its border."""
        return height + self.top + self.bottom, width + self.left + self.right

    def outputs(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of windows on an image; none or fewer where it is too small for one."""
        rows, columns = self.padded(height, width)
        return (rows - self.extent[0]) // self.stride_y + 1, (columns - self.extent[1]) // self.stride_x + 1

    def pixel(self, y: Any, x: Any, ky: Any, kx: Any) -> tuple[Any, Any]:
        """Where tap (ky, kx) of the window for output (y, x) lies on the padded image."""
        return y * self.stride_y + ky * self.dilation_y, x * self.stride_x + kx * self.dilation_x

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a workload, as short as they can be told: one number where directions agree."""
        pairs = {
            "kernel": self.taps,
            "stride": (self.stride_y, self.stride_x),
            "padding": self.padding,
            "dilation": (self.dilation_y, self.dilation_x),
        }
        return {name: short(given) for name, given in pairs.items()}


def both(given: Pair) -> tuple[int, int]:
    """Of rows and of columns."""
    found = (given, given) if isinstance(given, int) else given
    if len(found) != 2:
        raise InvalidInput("workload", f"{given} is not for rows and columns", "give a number or two")
    return found


def all_sides(given: Sides) -> tuple[int, int, int, int]:
    """Top, left, bottom, right."""
    found = (given,) * 4 if isinstance(given, int) else given
    if len(found) != 4:
        raise InvalidInput("workload", f"{given} is not for four sides", "give a number or four")
    return found

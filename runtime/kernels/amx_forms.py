"""How a convolution of bytes is cut into blocks that AMX multiplies, and where that pays.

A tile is 16 pixels, rows as far apart as the stride says, or 16 output channels. Tiles of pixels either lie
within the rows of the output, or go through the padded image without a break, over pixels that no output has
and whose sums are left out; whichever takes fewer. The last one begins early enough to end where the pixels
do, and computes some of them again.
"""

from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from runtime.cpu import AMX, Cpu
from runtime.kernels import packing
from runtime.kernels.amx_tiles import ROW_BYTES, ROWS
from runtime.kernels.covering import VECTOR, spans_groups, vectors_of
from runtime.kernels.schedule import Tile
from runtime.tvm_types import Expr
from runtime.workload import HIGHEST_BYTE, Conv2d, Window

LANES = VECTOR
LEAST_FILLED = 1 / 4
"""Of what a tile multiplies: AMX does 1024 products a cycle where VNNI does 256."""
WORTH_GAPS = 0.8
"""How many of the tiles must be left for pixels to be numbered through rows: each is looked at, then."""
FORMS = ((2, 1), (1, 2), (2, 2), (4, 1), (1, 1))
"""Tiles of pixels and of channels in a block, the most promising first. Small blocks load more, but while one
is scaled and stored, the core multiplies the next."""
MOST_FORMS = 4
"""Of those that fit. A device times five ways, and one is to be without AMX."""


@dataclass(frozen=True)
class AmxTile(Tile):
    """A block of ``x`` tiles of pixels times ``o`` vectors of output channels, in AMX's tile registers."""

    flags: ClassVar[frozenset[str]] = AMX

    def __str__(self) -> str:
        return f"amx{self.x}x{self.o}"


@dataclass(frozen=True)
class PixelTiles:
    """The output pixels of an image in tiles of ``size``.

    They are cut out of ``lines`` of ``length`` pixels: the rows of the output, or one line through all of
    them, in which a row begins ``pitch`` pixels after the one before, and has ``width``.
    """

    size: int
    lines: int
    length: int
    pitch: int
    width: int

    @property
    def per_line(self) -> int:
        """Tiles of a line."""
        return -(-self.length // self.size)

    @property
    def count(self) -> int:
        """All tiles."""
        return self.lines * self.per_line

    @property
    def has_gaps(self) -> bool:
        """Whether some pixels are none of the output."""
        return self.lines == 1 and self.length > self.width

    def start(self, tile: Expr) -> tuple[Expr, Expr]:
        """A tile's line, and its first pixel there."""
        from tvm import tirx

        line, place = tirx.floordiv(tile, self.per_line), tirx.floormod(tile, self.per_line)
        return line, tirx.min(place * self.size, self.length - self.size)

    def place(self, tile: Expr, pixel: Expr) -> tuple[Expr, Expr]:
        """Row and column of a tile's pixel; there is no such column where it is in a gap."""
        from tvm import tirx

        line, first = self.start(tile)
        number = first + pixel
        if self.has_gaps:
            return tirx.floordiv(number, self.pitch), tirx.floormod(number, self.pitch)
        return line, number


def pixel_tiles(window: Window, columns: int, out: tuple[int, int]) -> PixelTiles:
    """Few tiles of the output's pixels, where the padded input has so many columns."""
    rows, width = out
    pitch, rest = divmod(window.stride_y * columns, window.stride_x)

    def cut(lines: int, length: int) -> PixelTiles:
        count = -(-length // ROWS)
        return PixelTiles(-(-length // count), lines, length, pitch, width)

    within, through = cut(rows, width), cut(1, (rows - 1) * pitch + width)
    return through if rest == 0 and through.count < WORTH_GAPS * within.count else within


@dataclass(frozen=True)
class Steps:
    """How many bytes of a window are multiplied at a time.

    Attributes:
        run: quads that lie one after the other, in the image as in the weights.
        quads: of them that a tile takes at a time.
        taps: runs of a row of the window: one through all of its pixels, or one a pixel.
    """

    run: int
    quads: int
    taps: int


def steps_of(workload: Conv2d) -> Steps:
    """The largest part of a run that fits a tile and divides it."""
    window, depth = workload.window, packing.quads(workload.in_channels // workload.groups)
    taps = 1 if workload.groups == window.dilation_x == 1 else window.kernel_width
    run = depth * window.kernel_width // taps
    most = ROW_BYTES // packing.QUAD
    return Steps(run, max(q for q in range(1, most + 1) if run % q == 0), taps)


def amx_forms(workload: Conv2d, cpu: Cpu, columns: int, out: tuple[int, int]) -> list[AmxTile]:
    """Blocks that a convolution can be made of, the most promising first; none where AMX would not pay.

    ``columns`` are those of the padded input, ``out`` rows and columns of the output.
    """
    vectors = vectors_of(workload)
    is_whole = vectors.kept == LANES and not spans_groups(workload)
    if not cpu.has_amx or workload.input not in HIGHEST_BYTE or not is_whole:
        return []
    pixels, steps = pixel_tiles(workload.window, columns, out), steps_of(workload)
    filled = out[0] * out[1] / (pixels.count * ROWS) * steps.quads * packing.QUAD / ROW_BYTES
    if filled <= LEAST_FILLED:
        return []
    fit = (AmxTile(x, o) for x, o in FORMS if x <= pixels.count and vectors.group.count % o == 0)
    return list(islice(fit, MOST_FORMS))

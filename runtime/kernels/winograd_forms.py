"""Where 3x3 convolutions of bytes are computed by Winograd's F(2x2, 3x3), and in tiles of which size."""

from dataclasses import dataclass

from runtime.cpu import ByteDot, Cpu
from runtime.kernels import packing
from runtime.kernels.covering import VECTOR, Cover, vectors_of
from runtime.kernels.schedule import Tile
from runtime.kernels.weight_layouts import quads_of
from runtime.workload import HIGHEST_BYTE, Conv2d

OUT = 2  # rows and columns of a tile's outputs
SIDE = 4  # of its inputs
POSITIONS = SIDE * SIDE
GROWTH = (1 * 2 + 2 * 3 + 1 * 3) ** 2
"""What four sums of products may be on the way, over the greatest product: B^T d, 2 G w and A^T m grow so."""
LEAST_CHANNELS = 8
LEAST_TILES = {
    ByteDot.PMADDWD_512: 16,
    ByteDot.PMADDWD_256: 16,
    ByteDot.PMADDWD_128: 16,
    ByteDot.PMADDUBSW_512: 32,
    ByteDot.PMADDUBSW_256: 32,
    ByteDot.PMADDUBSW_128: 32,
}
"""By ways to multiply that take more instructions otherwise. Below, it does not pay to transform weights."""
HELD = {16: 16, 8: 6, 4: 2}
"""Vectors of 16 sums that registers of so many lanes hold, beside weights and a pixel."""
MOST_WEIGHTS = 1 << 18
"""Bytes of transformed weights on the stack, and in the second cache."""
MOST_PIXELS = 1 << 17
"""As many of transformed pixels."""
MOST_FORMS = 3
"""Of those that fit. A device times five ways, and some are to be without."""


@dataclass(frozen=True)
class WinogradTile(Tile):
    """``x`` tiles of 2x2 pixels, transformed once for ``o`` vectors of output channels, summed in turn.

    ``kind`` is how their CPU multiplies bytes otherwise.
    """

    kind: ByteDot

    def __str__(self) -> str:
        return f"winograd{self.x}x{self.o}"


def tile_count(out: tuple[int, int]) -> int:
    """Tiles of an image with so many rows and columns; the last of each overlap others."""
    rows, columns = out
    return Cover(rows, OUT).count * Cover(columns, OUT).count


def winograd_forms(workload: Conv2d, cpu: Cpu, kind: ByteDot | None) -> list[WinogradTile]:
    """Tiles that a convolution can be made of, the most promising first; none where it would not pay."""
    count = tile_count((workload.out_height, workload.out_width))
    if kind not in LEAST_TILES or count < LEAST_TILES[kind] or not _is_exact(workload):
        return []
    depth, vectors = _depth(workload), vectors_of(workload).count
    shared = next(
        o for o in (2, 1) if vectors % o == 0 and (o == 1 or _weight_bytes(depth, o) <= MOST_WEIGHTS)
    )
    most = max(1, min(count, HELD[kind.lanes], MOST_PIXELS // (POSITIONS * depth * 2)))
    found = [WinogradTile(x, shared, kind) for x in range(1, most + 1)]
    return sorted(found, key=lambda tile: Cover(count, tile.x).padded / Tile(tile.x, 1).reuse())[:MOST_FORMS]


def _is_exact(workload: Conv2d) -> bool:
    """Whether all sums on the way fit 32 bits, and windows are those that it is for."""
    w = workload
    of_window = (
        w.window.taps,
        (w.window.stride_y, w.window.stride_x),
        (w.window.dilation_y, w.window.dilation_x),
    )
    if of_window != ((3, 3), (1, 1), (1, 1)) or min(w.out_height, w.out_width) < OUT:
        return False
    if w.groups > 1 or vectors_of(w).kept < VECTOR or _depth(w) < LEAST_CHANNELS:
        return False
    greatest = HIGHEST_BYTE[w.input] * min(quads_of(w).highest, 128)
    return _depth(w) * greatest * GROWTH < 1 << 31


def _depth(workload: Conv2d) -> int:
    return packing.quads(workload.in_channels) * packing.QUAD


def _weight_bytes(depth: int, vectors: int) -> int:
    """Bytes of transformed weights of vectors of output channels."""
    return POSITIONS * depth * vectors * VECTOR * 2

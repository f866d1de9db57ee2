"""Where convolutions of bytes are computed by usmmla, in which tiles, and how their weights lie then.

The instruction multiplies 2 x 8 bytes by 8 x 2: two pixels by two output channels, 32 products where sdot has
16. A step of the sum is 8 channels of the input, so that weights are (..., quads / 2, lanes, 8).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.cpu import Cpu
from runtime.kernels.covering import VECTOR, Cover, spans_groups, vectors_of
from runtime.kernels.schedule import Tile
from runtime.kernels.weight_layouts import quads_of
from runtime.workload import Conv2d

STEP = 8  # bytes
PIXELS = (4, 6, 2)
"""Of a tile. 4 times 16 channels are 16 registers of sums, and 8 of weights; 6 are 24, which leaves few."""


@dataclass(frozen=True)
class MmlaTile(Tile):
    """``x`` pixels of a row, in pairs, times a vector of output channels, in pairs."""

    def __str__(self) -> str:
        return f"i8mm{self.x}x{self.o}"


def columns_of(workload: Conv2d) -> int:
    """Pixels of a row of the output, all of them where each reads its own pixel alone."""
    rows = workload.out_height if workload.window.is_pointwise else 1
    return rows * workload.out_width


def multiplies_pairs(workload: Conv2d, cpu: Cpu) -> bool:
    """Whether usmmla is there, and fits: pairs of pixels, whole vectors of channels, whole steps."""
    depth = workload.in_channels // workload.groups
    is_whole = vectors_of(workload).kept == VECTOR and not spans_groups(workload) and depth % STEP == 0
    has_order = quads_of(workload).per_word > 0
    return "i8mm" in cpu.flags and is_whole and has_order and columns_of(workload) > 1


def mmla_forms(workload: Conv2d) -> list[MmlaTile]:
    """Tiles, the most promising first: large ones, of which few pixels are computed twice."""
    columns = columns_of(workload)
    fit = [MmlaTile(x, 1) for x in PIXELS if x <= columns]
    return sorted(fit, key=lambda tile: Cover(columns, tile.x).padded / tile.reuse(weight_cost=1))


def by_steps(words: NDArray[np.uint32], per_word: int) -> NDArray[np.uint32]:
    """Words (words, lanes) of so many quads each, their quads in the order of (quads / 2, lanes, 2)."""
    bits = 8 // per_word
    shifts = np.arange(0, 8, bits, dtype=np.uint32)[:, None]
    quads = words[:, None] >> shifts & np.uint32(0x01010101 * ((1 << bits) - 1))
    pairs = quads.reshape(-1, 2, words.shape[-1]).swapaxes(-1, -2).reshape(quads.shape)
    found: NDArray[np.uint32] = np.bitwise_or.reduce(pairs << shifts, axis=1)
    return found

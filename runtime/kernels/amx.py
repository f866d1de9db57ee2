"""Convolutions of bytes on AMX: blocks of 16 pixels by 16 output channels, summed 64 input bytes at a time.

Weights lie as dot products of four take them, (O/16, K, K, quads, 16, 4): 16 quads one after the other are
what a tile register takes. Pixels of an image (N, H, W, C) are rows of the other tile.
"""

from dataclasses import dataclass

from runtime.kernels import amx_tiles, packing
from runtime.kernels.amx_forms import LANES, AmxTile, PixelTiles, pixel_tiles, steps_of
from runtime.kernels.amx_tiles import ROW_BYTES, TileShape
from runtime.kernels.block_products import End
from runtime.kernels.covering import vectors_of
from runtime.kernels.loops import loop
from runtime.kernels.padding import Image
from runtime.tvm_types import Expr, Stmt, TirBuffer
from runtime.workload import Conv2d

LANE_BYTES = 4


@dataclass(frozen=True)
class Products:
    """A convolution in blocks.

    Attributes:
        workload: what to compute.
        tile: the block.
        image: the input as quads, padded; its tensor is ``data`` in the statement.
        out: rows and columns of the output.
    """

    workload: Conv2d
    tile: AmxTile
    image: Image
    out: tuple[int, int]

    @property
    def pixels(self) -> PixelTiles:
        """The tiles of an image."""
        return pixel_tiles(self.workload.window, self.image.shape[2], self.out)

    def sums_buffer(self) -> TirBuffer:
        """Where the sums of a block lie, on the stack: (o, x, pixel, lane), flat."""
        from tvm import tirx

        count = self.tile.o * self.tile.x * self.pixels.size * LANES
        return tirx.decl_buffer((count,), "int32", "sums", scope="local", data_alignment=64)

    def statement(self, data: TirBuffer, weight: TirBuffer, sums: TirBuffer, end: End) -> Stmt:
        """All blocks."""
        from tvm import tirx

        parallel, tile, pixels = tirx.ForKind.PARALLEL, self.tile, self.pixels
        blocks = -(-pixels.count // tile.x)

        def block(n: Expr, o: Expr, number: Expr) -> Stmt:
            first = tirx.min(number * tile.x, pixels.count - tile.x)
            summed = self._sum(data, weight, sums, n, o * tile.o, first)
            return tirx.SeqStmt([*summed, self._end(end, n, o * tile.o, first)])

        def vectors(n: Expr, o: Expr) -> Stmt:
            return loop(blocks, lambda number: block(n, o, number), parallel)

        def images(n: Expr) -> Stmt:
            count = vectors_of(self.workload).count // tile.o
            return loop(count, lambda o: vectors(n, o), parallel)

        nest = loop(self.workload.batch, images, parallel)
        return tirx.SeqStmt([tirx.AllocBuffer(sums), amx_tiles.configured(self._shapes(), nest)])

    def _shapes(self) -> list[TileShape]:
        """Of all registers: sums, then those that are held of the operand that has fewer, then the others."""
        quads = steps_of(self.workload).quads
        pixels = TileShape(self.pixels.size, quads * packing.QUAD)
        weights = TileShape(quads, ROW_BYTES)
        sums = TileShape(self.pixels.size, LANES * LANE_BYTES)
        held, streamed = (weights, pixels) if self._holds_weights else (pixels, weights)
        count = self.tile.x * self.tile.o
        kept = min(self.tile.x, self.tile.o)
        return [*[sums] * count, *[held] * kept, *[streamed] * (amx_tiles.TILES - count - kept)]

    @property
    def _holds_weights(self) -> bool:
        return self.tile.o <= self.tile.x

    def _sum(
        self, data: TirBuffer, weight: TirBuffer, sums: TirBuffer, n: Expr, o: Expr, first: Expr
    ) -> list[Stmt]:
        """Sum the products of a block, whose first vector is ``o`` and whose first tile ``first``."""
        steps, size = steps_of(self.workload), self.pixels.size
        tiles = range(self.tile.x * self.tile.o)

        def step(ky: Expr, kx: Expr, number: Expr) -> Stmt:
            return self._step(data, weight, (n, o, first), (ky, kx, number * steps.quads))

        def taps(ky: Expr) -> Stmt:
            return loop(
                steps.taps, lambda kx: loop(steps.run // steps.quads, lambda number: step(ky, kx, number))
            )

        stored = [amx_tiles.store(tile, sums, [tile * size * LANES], LANES * LANE_BYTES) for tile in tiles]
        return [*map(amx_tiles.zero, tiles), loop(self.workload.window.kernel_height, taps), *stored]

    def _step(
        self,
        data: TirBuffer,
        weight: TirBuffer,
        block: tuple[Expr, Expr, Expr],
        tap: tuple[Expr, Expr, Expr],
    ) -> Stmt:
        """Multiply as much of a block as tiles take at a time."""
        from tvm import tirx

        tile, (n, o, first) = self.tile, block
        count, kept = tile.x * tile.o, min(tile.x, tile.o)
        spare = amx_tiles.TILES - count - kept

        def pixels(register: int, x: int) -> Stmt:
            return self._load_pixels(register, data, (n, o, first + x), tap)

        def weights(register: int, i: int) -> Stmt:
            return self._load_weights(register, weight, o + i, tap)

        hold, stream = (weights, pixels) if self._holds_weights else (pixels, weights)
        found = [hold(count + i, i) for i in range(kept)]
        for j in range(max(tile.x, tile.o)):
            register = count + kept + j % spare
            found.append(stream(register, j))
            for i in range(kept):
                if self._holds_weights:
                    found.append(amx_tiles.add_products(i * tile.x + j, register, count + i))
                else:
                    found.append(amx_tiles.add_products(j * tile.x + i, count + i, register))
        return tirx.SeqStmt(found)

    def _load_pixels(
        self, register: int, data: TirBuffer, block: tuple[Expr, Expr, Expr], tap: tuple[Expr, Expr, Expr]
    ) -> Stmt:
        from tvm import tirx

        w, window, (n, o, tile), (ky, kx, quad) = self.workload, self.workload.window, block, tap
        _, height, width, groups, depth = self.image.shape
        y, x = window.pixel(*self.pixels.start(tile), ky, kx)
        pixel = (n * height + y) * width + x
        group = tirx.floordiv(o, vectors_of(w).group.count)
        flat = (pixel * groups + group) * depth + quad
        stride = window.stride_x * groups * depth * packing.QUAD
        return amx_tiles.load(register, data, self.image.place(flat), stride)

    def _load_weights(self, register: int, weight: TirBuffer, o: Expr, tap: tuple[Expr, Expr, Expr]) -> Stmt:
        from tvm import tirx

        ky, kx, quad = tap
        depth = self.image.shape[-1]
        index = [o, ky, kx + tirx.floordiv(quad, depth), tirx.floormod(quad, depth), 0]
        return amx_tiles.load(register, weight, index, ROW_BYTES)

    def _end(self, end: End, n: Expr, o: Expr, first: Expr) -> Stmt:
        """End each pixel of a block, one vector of channels after the other."""
        from tvm import tirx

        tile, tiles = self.tile, self.pixels

        def pixel(i: int, x: Expr, m: Expr) -> Stmt:
            y, column = tiles.place(first + x, m)
            place = ((i * tile.x + x) * tiles.size + m) * LANES
            ended = end(n, y, column, o + i, place)
            return tirx.IfThenElse(column < tiles.width, ended, None) if tiles.has_gaps else ended

        def vector(i: int) -> Stmt:
            return loop(tile.x, lambda x: loop(tiles.size, lambda m: pixel(i, x, m)))

        return tirx.SeqStmt([vector(i) for i in range(tile.o)]) if tile.o > 1 else vector(0)

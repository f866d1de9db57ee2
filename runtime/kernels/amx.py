"""Convolutions of bytes on AMX: blocks of 16 pixels by 16 output channels, summed 64 input bytes at a time.

Weights lie as dot products of four take them, (O/16, K, K, quads, 16, 4): 16 quads one after the other are
what a tile register takes. Pixels of an image (N, H, W, C) are rows of the other tile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from runtime.kernels import amx_tiles, packing
from runtime.kernels.amx_forms import LANES, AmxTile, PixelTiles, pixel_tiles, steps_of
from runtime.kernels.amx_tiles import ROW_BYTES, TileShape
from runtime.kernels.amx_weights import DecodedWeights, StoredWeights, weights_of
from runtime.kernels.block_products import End
from runtime.kernels.covering import vectors_of
from runtime.kernels.loops import in_turn, local_words, loop
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

    @cached_property
    def weights(self) -> StoredWeights:
        """How they come into tiles."""
        return weights_of(self.workload, self.tile, self.image, self.out)

    @property
    def decodes(self) -> bool:
        """Whether it takes weights as they are packed."""
        return isinstance(self.weights, DecodedWeights)

    @property
    def pixels(self) -> PixelTiles:
        """The tiles of an image."""
        return pixel_tiles(self.workload.window, self.image.shape[2], self.out)

    @cached_property
    def sums(self) -> TirBuffer:
        """Where the sums of a block lie: (o, x, pixel, lane), flat."""
        return local_words("sums", self.tile.o * self.tile.x * self.pixels.size * LANES)

    def statement(self, data: TirBuffer, weight: TirBuffer, end: End) -> Stmt:
        """All blocks."""
        from tvm import tirx

        parallel, tile, pixels = tirx.ForKind.PARALLEL, self.tile, self.pixels
        blocks = -(-pixels.count // tile.x)

        def block(n: Expr, o: Expr, number: Expr) -> Stmt:
            first = tirx.min(number * tile.x, pixels.count - tile.x)
            place = (n, o * tile.o, first)
            summed = self._sum(data, weight, place)
            if self.weights.reads_ahead:
                ahead = partial(self.weights.ahead, weight, o * tile.o, number)
                both = self._sum(data, weight, place, ahead), summed
                summed = tirx.IfThenElse(self.weights.is_ahead(o * tile.o, number), *both)
            begun = [amx_tiles.zero(i) for i in range(tile.x * tile.o)]
            return tirx.SeqStmt([*begun, summed, *self._stored(), self._end(end, n, o * tile.o, first)])

        def vectors(n: Expr, o: Expr) -> Stmt:
            every = loop(
                blocks, lambda number: block(n, o, number), tirx.ForKind.SERIAL if self.decodes else parallel
            )
            return self.weights.around(weight, o * tile.o, every)

        def images(n: Expr) -> Stmt:
            count = vectors_of(self.workload).count // tile.o
            return loop(count, lambda o: vectors(n, o), parallel)

        nest = loop(self.workload.batch, images, parallel)
        before = [tirx.AllocBuffer(self.sums), *self.weights.before()]
        return tirx.SeqStmt([*before, amx_tiles.configured(self._shapes(), nest)])

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
        self,
        data: TirBuffer,
        weight: TirBuffer,
        block: tuple[Expr, Expr, Expr],
        ahead: Callable[[Expr], Stmt] | None = None,
    ) -> Stmt:
        """Sum the products of a block (image, first vector, first tile); each step does ``ahead`` beside."""
        steps = steps_of(self.workload)

        def step(ky: Expr, kx: Expr, number: Expr) -> Stmt:
            order = (ky * steps.taps + kx) * (steps.run // steps.quads) + number
            multiplied = self._step(data, weight, block, (ky, kx, number * steps.quads))
            return multiplied if ahead is None else in_turn([ahead(order), multiplied])

        def taps(ky: Expr) -> Stmt:
            return loop(
                steps.taps, lambda kx: loop(steps.run // steps.quads, lambda number: step(ky, kx, number))
            )

        return loop(self.workload.window.kernel_height, taps)

    def _stored(self) -> list[Stmt]:
        places = ((tile, tile * self.pixels.size * LANES) for tile in range(self.tile.x * self.tile.o))
        return [amx_tiles.store(tile, self.sums, [place], LANES * LANE_BYTES) for tile, place in places]

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
            return self.weights.load(register, weight, o, i, tap)

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

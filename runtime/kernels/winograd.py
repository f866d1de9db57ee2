"""3x3 convolutions of bytes by Winograd's F(2x2, 3x3), for CPUs that multiply bytes in 16 bits: exact.

A tile of 2x2 outputs takes 16 products of transformed numbers for each pair of channels, where windows take
36 of bytes: Y = A^T [(G w G^T) * (B^T d B)] A (Lavin and Gray, *Fast Algorithms for Convolutional Neural
Networks*, 2015). Twice G is whole, so that four times a sum is what is summed. What was transformed fits 16
bits, which pmaddwd multiplies; it is two for each word of four bytes, the even bytes and the odd ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from runtime.kernels.block_products import LANES, End
from runtime.kernels.byte_dots import EVEN_BYTES
from runtime.kernels.covering import Cover, vectors_of
from runtime.kernels.intrinsics import pair_added
from runtime.kernels.loops import in_turn, local_words, loop
from runtime.kernels.padding import Image
from runtime.kernels.winograd_forms import OUT, POSITIONS, SIDE, WinogradTile, tile_count
from runtime.tvm_types import Expr, Stmt, TirBuffer
from runtime.workload import Conv2d

LINE = 16  # words of a line of the cache
BAND = 64
"""Tiles for which weights are transformed once; a thread takes one band or more."""


@dataclass(frozen=True)
class WinogradProducts:
    """A convolution in tiles.

    Attributes:
        workload: what to compute.
        tile: how many tiles and vectors at a time.
        image: the input as quads, padded; its tensor is ``data`` in the statement.
        out: rows and columns of the output.
    """

    workload: Conv2d
    tile: WinogradTile
    image: Image
    out: tuple[int, int]

    @property
    def decodes(self) -> bool:
        """It takes bytes."""
        return False

    @cached_property
    def sums(self) -> TirBuffer:
        """Where the sums of a block lie: (x, position, lane), and then (x, pixel, lane)."""
        return local_words("sums", self.tile.x * POSITIONS * LANES)

    @property
    def steps(self) -> int:
        """Pairs of channels."""
        return 2 * self.image.shape[-1]

    @property
    def row(self) -> int:
        """Words from a position's pixels to the next one's.

        Multiples of 4 kB would all compete for the same few places of a cache.
        """
        return self.steps + LINE

    @property
    def weight_row(self) -> int:
        """As ``row``, of weights."""
        return self.steps * LANES + LINE

    def statement(self, data: TirBuffer, weight: TirBuffer, end: End) -> Stmt:
        """All tiles."""
        from tvm import tirx

        parallel, tile, count = tirx.ForKind.PARALLEL, self.tile, tile_count(self.out)
        weights = local_words("transformed_weights", tile.o * POSITIONS * self.weight_row)
        pixels = local_words("transformed", tile.x * POSITIONS * self.row)
        groups = Cover(count, tile.x)
        bands = max(1, count // BAND)

        def group(n: Expr, o: Expr, number: Expr) -> Stmt:
            first = groups.start(number)
            made = loop(tile.x, lambda x: self._transform_pixels(data, pixels, n, first + x, x))

            def vector(i: Expr) -> Stmt:
                multiplied = self._multiply(pixels, weights, i)
                return in_turn([multiplied, self._end(end, n, o + i, first)])

            return in_turn([made, loop(tile.o, vector)])

        def band(n: Expr, o: Expr, number: Expr) -> Stmt:
            start, stop = (tirx.truncdiv((number + k) * groups.count, bands) for k in (0, 1))
            variable = tirx.Var("group", "int32")
            body = group(n, o, start + variable)
            every = tirx.For(variable, 0, stop - start, tirx.ForKind.SERIAL, body)
            return in_turn([self._transform_weights(weight, weights, o), every])

        def vectors(n: Expr, o: Expr) -> Stmt:
            return loop(bands, lambda number: band(n, o * tile.o, number), parallel)

        def images(n: Expr) -> Stmt:
            return loop(vectors_of(self.workload).count // tile.o, lambda o: vectors(n, o), parallel)

        nest = loop(self.workload.batch, images, parallel)
        return tirx.SeqStmt(
            [tirx.AllocBuffer(self.sums), tirx.AllocBuffer(weights), tirx.AllocBuffer(pixels), nest]
        )

    def _transform_pixels(self, data: TirBuffer, found: TirBuffer, n: Expr, tile: Expr, place: Expr) -> Stmt:
        """``found`` (x, position, pair) at x: B^T d B of the input under a tile."""
        _, height, width, _, depth = self.image.shape
        y, x = self._pixel(tile)
        lanes = next(n for n in (self.tile.kind.lanes, 8, 4, 2, 1) if depth % n == 0)

        def words(number: Expr) -> Stmt:
            def read(i: int, j: int) -> Expr:
                flat = ((n * height + y + i) * width + x + j) * depth + number * lanes
                return _load(data, self.image.place(flat), lanes)

            def store(half: int, position: int, value: Expr) -> Stmt:
                index = (place * POSITIONS + position) * self.row + half * depth + number * lanes
                return _store(found, index, value)

            return _transformed(read, _pixel_halves, SIDE, _of_pixels, store)

        return loop(depth // lanes, words)

    def _transform_weights(self, weight: TirBuffer, found: TirBuffer, first: Expr) -> Stmt:
        """``found`` (o, position, pair, lane): twice G w, times twice G^T, of vectors from ``first`` on."""
        depth, lanes = self.image.shape[-1], self.tile.kind.lanes

        def words(o: Expr, quad: Expr, piece: Expr) -> Stmt:
            def read(i: int, j: int) -> Expr:
                return _load(weight, [first + o, i, j, quad, piece * lanes], lanes)

            def store(half: int, position: int, value: Expr) -> Stmt:
                index = (o * POSITIONS + position) * self.weight_row + (half * depth + quad) * LANES
                return _store(found, index + piece * lanes, value)

            return _transformed(read, _weight_halves, 3, _of_weights, store)

        def quads(o: Expr) -> Stmt:
            return loop(depth, lambda quad: loop(LANES // lanes, lambda piece: words(o, quad, piece)))

        return loop(self.tile.o, quads)

    def _multiply(self, pixels: TirBuffer, weights: TirBuffer, o: Expr) -> Stmt:
        """``sums`` (x, position, lane) of a vector of output channels."""
        from tvm import tirx

        tile = self.tile
        held = tirx.decl_buffer((tile.x * LANES,), "int32", "held", scope="local")

        def vectors(store: Callable[[int, Expr], Stmt]) -> list[Stmt]:
            """A vector of each tile, by its number and that of a lane."""
            return [loop(LANES, partial(store, x), tirx.ForKind.VECTORIZED) for x in range(tile.x)]

        def position(p: Expr) -> Stmt:
            def step(k: Expr) -> Stmt:
                def add(x: int, lane: Expr) -> Stmt:
                    pixel = pixels[(x * POSITIONS + p) * self.row + k]
                    vector = (o * POSITIONS + p) * self.weight_row + k * LANES
                    weight = weights[vector + lane]
                    total = pair_added(tile.kind, held[x * LANES + lane], pixel, weight)
                    return tirx.BufferStore(held, total, [x * LANES + lane])

                return in_turn(vectors(add))

            def clear(x: int, lane: Expr) -> Stmt:
                return tirx.BufferStore(held, tirx.const(0, "int32"), [x * LANES + lane])

            def keep(x: int, lane: Expr) -> Stmt:
                place = (x * POSITIONS + p) * LANES + lane
                return tirx.BufferStore(self.sums, held[x * LANES + lane], [place])

            return in_turn([*vectors(clear), loop(self.steps, step), *vectors(keep)])

        return in_turn([tirx.AllocBuffer(held), loop(POSITIONS, position)])

    def _end(self, end: End, n: Expr, o: Expr, first: Expr) -> Stmt:
        """End each pixel of the tiles from ``first`` on."""
        from tvm import tirx

        def tile(x: Expr) -> Stmt:
            start, (row, column) = x * POSITIONS * LANES, self._pixel(first + x)

            def pixel(number: Expr) -> Stmt:
                y, more = tirx.floordiv(number, OUT), tirx.floormod(number, OUT)
                return end(n, row + y, column + more, o, start + number * LANES)

            return in_turn([self._add_up(start), loop(OUT * OUT, pixel)])

        return loop(self.tile.x, tile)

    def _add_up(self, start: Expr) -> Stmt:
        """A^T m A / 4 of the sums of a tile, its first four vectors of sums then."""
        from tvm import tirx

        parts: list[Stmt] = []

        def bound(value: Expr) -> Expr:
            variable = tirx.Var("sum", value.ty)
            parts.append(tirx.Bind(variable, value))
            return variable

        lanes = self.tile.kind.lanes

        def piece(number: Expr) -> Stmt:
            parts.clear()
            place = start + number * lanes
            columns = []
            for j in range(SIDE):
                m = [bound(_load(self.sums, [place + (i * SIDE + j) * LANES], lanes)) for i in range(SIDE)]
                columns.append([*map(bound, _of_sums(m))])
            two = tirx.Broadcast(tirx.const(2, "int32"), lanes)
            for i in range(OUT):
                for j, total in enumerate(_of_sums([column[i] for column in columns])):
                    parts.append(_store(self.sums, place + (i * OUT + j) * LANES, total >> two))
            return in_turn(list(parts))

        return loop(LANES // lanes, piece)

    def _pixel(self, tile: Expr) -> tuple[Expr, Expr]:
        """The first row and column of a tile of the output."""
        from tvm import tirx

        rows, columns = (Cover(extent, OUT) for extent in self.out)
        return rows.start(tirx.floordiv(tile, columns.count)), columns.start(
            tirx.floormod(tile, columns.count)
        )


def _of_pixels(d: list[Expr]) -> list[Expr]:
    """B^T d."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _of_weights(w: list[Expr]) -> list[Expr]:
    """2 G w."""
    ends = w[0] + w[2]
    return [w[0] + w[0], ends + w[1], ends - w[1], w[2] + w[2]]


def _of_sums(m: list[Expr]) -> list[Expr]:
    """A^T m."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]


def _transformed(
    read: Callable[[int, int], Expr],
    halves: Callable[[Expr], list[Expr]],
    side: int,
    transform: Callable[[list[Expr]], list[Expr]],
    store: Callable[[int, int, Expr], Stmt],
) -> Stmt:
    """Transform the columns of ``side`` x ``side`` words, then the rows, of both halves."""
    from tvm import tirx

    parts: list[Stmt] = []

    def bound(value: Expr) -> Expr:
        variable = tirx.Var("value", value.ty)
        parts.append(tirx.Bind(variable, value))
        return variable

    words = [[bound(read(i, j)) for i in range(side)] for j in range(side)]
    for half in range(2):
        columns = []
        for column in words:
            taken = [bound(halves(word)[half]) for word in column]
            columns.append([*map(bound, transform(taken))])
        for i in range(SIDE):
            row = transform([column[i] for column in columns])
            parts += [store(half, i * SIDE + j, each) for j, each in enumerate(row)]
    return tirx.SeqStmt(parts)


def _pixel_halves(words: Expr) -> list[Expr]:
    """Even bytes and odd ones, unsigned, in 16 bits each."""
    from tvm import tirx

    lanes = int(words.ty.dtype.lanes)
    even = _vector(EVEN_BYTES, "int32", lanes)
    high = tirx.reinterpret(f"uint16x{2 * lanes}", words) >> _vector(8, "uint16", 2 * lanes)
    return [tirx.reinterpret(f"int16x{2 * lanes}", each) for each in (words & even, high)]


def _weight_halves(words: Expr) -> list[Expr]:
    """Even bytes and odd ones, signed, in 16 bits each."""
    from tvm import tirx

    lanes = 2 * int(words.ty.dtype.lanes)
    both, eight = tirx.reinterpret(f"int16x{lanes}", words), _vector(8, "int16", lanes)
    return [(both << eight) >> eight, both >> eight]


def _vector(value: int, dtype: str, lanes: int) -> Expr:
    from tvm import tirx

    one = tirx.const(value, dtype)
    return tirx.Broadcast(one, lanes) if lanes > 1 else one


def _load(buffer: TirBuffer, index: list[Expr], lanes: int) -> Expr:
    from tvm import tirx

    return tirx.BufferLoad(buffer, [*index[:-1], _lanes_from(index[-1], lanes)])


def _store(buffer: TirBuffer, first: Expr, value: Expr) -> Stmt:
    """Store a vector as words."""
    from tvm import tirx

    lanes = int(value.ty.dtype.bits) * int(value.ty.dtype.lanes) // 32
    words = tirx.reinterpret(f"int32x{lanes}" if lanes > 1 else "int32", value)
    return tirx.BufferStore(buffer, words, [_lanes_from(first, lanes)])


def _lanes_from(first: Expr, lanes: int) -> Expr:
    from tvm import tirx

    return tirx.Ramp(first, tirx.const(1, "int32"), lanes) if lanes > 1 else first

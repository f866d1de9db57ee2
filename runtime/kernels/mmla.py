"""Convolutions of bytes by usmmla: pairs of pixels by pairs of output channels, 8 bytes of each at a time.

Two pixels are the halves of a register, as are two channels of weights, which ``mmla_forms.by_steps`` has
made neighbours. A register of sums is [pixel 0, pixel 1] x [channel 0, channel 1], and is sorted at the end.
"""

from dataclasses import dataclass
from functools import cached_property

from runtime.kernels.amx_forms import steps_of
from runtime.kernels.block_products import LANES, End
from runtime.kernels.covering import Cover, vectors_of
from runtime.kernels.loops import in_turn, local_words, loop
from runtime.kernels.mmla_forms import MmlaTile
from runtime.kernels.padding import Image
from runtime.tvm_types import Expr, Stmt, TirBuffer
from runtime.workload import Conv2d

WORDS = 4  # of a register
PAIRS = LANES // 2
"""Of channels: a register of weights, and one of sums for each two pixels."""
USMMLA = "llvm.aarch64.neon.usmmla.v4i32.v16i8"

Place = tuple[Expr, Expr, Expr, Expr]
"""A tile's image, row and first column, and its vector of channels."""


@dataclass(frozen=True)
class MmlaProducts:
    """A convolution in tiles.

    Attributes:
        workload: what to compute.
        tile: how many pixels at a time.
        image: the input as quads, padded; its tensor is ``data`` in the statement.
        out: rows and columns of the output.
    """

    workload: Conv2d
    tile: MmlaTile
    image: Image
    out: tuple[int, int]

    @property
    def decodes(self) -> bool:
        """It takes bytes."""
        return False

    @cached_property
    def sums(self) -> TirBuffer:
        """Where the sums of a tile lie: (pixel, lane)."""
        return local_words("sums", self.tile.x * LANES)

    def statement(self, data: TirBuffer, weight: TirBuffer, end: End) -> Stmt:
        """All tiles."""
        from tvm import tirx

        parallel, (rows, width) = tirx.ForKind.PARALLEL, self.out
        columns = Cover(width, self.tile.x)
        held = local_words("held", self.tile.x // 2 * PAIRS * WORDS)

        def tile(n: Expr, o: Expr, y: Expr, x: Expr) -> Stmt:
            summed = self._sum(data, weight, held, (n, y, x, o))
            ended = [end(n, y, x + i, o, i * LANES) for i in range(self.tile.x)]
            return in_turn([*summed, *self._sort(held), *ended])

        def row(n: Expr, o: Expr, y: Expr) -> Stmt:
            return loop(columns.count, lambda number: tile(n, o, y, columns.start(number)), parallel)

        def vector(n: Expr, o: Expr) -> Stmt:
            return loop(rows, lambda y: row(n, o, y), parallel)

        def images(n: Expr) -> Stmt:
            return loop(vectors_of(self.workload).count, lambda o: vector(n, o), parallel)

        nest = loop(self.workload.batch, images, parallel)
        return tirx.SeqStmt([tirx.AllocBuffer(self.sums), tirx.AllocBuffer(held), nest])

    def _sum(self, data: TirBuffer, weight: TirBuffer, held: TirBuffer, place: Place) -> list[Stmt]:
        """``held`` (pair of pixels, pair of channels, 2 x 2) of a tile."""
        from tvm import tirx

        steps, window = steps_of(self.workload), self.workload.window
        zero = tirx.Broadcast(tirx.const(0, "int32"), WORDS)
        cleared = [_store(held, i * WORDS, zero) for i in range(self.tile.x // 2 * PAIRS)]

        def taps(ky: Expr) -> Stmt:
            def run(kx: Expr) -> Stmt:
                return loop(steps.run // 2, lambda k: self._step(data, weight, held, place, (ky, kx, 2 * k)))

            return loop(steps.taps, run)

        return [*cleared, loop(window.kernel_height, taps)]

    def _step(
        self,
        data: TirBuffer,
        weight: TirBuffer,
        held: TirBuffer,
        place: Place,
        tap: tuple[Expr, Expr, Expr],
    ) -> Stmt:
        """Add the products of 8 channels, two quads from that of ``tap`` on."""
        from tvm import tirx

        found: list[Stmt] = []

        def bound(value: Expr) -> Expr:
            variable = tirx.Var("bytes", value.ty)
            found.append(tirx.Bind(variable, value))
            return variable

        pixels = [bound(self._pixels(data, place, tap, 2 * i)) for i in range(self.tile.x // 2)]
        for j in range(PAIRS):
            weights = bound(self._weights(weight, place, tap, j))
            for i, pair in enumerate(pixels):
                at = (i * PAIRS + j) * WORDS
                total = _load(held, [at], WORDS)
                added = tirx.call_llvm_pure_intrin(f"int32x{WORDS}", USMMLA, total, pair, weights)
                found.append(_store(held, at, added))
        return in_turn(found)

    def _pixels(self, data: TirBuffer, place: Place, tap: tuple[Expr, Expr, Expr], first: int) -> Expr:
        """8 bytes each of two neighbouring pixels."""
        from tvm import tirx

        (n, y, x, o), (ky, kx, quad), window = place, tap, self.workload.window
        _, height, width, groups, depth = self.image.shape
        group = tirx.floordiv(o, vectors_of(self.workload).group.count)

        def half(number: int) -> Expr:
            row, column = window.pixel(y, x + first + number, ky, kx)
            flat = (((n * height + row) * width + column) * groups + group) * depth + quad
            return _load(data, self.image.place(flat), 2)

        return _bytes(tirx.Shuffle([half(0), half(1)], list(range(WORDS))))

    def _weights(self, weight: TirBuffer, place: Place, tap: tuple[Expr, Expr, Expr], pair: int) -> Expr:
        """8 bytes each of two neighbouring channels."""
        from tvm import tirx

        *_, o = place
        ky, kx, quad = tap
        quad, lane = quad + pair * WORDS // LANES, pair * WORDS % LANES
        depth = self.image.shape[-1]
        column = kx + tirx.floordiv(quad, depth)
        return _bytes(_load(weight, [o, ky, column, tirx.floormod(quad, depth), lane], WORDS))

    def _sort(self, held: TirBuffer) -> list[Stmt]:
        """``sums`` from ``held``."""
        from tvm import tirx

        found = []
        for i in range(self.tile.x // 2):
            for j in range(0, PAIRS, 2):
                two = [_load(held, [(i * PAIRS + j + k) * WORDS], WORDS) for k in range(2)]
                for pixel, lanes in enumerate(([0, 1, 4, 5], [2, 3, 6, 7])):
                    at = (2 * i + pixel) * LANES + 2 * j
                    found.append(_store(self.sums, at, tirx.Shuffle(two, lanes)))
        return found


def _bytes(words: Expr) -> Expr:
    from tvm import tirx

    return tirx.reinterpret(f"int8x{4 * WORDS}", words)


def _load(buffer: TirBuffer, index: list[Expr], lanes: int) -> Expr:
    from tvm import tirx

    *outer, first = index
    return tirx.BufferLoad(buffer, [*outer, tirx.Ramp(first, tirx.const(1, "int32"), lanes)])


def _store(buffer: TirBuffer, first: int, value: Expr) -> Stmt:
    from tvm import tirx

    return tirx.BufferStore(buffer, value, [tirx.Ramp(first, tirx.const(1, "int32"), WORDS)])

"""How weights come into AMX's tile registers: as they lie in memory, or decoded, both ahead of their use.

A network uses its weights once an image, so they come from the third cache or from memory, and loads of tiles
alone have too few lines on their way. What the next vectors of output channels need is made ready a part in
each step of these: vectors decode while tiles multiply.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from runtime.kernels import amx_tiles, packing
from runtime.kernels.amx_forms import LANES, AmxTile, pixel_tiles, steps_of
from runtime.kernels.amx_tiles import ROW_BYTES
from runtime.kernels.covering import vectors_of
from runtime.kernels.loops import by_every_thread, in_turn, local_words, loop
from runtime.kernels.padding import Image
from runtime.kernels.weight_layouts import quads_of
from runtime.tvm_types import Expr, Stmt, TirBuffer
from runtime.workload import Conv2d

FAR = 1 << 16
"""Bytes of weights that are worth to be fetched ahead."""
MOST_DECODED = 3 << 17
"""Bytes of decoded weights on the stack, and in the second cache."""


@dataclass(frozen=True)
class Shares:
    """The lines of the weights of a block's vectors, 64 bytes each, shared by the steps of all its blocks.

    Attributes:
        lines: of one vector of output channels.
        vectors: of a block.
        steps: of a block.
        blocks: that have the same vectors.
        unit: lines that are made from one.
    """

    lines: int
    vectors: int
    steps: int
    blocks: int
    unit: int

    @property
    def wanted(self) -> int:
        """All lines."""
        return self.vectors * self.lines

    @property
    def each(self) -> int:
        """Lines of a step."""
        return -(-self.wanted // (self.steps * self.blocks * self.unit)) * self.unit

    @property
    def needed(self) -> int:
        """Blocks whose steps make them all."""
        return -(-self.wanted // (self.steps * self.each))

    def at(self, block: Expr, step: Expr, made: Callable[[Expr], Stmt]) -> Stmt:
        """What a step of a block that is needed does, ``made`` for each of its lines."""
        from tvm import tirx

        first = (block * self.steps + step) * self.each
        if self.wanted % (self.steps * self.each):
            first = tirx.min(first, self.wanted - self.each)
        return in_turn([made(first + i) for i in range(self.each)])


@dataclass(frozen=True)
class StoredWeights:
    """Weights as they lie in memory, (O/16, K, K, quads, 16) words of four.

    Attributes:
        workload: what to compute.
        tile: the block.
        image: the input as quads, padded.
        out: rows and columns of the output.
    """

    workload: Conv2d
    tile: AmxTile
    image: Image
    out: tuple[int, int]

    @cached_property
    def shares(self) -> Shares:
        """What a step makes ready."""
        blocks = -(-pixel_tiles(self.workload.window, self.image.shape[2], self.out).count // self.tile.x)
        count = self._lines // steps_of(self.workload).quads
        return Shares(self._lines, self.tile.o, count, blocks, self._unit)

    @property
    def _lines(self) -> int:
        """Of one vector."""
        steps = steps_of(self.workload)
        return self.workload.window.kernel_height * steps.taps * steps.run

    @property
    def _unit(self) -> int:
        return 1

    @property
    def last(self) -> int:
        """The vector at which the last block's begin."""
        return vectors_of(self.workload).count - self.tile.o

    def before(self) -> list[Stmt]:
        """What each thread does first."""
        return []

    def around(self, weight: TirBuffer, o: Expr, body: Stmt) -> Stmt:
        """The blocks of the vectors from ``o`` on."""
        return body

    @property
    def reads_ahead(self) -> bool:
        """Whether steps make weights ready."""
        return self.last > 0 and vectors_of(self.workload).count * self.shares.lines * ROW_BYTES >= FAR

    def is_ahead(self, o: Expr, block: Expr) -> Expr:
        """Whether a block of the vectors from ``o`` on does."""
        from tvm import tirx

        return tirx.all(o < self.last, block < self.shares.needed)

    def ahead(self, weight: TirBuffer, o: Expr, block: Expr, step: Expr) -> Stmt:
        """A step's share of the weights after those of ``o``."""

        def fetch(line: Expr) -> Stmt:
            return amx_tiles.fetch(weight, [o + self.tile.o, 0, 0, line, 0])

        return self.shares.at(block, step, fetch)

    def load(self, register: int, weight: TirBuffer, first: Expr, i: int, tap: tuple[Expr, ...]) -> Stmt:
        """Load what a step takes of vector ``i`` of those from ``first`` on, at ``tap`` (ky, kx, quad)."""
        from tvm import tirx

        (ky, kx, quad), depth = tap, self.image.shape[-1]
        index = [first + i, ky, kx + tirx.floordiv(quad, depth), tirx.floormod(quad, depth), 0]
        return amx_tiles.load(register, weight, index, ROW_BYTES)


@dataclass(frozen=True)
class DecodedWeights(StoredWeights):
    """Weights that each thread decodes into a ring for the vectors of two blocks, on its stack."""

    @cached_property
    def ring(self) -> TirBuffer:
        """(o, line, lane), flat."""
        return local_words("ring", 2 * self.shares.wanted * LANES)

    @cached_property
    def ready(self) -> TirBuffer:
        """The first of the vectors that were decoded ahead."""
        from tvm import tirx

        return tirx.decl_buffer((1,), "int32", "ready", scope="local")

    @property
    def fits(self) -> bool:
        """Whether they do on a stack."""
        return 2 * self.shares.wanted * ROW_BYTES <= MOST_DECODED

    def before(self) -> list[Stmt]:
        """None are decoded."""
        from tvm import tirx

        none = tirx.BufferStore(self.ready, tirx.const(-1, "int32"), [0])
        return [tirx.AllocBuffer(self.ring), tirx.AllocBuffer(self.ready), by_every_thread(none)]

    def around(self, weight: TirBuffer, o: Expr, body: Stmt) -> Stmt:
        """Decode all of what was not decoded ahead, as a thread's first vectors were not."""
        from tvm import tirx

        decoded = loop(self.shares.wanted, lambda line: self._decode(weight, o, line))
        missed = tirx.IfThenElse(self.ready[0] != o, decoded, None)
        return tirx.SeqStmt([missed, body, tirx.BufferStore(self.ready, o + self.tile.o, [0])])

    @property
    def _unit(self) -> int:
        return packing.QUAD if self._lines % packing.QUAD == 0 else 1

    @property
    def reads_ahead(self) -> bool:
        """Whether there are vectors left."""
        return self.last > 0

    def ahead(self, weight: TirBuffer, o: Expr, block: Expr, step: Expr) -> Stmt:
        """A step's share of the weights after those of ``o``."""
        return self.shares.at(block, step, lambda line: self._decode(weight, o + self.tile.o, line))

    def load(self, register: int, weight: TirBuffer, first: Expr, i: int, tap: tuple[Expr, ...]) -> Stmt:
        """As of stored ones."""
        steps, (ky, kx, quad) = steps_of(self.workload), tap
        line = (ky * steps.taps + kx) * steps.run + quad
        return amx_tiles.load(
            register, self.ring, [self._place(first, i * self.shares.lines + line)], ROW_BYTES
        )

    def _decode(self, weight: TirBuffer, first: Expr, line: Expr | int) -> Stmt:
        """Decode a line of the vectors from ``first`` on; it is a plain number where there is one alone."""
        from tvm import tirx

        line = tirx.const(line, "int32") if isinstance(line, int) else line
        word, lines = quads_of(self.workload).word, self.shares.lines
        o, place, own = first, self._place(first, line), line
        if self.tile.o > 1:
            o, own = first + tirx.floordiv(line, lines), tirx.floormod(line, lines)

        def lane(i: Expr) -> Stmt:
            return tirx.BufferStore(self.ring, word(weight, o, own, i), [place + i])

        return loop(LANES, lane, tirx.ForKind.VECTORIZED)

    def _place(self, first: Expr, line: Expr) -> Expr:
        """Where in the ring a line of the vectors from ``first`` on lies."""
        from tvm import tirx

        turn = tirx.floormod(tirx.floordiv(first, self.tile.o), 2)
        return (turn * self.shares.wanted + line) * LANES


def weights_of(workload: Conv2d, tile: AmxTile, image: Image, out: tuple[int, int]) -> StoredWeights:
    """Decoded ones where they are and a stack holds them."""
    decoded = DecodedWeights(workload, tile, image, out)
    is_decoded = quads_of(workload).is_decoded and decoded.last > 0 and decoded.fits
    return decoded if is_decoded else StoredWeights(workload, tile, image, out)

"""Weights too many for the caches near a core: they are asked for ahead, and stay until all pixels used them.

A convolution goes through all pixels with the weights of a few vectors of channels, then with the next. Where
the weights come from afar, a core waits for those of the first pixels and multiplies the others at its full
speed. So each tile of pixels asks for a part of the next weights. And where those of a few vectors are more
than the second cache keeps well, all pixels take in one row of the window before any takes in the next; their
sums wait on the stack. Terms are added in the same order, so that sums are the same to the bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.kernels.loops import in_turn, loop
from runtime.kernels.schedule import Tile
from runtime.tvm_types import Expr, For, PrimFunc, Stmt, TirBuffer

ASKED_FROM = 64 << 10
"""Bytes of weights that are asked for; fewer have been in the cache since the last image."""
SPLIT_FROM = 256 << 10
"""Bytes of weights of a tile's vectors from which on they are taken row by row of the window."""
MOST_SUMS = 8 << 10
"""Bytes of sums that may wait meanwhile: a part of the first cache."""


def stream_weights(func: PrimFunc, tile: Tile) -> PrimFunc:
    """A function scheduled by ``schedule_tiled`` over floats, whose ``weight`` comes as told above."""
    from tvm import s_tir, tirx

    weight = next(p for p in func.params if str(p.name) == "weight")
    root = func.body.block
    *before, last = root.body.seq if isinstance(root.body, tirx.SeqStmt) else [root.body]
    nest = Nest.of(last, tile, weight)
    if not nest.is_asked_for:
        return func
    sums = next(b for b in root.alloc_buffers if str(b.name) == "accumulate_local")
    streamed = nest.row_by_row(sums) if nest.is_split else nest.at_once()
    block = s_tir.SBlock(
        root.iter_vars,
        root.reads,
        root.writes,
        root.name_hint,
        in_turn([*before, streamed]),
        root.init,
        root.alloc_buffers,
        root.match_buffers,
        root.annotations,
    )
    body = s_tir.SBlockRealize(func.body.iter_values, func.body.predicate, block)
    return tirx.PrimFunc(func.params, body, func.ret_type, func.attrs)


@dataclass(frozen=True)
class Nest:
    """The loops of a scheduled convolution.

    Attributes:
        tile: of the schedule.
        weight: (vectors, rows and columns of the window, channels, lanes).
        outer: over images, vectors, rows and tiles of pixels.
        units: two of one step each, around ``init`` and what adds up.
        init: clears a tile's sums.
        reduced: over the rows and columns of the window and the channels.
        stages: what follows a tile's sums.
    """

    tile: Tile
    weight: TirBuffer
    outer: tuple[For, For, For, For]
    units: tuple[For, For]
    init: Stmt
    reduced: tuple[For, For, For]
    stages: Stmt

    @staticmethod
    def of(outermost: For, tile: Tile, weight: TirBuffer) -> "Nest":
        """Take the loops apart."""
        images, vectors, rows, tiles = _chain(outermost, 4)
        head, *stages = tiles.body.seq
        units = _chain(head, 2)
        init, added = units[-1].body.seq
        return Nest(
            tile,
            weight,
            (images, vectors, rows, tiles),
            (units[0], units[1]),
            init,
            tuple(_chain(added, 3)),
            in_turn(stages),
        )

    @property
    def is_asked_for(self) -> bool:
        """Whether there is something to ask for, and enough of it."""
        nbytes = 4 * self._steps * self._lanes * int(self.weight.shape[0])
        return int(self.outer[1].extent) > 1 and self._tiles > 1 and nbytes >= ASKED_FROM

    @property
    def is_split(self) -> bool:
        """Whether tiles take the weights row by row of the window."""
        nbytes = 4 * self._steps * self._lanes * self.tile.o
        sums = 4 * self._tiles * self.tile.x * self.tile.o * self._lanes
        return self._rows > 1 and nbytes >= SPLIT_FROM and sums <= MOST_SUMS

    @property
    def _rows(self) -> int:
        return int(self.weight.shape[1])

    @property
    def _steps(self) -> int:
        return self._rows * int(self.weight.shape[2]) * int(self.weight.shape[3])

    @property
    def _lanes(self) -> int:
        return int(self.weight.shape[4])

    @property
    def _tiles(self) -> int:
        """Tiles of one image."""
        return int(self.outer[2].extent) * int(self.outer[3].extent)

    @property
    def _number(self) -> Expr:
        """Of a tile of one image."""
        return self.outer[2].loop_var * self.outer[3].extent + self.outer[3].loop_var

    def at_once(self) -> Stmt:
        """Tiles ask for the weights of the next vectors."""
        from tvm import tirx

        images, vectors, rows, tiles = self.outer
        following = tirx.min(vectors.loop_var + 1, int(vectors.extent) - 1)
        y, x, c = self.reduced
        step = (y.loop_var * x.extent + x.loop_var) * c.extent + c.loop_var
        asks = self._asks(lambda j: (following * self.tile.o + j, 0), step, self._steps)
        added = _loop(y, _loop(x, _loop(c, in_turn([*asks, c.body]))))
        body = in_turn([self._in_units([self.init, added]), self.stages])
        return _loop(images, _loop(vectors, _loop(rows, _loop(tiles, body))))

    def row_by_row(self, sums: TirBuffer) -> Stmt:
        """All tiles take in a row of the window, and ask for the weights of the next row."""
        from tvm import tirx

        images, vectors, rows, tiles = self.outer
        y, x, c = self.reduced
        row = tirx.Var("row", "int32")
        count = int(vectors.extent) * self._rows
        following = tirx.min(vectors.loop_var * self._rows + row + 1, count - 1)
        of, within = following // self._rows * self.tile.o, following % self._rows
        step = x.loop_var * c.extent + c.loop_var
        asks = self._asks(lambda j: (of + j, within), step, self._steps // self._rows)
        added = tirx.For(y.loop_var, row, 1, y.kind, _loop(x, _loop(c, in_turn([*asks, c.body]))))
        size = self._tiles * self.tile.x * self.tile.o * self._lanes
        waiting = tirx.decl_buffer((size,), "float32", "waiting", scope="local")
        begin = tirx.IfThenElse(row == 0, self.init, self._moves(waiting, sums, keeps=False))
        end = tirx.IfThenElse(row == self._rows - 1, self.stages, self._moves(waiting, sums, keeps=True))
        body = in_turn([self._in_units([begin, added]), end])
        every = tirx.For(row, 0, self._rows, tirx.ForKind.SERIAL, _in_turn(rows, _in_turn(tiles, body)))
        return _loop(images, _loop(vectors, in_turn([tirx.AllocBuffer(waiting), every])))

    def _in_units(self, parts: list[Stmt]) -> Stmt:
        return _loop(self.units[0], _loop(self.units[1], in_turn(parts)))

    def _asks(self, start: Callable[[int], tuple[Expr, Expr]], step: Expr, steps: int) -> list[Stmt]:
        """In each step, of so many a tile: ask for a part of the vectors ``start(0)``, ``start(1)``, ...

        All tiles together ask for all of it, and for a little more, which may lie beyond the last weights: no
        address is wrong to ask for.
        """
        from tvm import tirx

        lanes, tiles = self._lanes, self._tiles
        place = self._number * -(-lanes * steps // tiles) + step * -(-lanes // tiles)
        how = [tirx.const(k, "int32") for k in (0, 2, 1)]  # to be read, into the second cache, as data
        found = []
        for j in range(self.tile.o):
            vector, row = start(j)
            address = tirx.address_of(self.weight[vector, row, 0, 0, place])
            found.append(tirx.Evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch", address, *how)))
        return found

    def _moves(self, waiting: TirBuffer, sums: TirBuffer, keeps: bool) -> Stmt:
        """A tile's sums from the registers to where they wait, or back."""
        from tvm import tirx

        images, vectors, rows, tiles = (each.loop_var for each in self.outer)
        tile, lanes, unrolled = self.tile, self._lanes, tirx.ForKind.UNROLLED

        def move(a: Expr, b: Expr, i: Expr) -> Stmt:
            place = ((self._number * tile.x + a) * tile.o + b) * lanes + i
            own = images, rows, tiles * tile.x + a, vectors * tile.o + b, i
            if keeps:
                return tirx.BufferStore(waiting, sums[own], [place])
            return tirx.BufferStore(sums, waiting[place], own)

        def vector(a: Expr, b: Expr) -> Stmt:
            return loop(lanes, lambda i: move(a, b, i), tirx.ForKind.VECTORIZED)

        return loop(tile.x, lambda a: loop(tile.o, lambda b: vector(a, b), unrolled), unrolled)


def _chain(outermost: For, count: int) -> Sequence[For]:
    """Loops, each the only statement of the one before."""
    found = [outermost]
    while len(found) < count:
        found.append(found[-1].body)
    return found


def _loop(own: For, body: Stmt, kind: object = None) -> For:
    """A loop with another body."""
    from tvm import tirx

    kind = own.kind if kind is None else kind
    return tirx.For(own.loop_var, own.min, own.extent, kind, body, None, own.annotations, own.step)


def _in_turn(own: For, body: Stmt) -> For:
    """A loop with another body that threads may not share."""
    from tvm import tirx

    return _loop(own, body, tirx.ForKind.SERIAL if own.kind == tirx.ForKind.PARALLEL else None)

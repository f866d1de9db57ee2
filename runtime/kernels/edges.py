"""Convolutions that read an image as it is, without a padded copy: taps beyond its border are left out.

What lies beyond the border is zero and adds nothing to a sum, so that sums are the same to the bit. The rows
of a window that lie on the image are a range for each row of the output. Along a row, tiles that touch the
border have code of their own, in which each pixel's taps on the image are known.
"""

from dataclasses import dataclass

from runtime.kernels.covering import Cover
from runtime.kernels.loops import in_turn
from runtime.tvm_types import Expr, For, PrimFunc, Stmt
from runtime.workload import Window

MOST_COPIES = 4
"""Tiles of a row that have code of their own."""


@dataclass(frozen=True)
class Border:
    """Where a window meets the border of an image.

    Attributes:
        window: of taps.
        height: rows of the image.
        width: its columns.
        tiles: of a row of the output.
    """

    window: Window
    height: int
    width: int
    tiles: Cover

    @property
    def touching(self) -> tuple[list[int], list[int]]:
        """Tiles whose windows reach beyond the left border, or beyond the right alone."""
        w, last = self.window, self.tiles.step - 1
        starts = [min(piece * self.tiles.step, self.tiles.extent - self.tiles.step) for piece in self.pieces]
        reach = (w.kernel_width - 1) * w.dilation_x - w.left
        left = [piece for piece in self.pieces if starts[piece] * w.stride_x < w.left]
        right = [p for p in self.pieces if (starts[p] + last) * w.stride_x + reach >= self.width]
        return left, [piece for piece in right if piece not in left]

    @property
    def pieces(self) -> range:
        """All tiles of a row."""
        return range(self.tiles.count)

    @property
    def is_served(self) -> bool:
        """Whether few tiles touch it."""
        left, right = self.touching
        return len(left) + len(right) <= MOST_COPIES

    def rows(self, y: Expr) -> tuple[Expr, Expr]:
        """The first row of taps that lies on the image, for a row of the output, and how many do."""
        from tvm import tirx

        w = self.window

        def beyond(limit: int) -> Expr:
            """The rows of taps before such a row of the image."""
            rows = limit + w.top - y * w.stride_y
            return tirx.max(0, rows if w.dilation_y == 1 else (rows + w.dilation_y - 1) // w.dilation_y)

        first = beyond(0)
        return first, tirx.min(beyond(self.height), w.kernel_height) - first

    def is_on(self, x: Expr, kx: Expr) -> Expr:
        """Whether a tap of the window for the column ``x`` of a row of tiles lies on the image."""
        from tvm import tirx

        w = self.window
        column = self.tiles.at(x) * w.stride_x + kx * w.dilation_x - w.left
        return tirx.all(column >= 0, column < self.width)


def without_border(func: PrimFunc, border: Border) -> PrimFunc:
    """A function scheduled by rows as if all taps lay on the image (``schedule_tiled``): those that do."""
    from tvm import IRModule, s_tir, tirx

    root = func.body.block
    *before, last = root.body.seq if isinstance(root.body, tirx.SeqStmt) else [root.body]
    block = s_tir.SBlock(
        root.iter_vars,
        root.reads,
        root.writes,
        root.name_hint,
        in_turn([*before, _nest(last, border)]),
        root.init,
        root.alloc_buffers,
        root.match_buffers,
        root.annotations,
    )
    body = s_tir.SBlockRealize(func.body.iter_values, func.body.predicate, block)
    changed = tirx.PrimFunc(func.params, body, func.ret_type, func.attrs)
    # tiles with code of their own share the names of loops
    return s_tir.transform.ConvertSSA()(IRModule({"main": changed}))["main"]


def _nest(images: For, border: Border) -> For:
    """The loops over images, rows, tiles of a row and vectors."""
    from tvm import tirx

    rows = images.body
    tiles = rows.body
    vectors = tiles.body
    left, right = border.touching
    inner = range(len(left), border.tiles.count - len(right))

    def part(first: int, count: int, touches: bool) -> For:
        body = _tile(vectors.body, border, rows.loop_var, tiles.loop_var, touches)
        kind = tiles.kind if count > 1 else tirx.ForKind.SERIAL
        return tirx.For(tiles.loop_var, first, count, kind, _with(vectors, body))

    parts = [part(piece, 1, True) for piece in left]
    parts += [part(inner[0], len(inner), False)] if inner else []
    parts += [part(piece, 1, True) for piece in right]
    return _with(images, _with(rows, in_turn(parts)))


def _tile(body: Stmt, border: Border, y: Expr, tile: Expr, touches: bool) -> Stmt:
    from tvm import tirx

    head, *stages = body.seq
    unit = head.body
    init, rows = unit.body.seq
    columns = rows.body
    pixels = columns.body
    added = pixels
    if touches:
        x = tile * border.tiles.step + pixels.loop_var
        added = _with(pixels, tirx.IfThenElse(border.is_on(x, columns.loop_var), pixels.body, None))
    first, count = border.rows(y)
    unrolled = tirx.For(columns.loop_var, columns.min, columns.extent, tirx.ForKind.UNROLLED, added)
    summed = tirx.For(rows.loop_var, first, count, rows.kind, unrolled)
    return in_turn([_with(head, _with(unit, in_turn([init, summed]))), *stages])


def _with(own: For, body: Stmt) -> For:
    """A loop with another body."""
    from tvm import tirx

    return tirx.For(own.loop_var, own.min, own.extent, own.kind, body, None, own.annotations, own.step)

"""Stores outputs that tiles do not divide: at places that TE cannot tell, so once all is scheduled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtime.kernels.covering import VECTOR
from runtime.tvm_types import Expr, PrimFunc, Stmt, TirBuffer


@dataclass(frozen=True)
class Placed:
    """Where an output that was computed as a grid is stored.

    Attributes:
        shape: of the output as it lies in memory.
        place: the index in it of an index of the grid.
        after: given the output and the grid's index, a statement that follows each store; None for none.
    """

    shape: tuple[int, ...]
    place: Callable[..., Sequence[Expr]]
    after: Callable[[TirBuffer, Sequence[Expr]], Stmt] | None = None


Moves = dict[TirBuffer, tuple[Placed, TirBuffer]]
STAGES = ("real", "output", "codes")
"""Blocks that run over lanes and read or write what has no lanes to spare."""


def place_outputs(func: PrimFunc, placed: dict[str, Placed], lanes: int) -> PrimFunc:
    """Have a scheduled function store the outputs of these names at their places, so many lanes of a vector.

    Nothing may read them: a stage that does reads registers instead.
    """
    from tvm import tirx

    moves = {}
    for parameter in func.params:
        if str(parameter.name) in placed:
            own = placed[str(parameter.name)]
            moves[parameter] = own, tirx.decl_buffer(own.shape, parameter.dtype, parameter.name)
    parameters = [moves[p][1] if p in moves else p for p in func.params]
    return tirx.PrimFunc(parameters, _moved(func.body, moves, lanes), func.ret_type, func.attrs)


def _moved(statement: Stmt, moves: Moves, lanes: int) -> Stmt:
    """A statement whose stores into the buffers of ``moves`` go to their places."""
    from tvm import s_tir, tirx

    if isinstance(statement, tirx.SeqStmt):
        return tirx.SeqStmt([_moved(each, moves, lanes) for each in statement.seq])
    if isinstance(statement, tirx.For):
        body = _moved(statement.body, moves, lanes)
        is_vector = statement.kind == tirx.ForKind.VECTORIZED and _is_stage(body)
        is_cut = is_vector and int(statement.extent) <= VECTOR  # more are several whole vectors
        extent = min(int(statement.extent), lanes) if is_cut else statement.extent
        loop = statement.loop_var, statement.min, extent, statement.kind
        return tirx.For(*loop, body, statement.thread_binding, statement.annotations, statement.step)
    if isinstance(statement, s_tir.SBlockRealize):
        block = _moved(statement.block, moves, lanes)
        return s_tir.SBlockRealize(statement.iter_values, statement.predicate, block)
    if isinstance(statement, s_tir.SBlock):
        return _moved_block(statement, moves, lanes)
    if isinstance(statement, tirx.BufferStore) and statement.buffer in moves:
        placed, buffer = moves[statement.buffer]
        index = placed.place(*statement.indices)
        store = tirx.BufferStore(buffer, statement.value, index)
        return tirx.SeqStmt([store, placed.after(buffer, statement.indices)]) if placed.after else store
    return statement


def _is_stage(statement: Stmt) -> bool:
    from tvm import s_tir

    return isinstance(statement, s_tir.SBlockRealize) and str(statement.block.name_hint) in STAGES


def _moved_block(block: Stmt, moves: Moves, lanes: int) -> Stmt:
    from tvm import ir, s_tir, tirx

    writes = []
    for region in block.writes:
        if region.source in moves:
            _, buffer = moves[region.source]
            region = tirx.BufferRegion(buffer, [ir.Range(0, extent) for extent in buffer.shape])
        writes.append(region)
    return s_tir.SBlock(
        block.iter_vars,
        block.reads,
        writes,
        block.name_hint,
        _moved(block.body, moves, lanes),
        block.init,
        block.alloc_buffers,
        block.match_buffers,
        block.annotations,
    )

"""Splits a kernel's loops among the threads that all run it; see ``threads.c`` for who they are.

Schedules mark loops whose steps know nothing of each other as parallel. In each nest of loops one of them is
split, the outermost of those that split best; a barrier ends the nest. What is not in such a loop, thread 0
does alone, unless it says that each thread does it.
"""

from collections.abc import Callable

from runtime.kernels.loops import EVERY_THREAD
from runtime.tvm_types import Expr, For, PrimFunc, Stmt

MAX_THREADS = 256
"""So many share the work of a network at most."""

THREADS = "bitnas.threads"  # the attribute of kernels that more than one thread runs
SCOPE = "compute_scope"  # TVM's attribute around a kernel's own statements, behind its arguments


def share_loops(function: PrimFunc) -> PrimFunc:
    """Split the loops of a kernel among the threads that its attribute tells."""
    threads = int((function.attrs or {}).get(THREADS, 1))
    return function if threads == 1 else function.with_body(_find_scope(function.body, threads))


def _find_scope(statement: Stmt, threads: int) -> Stmt:
    from tvm import tirx

    if isinstance(statement, tirx.SeqStmt):
        return tirx.SeqStmt([_find_scope(s, threads) for s in statement.seq])
    if isinstance(statement, tirx.AttrStmt):
        is_own = statement.attr_key == SCOPE
        body = _share(statement.body, threads) if is_own else _find_scope(statement.body, threads)
        return tirx.AttrStmt(statement.node, statement.attr_key, statement.value, body)
    return statement


def _share(statement: Stmt, threads: int) -> Stmt:
    """Split each nest of a sequence, or have it done by one thread."""
    from tvm import tirx

    parts = list(statement.seq) if isinstance(statement, tirx.SeqStmt) else [statement]
    found: list[Stmt] = []
    alone: list[Stmt] = []
    for part in parts:
        if _is_parallel(part):
            found += [*_by_one(alone), _split(part, threads), _barrier()]
            alone = []
        elif isinstance(part, tirx.AllocBuffer | tirx.Bind | tirx.DeclBuffer):
            found.append(part)
        elif _is_for_each(part):
            found += [*_by_one(alone), part]
            alone = []
        else:
            alone.append(part)
    found += _by_one(alone)
    return tirx.SeqStmt(found) if len(found) > 1 else found[0]


def _is_for_each(statement: Stmt) -> bool:
    from tvm import tirx

    return isinstance(statement, tirx.AttrStmt) and statement.attr_key == EVERY_THREAD


def _is_parallel(statement: Stmt) -> bool:
    from tvm import tirx

    return isinstance(statement, tirx.For) and statement.kind == tirx.ForKind.PARALLEL


def _split(nest: For, threads: int) -> For:
    """Give each thread its part of one loop of a nest."""
    extents, loop = [], nest
    while _is_parallel(loop):
        extents.append(int(loop.extent))
        loop = loop.body
    # the longest share of a thread, over what it would be if steps could be cut
    best = min(extents, key=lambda extent: -(-extent // threads) / extent)
    return _at_depth(nest, extents.index(best), lambda loop: _part(loop, threads))


def _at_depth(loop: For, depth: int, change: Callable[[For], For]) -> For:
    return change(loop) if depth == 0 else _loop(loop, body=_at_depth(loop.body, depth - 1, change))


def _part(loop: For, threads: int) -> For:
    from tvm import tirx

    number, extent = _number(), int(loop.extent)
    if extent % threads == 0:
        return _loop(loop, start=number * (extent // threads), extent=extent // threads)
    start, end = (tirx.truncdiv(n * extent, threads) for n in (number, number + 1))
    return _loop(loop, start=start, extent=end - start)


def _loop(loop: For, start: Expr | None = None, extent: Expr | None = None, body: Stmt | None = None) -> For:
    """The loop with what is given changed."""
    from tvm import tirx

    return tirx.For(
        loop.loop_var,
        loop.min if start is None else start,
        loop.extent if extent is None else extent,
        loop.kind,
        loop.body if body is None else body,
        loop.thread_binding,
        loop.annotations,
        loop.step,
    )


def _by_one(statements: list[Stmt]) -> list[Stmt]:
    """Statements that only thread 0 runs while the others wait."""
    from tvm import tirx

    if not statements:
        return []
    body = tirx.SeqStmt(statements) if len(statements) > 1 else statements[0]
    return [tirx.IfThenElse(_number() == tirx.const(0, "int32"), body, None), _barrier()]


def _number() -> Expr:
    from tvm import tirx

    return tirx.call_extern("int32", "bitnas_thread")


def _barrier() -> Stmt:
    from tvm import tirx

    return tirx.Evaluate(tirx.call_extern("int32", "bitnas_barrier"))

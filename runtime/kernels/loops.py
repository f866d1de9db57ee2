"""Loops that are written by hand, as TVM's statements."""

from collections.abc import Callable

from runtime.tvm_types import Expr, Stmt, TirBuffer

EVERY_THREAD = "bitnas.every_thread"
"""The attribute of statements that each of a network's threads runs for itself."""


def loop(extent: int, body: Callable[[Expr], Stmt], kind: object = None) -> Stmt:
    """``body`` for each number below ``extent``, one after the other unless told otherwise."""
    from tvm import tirx

    if extent == 1:
        return body(0)
    variable = tirx.Var("i", "int32")
    return tirx.For(variable, 0, extent, tirx.ForKind.SERIAL if kind is None else kind, body(variable))


def local_words(name: str, count: int) -> TirBuffer:
    """Memory on the stack for ``count`` int32, flat."""
    from tvm import tirx

    return tirx.decl_buffer((count,), "int32", name, scope="local", data_alignment=64)


def in_turn(statements: list[Stmt]) -> Stmt:
    """Statements one after the other."""
    from tvm import tirx

    return statements[0] if len(statements) == 1 else tirx.SeqStmt(statements)


def by_every_thread(statement: Stmt) -> Stmt:
    """A statement outside of parallel loops that is not one thread's alone, as it sets registers."""
    from tvm import tirx

    return tirx.AttrStmt(tirx.const(0, "int32"), EVERY_THREAD, tirx.const(1, "int32"), statement)

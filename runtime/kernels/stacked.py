"""Memory on a kernel's stack that begins where a line of the cache does; TVM's own begins at any 16 bytes."""

from dataclasses import dataclass

from runtime.tvm_types import Stmt, TirBuffer

LINE = 16  # words


@dataclass(frozen=True)
class Stacked:
    """Words of 32 bits.

    Attributes:
        buffer: what is read and written.
        statements: what makes it, for each thread of a kernel.
    """

    buffer: TirBuffer
    statements: tuple[Stmt, ...]


def stacked(name: str, count: int) -> Stacked:
    """``count`` int32, flat. LLVM aligns vectors to their size, so they are taken as such."""
    from tvm import tirx

    lines = tirx.decl_buffer((-(-count // LINE),), f"int32x{LINE}", f"{name}_lines", scope="local")
    buffer = tirx.decl_buffer((count,), "int32", name, scope="local")
    return Stacked(buffer, (tirx.AllocBuffer(lines), tirx.DeclBuffer(buffer, data=lines.data)))

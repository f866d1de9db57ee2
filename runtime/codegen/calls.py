"""TVM functions that call kernels one after the other, with addresses in blocks of memory."""

from collections.abc import Iterable, Mapping

from runtime.codegen.direct import call
from runtime.kernels.base import Buffer
from runtime.tvm_types import Expr, PrimFunc, Stmt, TirBuffer


def byte_block(name: str, nbytes: int) -> TirBuffer:
    from tvm import tirx

    return tirx.decl_buffer((max(1, nbytes),), "uint8", name=name)


def calling_function(name: str, blocks: Mapping[str, TirBuffer], calls: list[Stmt]) -> PrimFunc:
    from tvm import tirx

    return tirx.PrimFunc(list(blocks.values()), _in_turn(calls)).with_attr("global_symbol", name)


def repeating_function(name: str, blocks: Mapping[str, TirBuffer], calls: list[Stmt]) -> PrimFunc:
    """A function that makes calls as often as its last argument tells."""
    from tvm import tirx

    count, step = tirx.Var("count", "int32"), tirx.Var("step", "int32")
    body = tirx.For(step, 0, count, tirx.ForKind.SERIAL, _in_turn(calls))
    return tirx.PrimFunc([*blocks.values(), count], body).with_attr("global_symbol", name)


def _in_turn(calls: list[Stmt]) -> Stmt:
    from tvm import tirx

    return calls[0] if len(calls) == 1 else tirx.SeqStmt(calls)


def kernel_call(
    symbol: str,
    arguments: Iterable[Buffer],
    places: Mapping[str, tuple[str, int]],
    blocks: Mapping[str, TirBuffer],
) -> Stmt:
    """A direct call of a kernel with the addresses of its arguments."""
    found = [places[b.name] for b in arguments]
    return call(symbol, [_address(blocks[block], offset) for block, offset in found])


def _address(block: TirBuffer, offset: int) -> Expr:
    """Of what starts ``offset`` bytes into a block."""
    from tvm import tirx

    start = [offset] if len(block.shape) == 1 else [0] * len(block.shape)
    return tirx.address_of(tirx.BufferLoad(block, start))

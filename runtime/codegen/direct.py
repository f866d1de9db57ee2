"""Kernels that take the addresses of their buffers, for code that is compiled with them.

TVM passes a kernel its arguments as tensors with shape and strides, made for every call. That is 500 bytes of
code a call, more than many kernels of a small network have, and as much time; of it all the kernel reads but
the addresses, as it knows the rest.
"""

from collections.abc import Sequence

from runtime.codegen.sharing import SCOPE
from runtime.tvm_types import Expr, PrimFunc, Stmt

PACKED_PREFIX = "__tvm_ffi_"  # what TVM puts before the name of a function that is called by its convention
DIRECT_ATTRIBUTE = "bitnas.direct"  # the attribute of kernels that are called by ``call``


def call(name: str, addresses: Sequence[Expr]) -> Stmt:
    """A statement that calls the kernel of that name, which is linked with the caller."""
    from tvm import tirx

    return tirx.Evaluate(tirx.call_extern("int32", name, *addresses))


def take_addresses(function: PrimFunc) -> PrimFunc:
    """Have a lowered kernel, if it has the attribute, take addresses in place of tensors."""
    from tvm import tirx
    from tvm.tirx.buffer import buffer_data_pointer_type

    attributes = dict(function.attrs or {})
    if DIRECT_ATTRIBUTE not in attributes:
        return function
    outer = _outer(function.body)
    declared = [s.buffer for s in outer if isinstance(s, tirx.DeclBuffer)]
    pointers = [tirx.Var(buffer.name, buffer_data_pointer_type(buffer)) for buffer in declared]
    bound = [tirx.DeclBuffer(b, data=p) for b, p in zip(declared, pointers, strict=True)]
    aligned = [s for s in outer if isinstance(s, tirx.AttrStmt) and s.attr_key == "storage_alignment"]
    (own,) = (s for s in outer if isinstance(s, tirx.AttrStmt) and s.attr_key == SCOPE)
    body = tirx.SeqStmt([*bound, own, tirx.Return(tirx.const(0, "int32"))])
    for attribute in aligned:
        body = tirx.AttrStmt(attribute.node, attribute.attr_key, attribute.value, body)
    symbol = str(attributes["global_symbol"]).removeprefix(PACKED_PREFIX)
    return tirx.PrimFunc(pointers, body, function.ret_type, function.attrs).with_attr("global_symbol", symbol)


def _outer(statement: Stmt) -> list[Stmt]:
    """The statements around a kernel's own ones, in order."""
    from tvm import tirx

    if isinstance(statement, tirx.SeqStmt):
        return [found for part in statement.seq for found in _outer(part)]
    if isinstance(statement, tirx.AttrStmt) and statement.attr_key != SCOPE:
        return [statement, *_outer(statement.body)]
    return [statement]

"""Names of TVM's types, in one place.

TVM is imported where it is used, and late: it takes a second. It ships no types that a checker reads, so to
mypy each of these is anything; to readers they tell what goes in and out.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm import IRModule
    from tvm.ir import Expr
    from tvm.ir.transform import Pass
    from tvm.runtime import Executable
    from tvm.runtime import Module as LoadedModule
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import LoopRV as Loop
    from tvm.s_tir.schedule import SBlockRV as Block
    from tvm.target import Target
    from tvm.te import Tensor
    from tvm.tirx import Buffer as TirBuffer
    from tvm.tirx import For, IterVar, PrimFunc, Stmt, Var
else:
    Block = Executable = Expr = For = IRModule = IterVar = LoadedModule = Loop = Pass = PrimFunc = Any
    Schedule = Stmt = Target = Tensor = TirBuffer = Var = Any

Tensors = dict[str, Tensor]
"""TE tensors by the names of a kernel's buffers, or of its stages."""

Compute = Callable[..., Expr]
"""The value of a tensor at an index, an argument for each axis: what ``te.compute`` takes."""

__all__ = [
    "Block",
    "Compute",
    "Executable",
    "Expr",
    "For",
    "IRModule",
    "IterVar",
    "LoadedModule",
    "Loop",
    "Pass",
    "PrimFunc",
    "Schedule",
    "Stmt",
    "Target",
    "Tensor",
    "Tensors",
    "TirBuffer",
    "Var",
]

"""TVM's lowering pipeline with four changes: register tiles are on the stack, kernels take the addresses of
their buffers, those that are called alone check no arguments, and parallel loops are shared by the threads of
a network, not by those of TVM's runtime.

TVM takes every allocation of 1024 bytes or more from a workspace pool of its runtime. A compiled network
must run where that runtime is not installed, and its accumulators are meant to become registers.
"""

import math
from collections.abc import Callable

from runtime.codegen.direct import take_addresses
from runtime.codegen.sharing import share_loops
from runtime.tvm_types import IRModule, Pass, PrimFunc, Stmt

PIPELINE = "bitnas"
WORDS = 16  # of a line of the cache
LEAST_LINES = 8  # fewer are meant to be registers
LOCAL = "local"
KERNEL = "bitnas.kernel"  # the attribute of kernels, which check no arguments


def register_pipeline() -> str:
    """Register the pipeline with TVM, once, and return its name."""
    from tvm import tirx
    from tvm.ir.transform import Sequential, module_pass
    from tvm.s_tir.pipeline import default_s_tir_pipeline
    from tvm.tirx import compilation_pipeline

    def finalize_host() -> Pass:
        ours = [_change(each) for each in (share_loops, _keep_allocations, take_addresses, _without_main)]
        skip = module_pass(_skip_kernel_checks, opt_level=0, name="bitnas.skip_kernel_checks")
        return Sequential([*ours, skip, tirx.transform.LowerTVMBuiltin(), tirx.transform.LowerIntrin()])

    def factory() -> tuple[Callable[[], Pass], Callable[[], Pass], Callable[[], Pass]]:
        lower, _, finalize_device = default_s_tir_pipeline()
        return lower, finalize_host, finalize_device

    if PIPELINE not in compilation_pipeline.PIPELINE_MAP:
        compilation_pipeline.register_tir_pipeline(PIPELINE, factory)
    return PIPELINE


def _change(function: Callable[[PrimFunc], PrimFunc]) -> Pass:
    """A pass that changes every function."""
    from tvm import tirx

    name = f"bitnas.{function.__name__.strip('_')}"
    return tirx.transform.prim_func_pass(lambda f, *_: function(f), opt_level=0, name=name)


def _skip_kernel_checks(module: IRModule, context: object) -> IRModule:
    """Have kernels that tests and benchmarks call take arrays of any shape: lowered, theirs are flat."""
    from tvm import IRModule, tirx

    skip = tirx.transform.SkipAssert()
    found = {
        name: skip(IRModule({name: function}))[name] if KERNEL in (function.attrs or {}) else function
        for name, function in module.functions.items()
    }
    return IRModule(found, attrs=module.attrs)


def _without_main(func: PrimFunc) -> PrimFunc:
    """Leave out the copy of the only function of a module that TVM makes under the name of ``main``."""
    return func.without_attr("tirx.is_entry_func")


def _keep_allocations(func: PrimFunc) -> PrimFunc:
    return func.with_body(_rewrite(func.body))


def _rewrite(statement: Stmt) -> Stmt:
    """Mark every allocation as one that codegen makes itself; what threads share is split by now."""
    from tvm import tirx

    if isinstance(statement, tirx.AllocBuffer):
        return _on_stack(statement)
    if isinstance(statement, tirx.SeqStmt):
        return tirx.SeqStmt([_rewrite(s) for s in statement.seq])
    if isinstance(statement, tirx.For):
        return tirx.For(
            statement.loop_var,
            statement.min,
            statement.extent,
            tirx.ForKind.SERIAL if statement.kind == tirx.ForKind.PARALLEL else statement.kind,
            _rewrite(statement.body),
            statement.thread_binding,
            statement.annotations,
            statement.step,
        )
    if isinstance(statement, tirx.AttrStmt):
        return tirx.AttrStmt(statement.node, statement.attr_key, statement.value, _rewrite(statement.body))
    if isinstance(statement, tirx.IfThenElse):
        otherwise = statement.else_case
        return tirx.IfThenElse(
            statement.condition,
            _rewrite(statement.then_case),
            None if otherwise is None else _rewrite(otherwise),
        )
    return statement


def _on_stack(statement: Stmt) -> Stmt:
    """An allocation that codegen makes; along lines of the cache where it has several.

    TVM aligns to 16 bytes at most, LLVM vectors to their size, so lines are vectors.
    """
    from tvm import tirx

    own, buffer = {"disable_lower_builtin": tirx.IntImm("int32", 1)}, statement.buffer
    count, rest = divmod(math.prod(int(extent) for extent in buffer.shape), WORDS)
    if str(buffer.dtype) not in ("int32", "float32") or rest or count < LEAST_LINES:
        return tirx.AllocBuffer(buffer, {**statement.annotations, **own})
    lines = tirx.decl_buffer((count,), f"{buffer.dtype}x{WORDS}", f"{buffer.name}_lines", scope=LOCAL)
    allocated = tirx.AllocBuffer(lines, {**statement.annotations, **own})
    return tirx.SeqStmt([allocated, tirx.DeclBuffer(buffer, data=lines.data)])

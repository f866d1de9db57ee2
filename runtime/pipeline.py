"""TVM's lowering pipeline with three changes: register tiles are on the stack, kernels check no arguments,
and parallel loops are shared by the threads of a network rather than by those of TVM's runtime.

TVM takes every allocation of 1024 bytes or more from a workspace pool of its runtime. A compiled network
must run where that runtime is not installed, and its accumulators are meant to become registers.

The checks of a kernel's arguments are three times the code of the kernel, and fetching them costs a small
network more than a tenth of its time. Only the entry, which the outside calls, keeps its checks: what it
passes on to the kernels is fixed when it is compiled.
"""

from typing import Any

from runtime.sharing import share_loops

PIPELINE = "bitnas"
KERNEL = "bitnas.kernel"  # the attribute of functions that only compiled code calls


def register_pipeline() -> str:
    """Register the pipeline with TVM, once, and return its name."""
    from tvm import tirx
    from tvm.ir.transform import Sequential, module_pass
    from tvm.s_tir.pipeline import default_s_tir_pipeline
    from tvm.tirx import compilation_pipeline

    def finalize_host() -> Any:
        keep = tirx.transform.prim_func_pass(_keep_allocations, opt_level=0, name="bitnas.KeepAllocations")
        skip = module_pass(_skip_kernel_checks, opt_level=0, name="bitnas.SkipKernelChecks")
        share = tirx.transform.prim_func_pass(_share_loops, opt_level=0, name="bitnas.ShareLoops")
        return Sequential([share, keep, skip, tirx.transform.LowerTVMBuiltin(), tirx.transform.LowerIntrin()])

    def factory() -> Any:
        lower, _, finalize_device = default_s_tir_pipeline()
        return lower, finalize_host, finalize_device

    if PIPELINE not in compilation_pipeline.PIPELINE_MAP:
        compilation_pipeline.register_tir_pipeline(PIPELINE, factory)
    return PIPELINE


def _skip_kernel_checks(module: Any, context: Any) -> Any:
    from tvm import IRModule, tirx

    skip = tirx.transform.SkipAssert()
    found = {
        name: skip(IRModule({name: function}))[name] if KERNEL in (function.attrs or {}) else function
        for name, function in module.functions.items()
    }
    return IRModule(found, attrs=module.attrs)


def _share_loops(func: Any, module: Any, context: Any) -> Any:
    return share_loops(func)


def _keep_allocations(func: Any, module: Any, context: Any) -> Any:
    return func.with_body(_rewrite(func.body))


def _rewrite(statement: Any) -> Any:
    """Mark every allocation as one that codegen makes itself; what threads share is split by now."""
    from tvm import tirx

    if isinstance(statement, tirx.AllocBuffer):
        return tirx.AllocBuffer(
            statement.buffer, {**statement.annotations, "disable_lower_builtin": tirx.IntImm("int32", 1)}
        )
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

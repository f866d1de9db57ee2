"""TVM's lowering pipeline with one change: register tiles are allocated on the stack.

TVM takes every allocation of 1024 bytes or more from a workspace pool of its runtime. A compiled network
must run where that runtime is not installed, and its accumulators are meant to become registers.
"""

from typing import Any

PIPELINE = "bitnas"


def register_pipeline() -> str:
    """Register the pipeline with TVM, once, and return its name."""
    from tvm import tirx
    from tvm.ir.transform import Sequential
    from tvm.s_tir.pipeline import default_s_tir_pipeline
    from tvm.tirx import compilation_pipeline

    def finalize_host() -> Any:
        keep = tirx.transform.prim_func_pass(_keep_allocations, opt_level=0, name="bitnas.KeepAllocations")
        return Sequential([keep, tirx.transform.LowerTVMBuiltin(), tirx.transform.LowerIntrin()])

    def factory() -> Any:
        lower, _, finalize_device = default_s_tir_pipeline()
        return lower, finalize_host, finalize_device

    if PIPELINE not in compilation_pipeline.PIPELINE_MAP:
        compilation_pipeline.register_tir_pipeline(PIPELINE, factory)
    return PIPELINE


def _keep_allocations(func: Any, module: Any, context: Any) -> Any:
    return func.with_body(_rewrite(func.body))


def _rewrite(statement: Any) -> Any:
    """Mark every allocation in a statement as one that codegen makes itself."""
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
            statement.kind,
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

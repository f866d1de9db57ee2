"""Kernels as portable C: a scheduled function is lowered to plain loops and printed, line by line."""

import re
from collections.abc import Callable
from pathlib import Path

from runtime.cpu import ANY_CPU
from runtime.kernels.base import kernel_for
from runtime.tvm_types import Expr, For, PrimFunc, Stmt, Var
from runtime.workload import Workload

TYPES = {
    "float32": "f32",
    "int8": "i8",
    "uint8": "u8",
    "uint16": "u16",
    "int32": "i32",
    "uint32": "u32",
    "int64": "i64",
    "bool": "i32",
}
INFIX_OPERATORS = {
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
    "LT": "<",
    "LE": "<=",
    "GT": ">",
    "GE": ">=",
    "EQ": "==",
    "NE": "!=",
    "And": "&&",
    "Or": "||",
    "BitwiseAnd": "&",
    "BitwiseOr": "|",
    "BitwiseXor": "^",
    "LShift": "<<",
    "RShift": ">>",
}
FUNCTIONS = {"popcount": "popcount", "sqrt": "square_root", "log": "logarithm"}
REINTERPRETED = {("float32", "int32"): "float_bits", ("int32", "float32"): "bits_float"}
CALLS = {"FloorDiv": "floor_div", "FloorMod": "floor_mod"}
BITWISE_OPERATORS = {
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
    "shift_left": "<<",
    "shift_right": ">>",
}

PRELUDE = Path(__file__).with_name("prelude.h").read_text(encoding="utf-8")
"""What kernels call, and the types by which they know memory; it opens ``network.c``."""


def kernel_source(workload: Workload, name: str) -> str:
    """A static C function that computes a workload; its parameters are pointers to the kernel's buffers."""
    function = _lowered(workload)
    buffers = kernel_for(workload).arguments(workload, ANY_CPU)
    names: dict[Var, str] = {}
    parameters = []
    for variable, buffer in zip(function.params, buffers, strict=True):
        names[variable] = buffer.name
        const = "const " if buffer.role in ("input", "constant") else ""
        parameters.append(f"{const}{TYPES[str(variable.dtype)]} *restrict {buffer.name}")
    body = _Printer(names).block(function.body, 1)
    for buffer in buffers:  # what only kernels for other CPUs read
        if not re.search(rf"\b{buffer.name}\b", body):
            body = f"{_indent(1)}(void){buffer.name};\n{body}"
    return f"static SEPARATE void {name}({', '.join(parameters)}) {{\n{body}}}\n"


def _lowered(workload: Workload) -> PrimFunc:
    """The kernel as plain loops over flat buffers."""
    import tvm
    from tvm import s_tir, tirx

    function = kernel_for(workload).prim_func(workload, ANY_CPU)
    passes = [
        s_tir.transform.CanonicalizeLoop(),
        s_tir.transform.LowerInitBlock(),
        s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
        s_tir.transform.ConvertBlocksToOpaque(),
        s_tir.transform.CompactBufferAllocation(),
        s_tir.transform.LowerMatchBuffer(),
        s_tir.transform.StmtSimplify(),
        s_tir.transform.LowerOpaqueBlock(),
        tirx.transform.FlattenBuffer(),
        tirx.transform.NarrowDataType(32),
        tirx.transform.VectorizeLoop(False),
        s_tir.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
    ]
    module = tvm.IRModule({"kernel": function.with_attr("global_symbol", "kernel")})
    return tvm.ir.transform.Sequential(passes)(module)["kernel"]


class _Printer:
    """Prints statements and expressions; every variable has a name of its own."""

    def __init__(self, names: dict[Var, str]) -> None:
        self._names = names

    def block(self, statement: Stmt, depth: int) -> str:
        """A statement, indented."""
        print_kind: Callable[[Stmt, int], str] | None = getattr(self, f"_{type(statement).__name__}", None)
        if print_kind is None:
            raise TypeError(f"no C for the statement {type(statement).__name__}")
        return print_kind(statement, depth)

    def _SeqStmt(self, statement: Stmt, depth: int) -> str:  # noqa: N802 - TVM's names, here and below
        return "".join(self.block(s, depth) for s in statement.seq)

    def _DeclBuffer(self, statement: Stmt, depth: int) -> str:  # noqa: N802 - the class of a node
        self._names[statement.buffer] = self._names[statement.data.args[0]]
        return ""

    def _AllocBuffer(self, statement: Stmt, depth: int) -> str:  # noqa: N802 - the class of a node
        buffer = statement.buffer
        name = self._new(buffer)
        count = 1
        for extent in buffer.shape:
            count *= int(extent)
        # GCC 12 writes past less aligned ones by moves for aligned memory, where it has AVX-512
        return f"{_indent(depth)}{TYPES[str(buffer.dtype)]} {name}[{count}] ALIGNED;\n"

    def _For(self, loop: For, depth: int) -> str:  # noqa: N802 - the class of a node
        name = self._new(loop.loop_var)
        first, count = self.value(loop.min), self.value(loop.extent)
        last = count if first == "0" else f"{first} + {count}"
        head = f"{_indent(depth)}for (i32 {name} = {first}; {name} < {last}; ++{name}) {{\n"
        return head + self.block(loop.body, depth + 1) + f"{_indent(depth)}}}\n"

    def _IfThenElse(self, branch: Stmt, depth: int) -> str:  # noqa: N802 - the class of a node
        text = f"{_indent(depth)}if ({self.value(branch.condition)}) {{\n"
        text += self.block(branch.then_case, depth + 1)
        if branch.else_case is not None:
            text += f"{_indent(depth)}}} else {{\n{self.block(branch.else_case, depth + 1)}"
        return text + f"{_indent(depth)}}}\n"

    def _BufferStore(self, store: Stmt, depth: int) -> str:  # noqa: N802 - the class of a node
        place = f"{self._names[store.buffer]}[{self.value(store.indices[0])}]"
        return f"{_indent(depth)}{place} = {self.value(store.value)};\n"

    def _Bind(self, bind: Stmt, depth: int) -> str:  # noqa: N802 - the class of a node
        value, name = self.value(bind.value), self._new(bind.var)
        return f"{_indent(depth)}const {TYPES[_dtype(bind.var)]} {name} = {value};\n"

    def _AttrStmt(self, statement: Stmt, depth: int) -> str:  # noqa: N802 - the class of a node
        return self.block(statement.body, depth)

    def value(self, e: Expr) -> str:
        """An expression, in parentheses where it is more than a name."""
        kind = type(e).__name__
        if kind == "Var":
            return self._names[e]
        if kind == "IntImm":
            return _integer(int(e.value), _dtype(e))
        if kind == "FloatImm":
            return float_literal(float(e.value))
        if kind == "TensorLoad":
            return f"{self._names[e.source]}[{self.value(e.indices[0])}]"
        if kind == "Cast":
            return f"(({TYPES[_dtype(e)]}){self.value(e.value)})"
        if kind == "Select":
            return self._choice(e.condition, e.true_value, e.false_value)
        if kind == "Not":
            return f"(!{self.value(e.a)})"
        if kind in ("Max", "Min"):
            # the first only where it is strictly beyond: so a NaN in the second passes
            a, b = self.value(e.a), self.value(e.b)
            return f"({a} {'>' if kind == 'Max' else '<'} {b} ? {a} : {b})"
        if kind == "Add" and _dtype(e) == "float32":
            for product, other in ((e.a, e.b), (e.b, e.a)):
                if type(product).__name__ == "Mul":
                    factors = self.value(product.a), self.value(product.b)
                    return f"multiply_add({factors[0]}, {factors[1]}, {self.value(other)})"
        if kind in INFIX_OPERATORS:
            return f"({self.value(e.a)} {INFIX_OPERATORS[kind]} {self.value(e.b)})"
        if kind in CALLS:
            return f"{CALLS[kind]}({self.value(e.a)}, {self.value(e.b)})"
        if kind == "Call":
            return self._call(e)
        raise TypeError(f"no C for the expression {kind}")

    def _call(self, e: Expr) -> str:
        name, arguments = str(e.op.name).rpartition(".")[2], list(e.args)
        if name == "if_then_else":
            return self._choice(*arguments)
        values = [self.value(a) for a in arguments]
        if name in BITWISE_OPERATORS:
            return f"({values[0]} {BITWISE_OPERATORS[name]} {values[1]})"
        if name in FUNCTIONS:
            return f"{FUNCTIONS[name]}({values[0]})"
        kinds = (_dtype(arguments[0]), _dtype(e)) if name == "reinterpret" else None
        if kinds in REINTERPRETED:
            return f"{REINTERPRETED[kinds]}({values[0]})"
        raise TypeError(f"no C for the operator {name}")

    def _choice(self, condition: Expr, yes: Expr, no: Expr) -> str:
        return f"({self.value(condition)} ? {self.value(yes)} : {self.value(no)})"

    def _new(self, variable: Var) -> str:
        name = "".join(c if c.isalnum() else "_" for c in str(variable.name))
        taken = set(self._names.values())
        found, count = name, 1
        while found in taken:
            found, count = f"{name}_{count}", count + 1
        self._names[variable] = found
        return found


def _indent(depth: int) -> str:
    return "  " * depth


def _dtype(e: Expr) -> str:
    return str(e.ty)


def _integer(value: int, dtype: str) -> str:
    if dtype == "uint32":
        return f"{value}u"
    return f"({value})" if value < 0 else str(value)


def float_literal(value: float) -> str:
    """A float32 to the bit, in hexadecimal."""
    import math

    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    digits, exponent = value.hex().split("p")
    return f"({digits.rstrip('0').rstrip('.')}p{exponent}f)"

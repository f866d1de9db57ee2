"""Stages of TE as statements of loops that are written by hand."""

from dataclasses import dataclass

from runtime.kernels.covering import VECTOR
from runtime.kernels.loops import in_turn, loop
from runtime.kernels.placing import Placed
from runtime.tvm_types import Compute, Expr, Stmt, TirBuffer

LANES = VECTOR
AXES = 5  # of a stage that has lanes: images, rows, columns, vectors, lanes


class HandWritten:
    """Stages that are made as TE's are, at one place each: the value of an output at (n, y, x, o, i)."""

    def __init__(self, outputs: dict[str, TirBuffer]) -> None:
        """``outputs``: where stages are stored, by name; others are kept in registers."""
        self._outputs = outputs
        self._kept: list[TirBuffer] = []
        self._stages: list[tuple[TirBuffer, bool, Compute]] = []

    def compute(self, shape: tuple[int, ...], value: Compute, name: str) -> "TirBuffer | _Kept":
        """A stage of a tensor's shape and its value at an index, indexed as the tensor is."""
        from tvm import tirx

        has_lanes = len(shape) == AXES
        if name in self._outputs:
            self._stages.append((self._outputs[name], has_lanes, value))
            return self._outputs[name]
        dtype = str(value(*[tirx.const(0, "int32")] * len(shape)).ty.dtype)
        kept = tirx.decl_buffer((LANES,), dtype, name, scope="local")
        self._kept.append(kept)
        self._stages.append((kept, has_lanes, value))
        return _Kept(kept)

    def statement(self, placed: dict[str, Placed], n: Expr, y: Expr, x: Expr, o: Expr) -> Stmt:
        """All stages at a vector of a pixel, one after the other, the outputs at their places."""
        from tvm import tirx

        parts: list[Stmt] = [tirx.AllocBuffer(kept) for kept in self._kept]
        for buffer, has_lanes, value in self._stages:
            own = None if buffer in self._kept else placed[str(buffer.name)]

            def store(
                *lane: Expr, buffer: TirBuffer = buffer, value: Compute = value, own: Placed | None = own
            ) -> Stmt:
                index = lane if own is None else own.place(n, y, x, o, *lane)
                return tirx.BufferStore(buffer, value(n, y, x, o, *lane), list(index))

            parts.append(loop(LANES, store, tirx.ForKind.VECTORIZED) if has_lanes else store())
            if own is not None and own.after is not None:
                parts.append(own.after(buffer, (n, y, x, o)))
        return in_turn(parts)


@dataclass(frozen=True)
class _Kept:
    """A vector in registers, indexed as the whole tensor of such vectors."""

    buffer: TirBuffer

    def __getitem__(self, index: tuple[Expr, ...]) -> Expr:
        return self.buffer[index[-1]]

"""Weights of one, two and four bits: those of all layers lie together in bytes, and are unpacked at once.

A runtime computes what depends on constants alone when it loads a graph, so a run unpacks nothing.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.formats.onnx.graph import OnnxGraph

if TYPE_CHECKING:
    from onnx import NodeProto

WIDTHS = (1, 2, 4)
"""Bits of a code, of which a byte holds a whole number."""

MIDDLE = 128
"""The zero point of bytes that are not unpacked."""

Codes = NDArray[np.uint8]


class Bytes(NamedTuple):
    """Whole numbers as a tensor of unsigned bytes with a zero point."""

    name: str
    zero: int


class _Group(NamedTuple):
    """Which codes are unpacked together: by their bits, and by what they are multiplied with."""

    bits: int
    step: int


def width_for(count: int) -> int | None:
    """The fewest bits of so many different codes; None where they are more than four."""
    return next((bits for bits in WIDTHS if count <= 1 << bits), None)


def packed(codes: Codes, bits: int) -> Codes:
    """Codes (n,) as bytes, the first in the lowest bits of the first byte; the last byte ends in zeros."""
    per_byte = 8 // bits
    rows = np.zeros(-(-codes.size // per_byte) * per_byte, np.uint8)
    rows[: codes.size] = codes
    shifted = rows.reshape(-1, per_byte) << np.arange(0, 8, bits, dtype=np.uint8)
    found: Codes = np.bitwise_or.reduce(shifted, axis=1).astype(np.uint8)
    return found


def coded_levels(values: NDArray[Any]) -> tuple[NDArray[Any], Codes]:
    """The different whole numbers of an array, at most 256, and for each number its place among these."""
    lowest = int(values.min())
    places = values.astype(np.int32) - lowest
    found = np.flatnonzero(np.bincount(places.reshape(-1)))
    table = np.zeros(found[-1] + 1, np.uint8)
    table[found] = np.arange(found.size)
    return (found + lowest).astype(values.dtype), table[places]


class PackedCodes:
    """The codes of a graph's layers, in groups that are unpacked together."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._groups: dict[_Group, list[tuple[str, Codes]]] = {}

    def bytes(self, values: NDArray[Any]) -> Bytes:
        """Whole numbers of -128 to 127 in the shape that they have."""
        levels, codes = coded_levels(values)
        lowest, bits = min(int(levels[0]), 0), width_for(levels.size)
        step = 1 if ((levels.astype(int) - lowest) % 2).any() else 2
        even = width_for((int(levels[-1]) - lowest) // step + 1)
        if bits is None:
            return Bytes(self._graph.constant((values.astype(np.int16) + MIDDLE).astype(np.uint8)), MIDDLE)
        if even is not None and even <= bits:
            places = (values.astype(np.int16) - lowest) // step
            return Bytes(self._added(_Group(even, step), places.astype(np.uint8)), -lowest)
        numbers = (levels.astype(np.int16) + MIDDLE).astype(np.uint8)
        return Bytes(self._taken(numbers, self._added(_Group(bits, 1), codes)), MIDDLE)

    def reals(self, values: NDArray[Any]) -> str:
        """Whole numbers as float32, in the shape that they have."""
        if np.abs(values).max() > np.iinfo(np.int8).max:
            levels, codes = coded_levels(values)
            return self._taken(levels.astype(np.float32), self._graph.constant(codes))
        found = self.bytes(values)
        real = self._graph.op("Cast", found.name, to=onnx_type(np.float32))
        return self._graph.op("Sub", real, np.float32(found.zero)) if found.zero else real

    def scaled(self, values: NDArray[Any], positive: np.float32, negative: np.float32) -> str:
        """Whole numbers of -128 to 127 as float32, those of each sign times a factor."""
        found = self.bytes(values)
        whole = np.arange(-found.zero, int(values.max()) + 1)  # what bytes from 0 on stand for
        return self._taken(np.where(whole > 0, positive, negative) * whole.astype(np.float32), found.name)

    def sums(self, values: NDArray[Any], basis: NDArray[np.float32]) -> str:
        """Sums of n numbers of each output with signs, float32 (O, ...).

        Args:
            values: the signs as odd numbers ``s_0 + 2 s_1 + ...``, (O, ...).
            basis: the numbers, (O, n).
        """
        outputs, bits = basis.shape
        places = ((values.astype(np.int16) + (1 << bits) - 1) // 2).astype(np.uint8).reshape(outputs, -1)
        codes = self._added(_Group(width_for(1 << bits) or 4, 1), places)
        signs = (np.arange(1 << bits) >> np.arange(bits)[:, None] & 1) * 2 - 1  # (n, 2^n)
        levels = self._graph.op("MatMul", basis, signs.astype(np.float32))
        where = self._graph.op("Cast", codes, to=onnx_type(np.int32))
        found = self._graph.op("GatherElements", levels, where, axis=1)
        return self._graph.op("Reshape", found, np.array(values.shape, np.int64))

    def _taken(self, numbers: NDArray[Any], places: str) -> str:
        """The numbers at places that are bytes."""
        return self._graph.op("Gather", numbers, self._graph.op("Cast", places, to=onnx_type(np.int32)))

    def nodes(self) -> "list[NodeProto]":
        """The operators that give every layer its codes; they come before all others."""
        return [node for group, parts in self._groups.items() for node in self._unpacked(group, parts)]

    def _added(self, group: _Group, codes: Codes) -> str:
        """The codes of a layer, times the group's step, in the shape that they have."""
        name = self._graph.new_name()
        self._groups.setdefault(group, []).append((name, codes.reshape(-1)))
        return self._graph.op("Reshape", name, np.array(codes.shape, np.int64))

    def _unpacked(self, group: _Group, parts: list[tuple[str, Codes]]) -> "list[NodeProto]":
        from onnx import helper

        constant, (bits, step) = self._graph.constant, group
        codes = np.concatenate([each for _, each in parts])
        rows, shifts = packed(codes, bits), np.arange(0, 8, bits, dtype=np.uint8)
        sizes, names = [each.size for _, each in parts], [name for name, _ in parts]
        left = rows.size * shifts.size - codes.size
        if left:
            sizes, names = [*sizes, left], [*names, self._graph.new_name()]
        made = [constant(rows[:, None])]

        def add(kind: str, other: NDArray[Any] | np.generic, outputs: list[str], **how: Any) -> "NodeProto":
            node = helper.make_node(kind, [made[-1], constant(other)], outputs, **how)
            made.append(outputs[0])
            return node

        def new() -> list[str]:
            return [self._graph.new_name()]

        nodes = [
            add("BitShift", shifts, new(), direction="RIGHT"),
            add("BitwiseAnd", np.uint8((1 << bits) - 1), new()),
        ]
        nodes += [add("BitShift", np.uint8(1), new(), direction="LEFT")] if step > 1 else []
        nodes.append(add("Reshape", np.array([-1], np.int64), new()))
        return [*nodes, add("Split", np.array(sizes, np.int64), names)]


def onnx_type(kind: Any) -> int:
    """ONNX's number for a type of numpy's."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

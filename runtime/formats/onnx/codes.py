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

Codes = NDArray[np.uint8]


class _Part(NamedTuple):
    """The codes of one layer."""

    name: str
    codes: Codes


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
    """The codes of a graph's layers, by their number of bits."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._parts: dict[int, list[_Part]] = {bits: [] for bits in WIDTHS}

    def places(self, values: NDArray[Any]) -> tuple[NDArray[Any], str] | None:
        """The different numbers of an array, and for each number its place among these as an int32 tensor.

        None where the places need eight bits.
        """
        levels, codes = coded_levels(values)
        bits = width_for(levels.size)
        if bits is None:
            return None
        name = self._graph.new_name()
        self._parts[bits].append(_Part(name, codes.reshape(-1)))
        shaped = self._graph.op("Reshape", name, np.array(values.shape, np.int64))
        return levels, self._graph.op("Cast", shaped, to=onnx_type(np.int32))

    def nodes(self) -> "list[NodeProto]":
        """The operators that give every layer its codes; they come before all others."""
        return [node for bits, parts in self._parts.items() if parts for node in self._unpacked(bits, parts)]

    def _unpacked(self, bits: int, parts: list[_Part]) -> "list[NodeProto]":
        from onnx import helper

        codes = np.concatenate([part.codes for part in parts])
        rows = packed(codes, bits)
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        sizes = [part.codes.size for part in parts]
        left = rows.size * shifts.size - codes.size
        outputs = [part.name for part in parts] + [self._graph.new_name()] * (left > 0)
        shifted, masked, flat = (self._graph.new_name() for _ in range(3))
        constant = self._graph.constant
        given = [constant(rows[:, None]), constant(shifts)]
        return [
            helper.make_node("BitShift", given, [shifted], direction="RIGHT"),
            helper.make_node("BitwiseAnd", [shifted, constant(np.uint8((1 << bits) - 1))], [masked]),
            helper.make_node("Reshape", [masked, constant(np.array([-1], np.int64))], [flat]),
            helper.make_node(
                "Split", [flat, constant(np.array(sizes + [left] * (left > 0), np.int64))], outputs
            ),
        ]


def onnx_type(kind: Any) -> int:
    """ONNX's number for a type of numpy's."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

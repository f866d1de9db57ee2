"""Counting by looking up four bits at a time: see ``runtime.kernels.lookups``.

A lane is a byte and an output channel. The image is read by bytes, eight channels of a pixel, as it lies.
Weights lie as (O / lanes, K, K, bytes, planes, lanes): eight bits of an output channel, in the order of the
image's. Where a group has 16 output channels, or an odd multiple of 16, half of the lanes have the low four
of these bits of 16 channels, and the other half the high four.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer, ByChannel
from runtime.kernels.counting.base import LANES, Counting, Counts, sums
from runtime.kernels.covering import Cover, Grid, spans_groups, vectors_of
from runtime.kernels.lookups import NIBBLE, ROW, looked_up, lookup_table
from runtime.kernels.narrow_sums import reduce_axes, split_steps
from runtime.kernels.padding import Image
from runtime.kernels.schedule import WIDEST_TILE, Tile, worthwhile
from runtime.kernels.weight_layouts import Lookup, planes_of
from runtime.tvm_types import Expr, Tensors
from runtime.workload import BitserialConv2d

BYTE = 8  # channels in a byte
WORD_BYTES = packing.WORD // BYTE
MOST_COUNT = 32767  # of the wider count
MOST_VECTORS = 4

Index = tuple[Expr, Expr, Expr, Expr, Expr, Expr]
"""Of a count: image, row, column, vector of lanes, sum, lane."""
Tap = tuple[Expr, Expr, Expr]
"""Row and column of a window, and the byte of a pixel."""


class LookupCounting(Counting):
    """A byte of the image chooses tables, in which the bits of the output channels are looked up."""

    image_dtype = "uint8"

    def fits(self, workload: BitserialConv2d) -> bool:
        """Whether channels need whole vectors of lanes, and a count fits 16 bits."""
        w = workload
        depth = w.in_channels // w.groups
        is_whole = vectors_of(w).width == LANES and not spans_groups(w)
        has_lookups = bool(_lookups(w))
        return is_whole and has_lookups and depth * w.window.count <= MOST_COUNT

    def image_shape(self, words: tuple[int, ...]) -> tuple[int, ...]:
        """The bytes of each word last."""
        return (*words, WORD_BYTES)

    def constants(self, workload: BitserialConv2d, weight: Buffer) -> list[Buffer]:
        """The weights, and tables."""
        vectors, height, width, _, planes, _ = weight.shape
        taps = (height, width, self._bytes(workload), planes)
        lanes = self._lanes(workload)
        shape = (vectors * LANES // self._channels(workload), *taps, lanes)
        tables = (len(_kinds(workload)), 256, ROW)
        return [
            Buffer("weight", "constant", shape, "uint8"),
            Buffer("table", "constant", tables, "uint8"),
        ]

    def arrange(self, workload: BitserialConv2d, constants: Constants) -> Constants:
        """Weights in words (O/16, K, K, words, planes, 16) as the bytes of each lane."""
        words = planes_of(workload).looked_up_in(workload, constants["weight"])
        vectors, height, width, _, planes, lanes = words.shape
        split = np.ascontiguousarray(words, "<u4").view(np.uint8).reshape(*words.shape, WORD_BYTES)
        by_byte = np.moveaxis(split, -1, 4).reshape(vectors, height, width, -1, planes, lanes)
        by_byte = by_byte[:, :, :, : self._bytes(workload)]
        if self._is_halved(workload):
            found = np.concatenate([by_byte & 15, by_byte >> 4], axis=-1)
        else:
            together = self._channels(workload) // LANES
            grouped = by_byte.reshape(vectors // together, together, *by_byte.shape[1:])
            found = np.moveaxis(grouped, 1, -2).reshape(-1, *by_byte.shape[1:-1], together * LANES)
        changed = self._without_totals(workload, words, constants)
        weight, table = np.ascontiguousarray(found), _tables(_kinds(workload))
        return {**constants, **changed, "weight": weight, "table": table}

    def by_channel(self, workload: BitserialConv2d, weight: Buffer) -> ByChannel:
        """Vectors of channels side by side, or the low and the high halves of one."""
        vectors, height, width, _, planes, _ = weight.shape
        together = self._channels(workload) // LANES
        inner = height * width * self._bytes(workload) * planes
        if self._is_halved(workload):
            return ByChannel((vectors, inner, 2, LANES, BYTE), (0, 3), of_bits=True)
        return ByChannel((vectors // together, inner, together * LANES, BYTE), (0, 2), of_bits=True)

    @staticmethod
    def _without_totals(workload: BitserialConv2d, words: NDArray[Any], constants: Constants) -> Constants:
        """Totals or limits for counts that lack the number of bits of a plane."""
        lacking = [each.weight for each in _lookups(workload) if each.lacks_total]
        if not lacking:
            return {}
        bits = np.bitwise_count(words[..., lacking, :]).sum(axis=(1, 2, 3), dtype=np.int32)  # (O/16, 1, 16)
        changes = {"limit": (1, bits[:, 0]), "total": (2, bits)}
        return {
            name: constants[name] - (times * lacked).reshape(constants[name].shape)
            for name, (times, lacked) in changes.items()
            if name in constants
        }

    def tiles(self, workload: BitserialConv2d, columns: int, vectors: int) -> list[Tile]:
        """Those whose counts, tables and weights the registers hold, the fewest instructions first.

        For each byte, a pixel takes four instructions to choose two tables, and a vector of weights four to
        be taken apart.
        """
        together = self._channels(workload) // LANES
        lookups = len(_lookups(workload))
        halves = 1 if self._is_halved(workload) else 2
        held = 32 if "avx512vl" in self.cpu.flags else 16
        found = [
            Tile(x, o * together)
            for x in range(1, min(columns, WIDEST_TILE) + 1)
            for o in range(1, min(vectors // together, MOST_VECTORS) + 1)
            if vectors // together % o == 0 and x * o * sums(workload) + o * lookups * halves + 2 <= held
        ]

        def cost(tile: Tile) -> float:
            return (together / tile.o + 1 / tile.x) * Cover(columns, tile.x).padded

        return worthwhile(found or [Tile(1, together)], columns, cost)

    def counted(self, workload: BitserialConv2d, grid: Grid, data: Image, args: Tensors) -> Counts:
        """Counts in bytes, of as many bytes of the image as they hold, and of these in 16 bits."""
        from tvm import te

        w, (n, rows, columns, vectors, width) = workload, grid.shape
        together, is_halved = self._channels(w) // LANES, self._is_halved(w)
        is_signed = any(each.lacks_total for each in _lookups(w))
        split = split_steps(self._steps(w), (127 if is_signed else 255) // BYTE)
        byte, wide = ("int8", "int16") if is_signed else ("uint8", "uint16")
        outer, inner = reduce_axes(split.outer, "block"), reduce_axes(split.inner, "step")

        def count(n: Expr, y: Expr, x: Expr, o: Expr, p: Expr, *rest: Expr) -> Expr:
            *blocks, i = rest
            tap = self._tap(w, split.index(tuple(blocks), inner))
            return te.sum(
                self._eight(w, data, args, (n, y, grid.columns.at(x), o, p, i), tap).astype(byte), axis=inner
            )

        counts = (n, rows, columns, vectors // together, sums(w), *split.outer, self._lanes(w))
        narrow = te.compute(counts, count, name="narrow")

        def widened(n: Expr, y: Expr, x: Expr, o: Expr, p: Expr, i: Expr) -> Expr:
            place = n, y, x, o // together, p, *outer
            first = narrow[(*place, o % together * LANES + i)].astype(wide)
            both = first + narrow[(*place, LANES + i)].astype(wide) if is_halved else first
            return te.sum(both, axis=outer)

        counted = te.compute((n, rows, columns, vectors, sums(w), width), widened, name="accumulate")
        return Counts(counted, len(outer), len(inner))

    def _eight(self, workload: BitserialConv2d, data: Image, args: Tensors, index: Index, tap: Tap) -> Expr:
        """How many bits of a byte of the image count for a channel, uint8."""
        from tvm import tirx

        w, (n, y, x, o, p, i), (ky, kx, byte) = workload, index, tap
        group = o // (_lanes_of_group(w) // self._channels(w))
        kinds, low = _kinds(w), tirx.const(NIBBLE - 1, "uint8")
        total = tirx.const(0, "uint8")
        for lookup in planes_of(w).lookups(w, p):
            word = byte // WORD_BYTES, lookup.data, byte % WORD_BYTES
            row = data[(n, *w.window.pixel(y, x, ky, kx), group, *word)].astype("int32")
            bits = args["weight"][o, ky, kx, byte, lookup.weight, i]
            halves = [bits] if self._is_halved(w) else [bits & low, bits >> tirx.const(4, "uint8")]
            for half, index_of_four in enumerate(halves):
                first = args["table"][kinds.index(lookup.kind), row, half * NIBBLE]
                count = looked_up(first, index_of_four, self._is_halved(w))
                total = total - count if lookup.lacks_total else total + count
        return total

    def _steps(self, workload: BitserialConv2d) -> tuple[int, ...]:
        """Bytes of a window by its axes; those of a row are one axis where they lie side by side."""
        w, used = workload, self._bytes(workload)
        is_one_group = w.groups == w.input_bits == 1 and used % WORD_BYTES == 0
        rows, columns = w.window.taps
        is_dense = is_one_group and w.window.dilation_x == 1
        return (rows, columns * used) if is_dense else (rows, columns, used)

    def _tap(self, workload: BitserialConv2d, place: tuple[Expr, ...]) -> Tap:
        """The row, column and byte of the place along ``_steps``."""
        if len(place) == 3:
            ky, kx, byte = place
            return ky, kx, byte
        used = self._bytes(workload)
        return place[0], place[1] // used, place[1] % used

    @staticmethod
    def _bytes(workload: BitserialConv2d) -> int:
        """That hold a group's channels."""
        return -(-(workload.in_channels // workload.groups) // BYTE)

    def _channels(self, workload: BitserialConv2d) -> int:
        """Output channels of a vector of lanes."""
        channels = _lanes_of_group(workload)
        return next(n for n in (self._widest, ROW, LANES) if n <= self._widest and channels % n == 0)

    def _lanes(self, workload: BitserialConv2d) -> int:
        return ROW if self._is_halved(workload) else self._channels(workload)

    def _is_halved(self, workload: BitserialConv2d) -> bool:
        """Whether a vector looks both halves of a byte up for 16 channels."""
        return self._channels(workload) == LANES < self._widest

    @property
    def _widest(self) -> int:
        """Bytes of the CPU's widest vector that it can shuffle."""
        return 64 if "avx512bw" in self.cpu.flags else 32 if "avx2" in self.cpu.flags else 16


def _lanes_of_group(workload: BitserialConv2d) -> int:
    """Output channels of a group, with those that fill its vectors."""
    return vectors_of(workload).group.count * LANES


def _kinds(workload: BitserialConv2d) -> tuple[str, ...]:
    """The tables that a workload needs."""
    return tuple(dict.fromkeys(lookup.kind for lookup in _lookups(workload)))


def _lookups(workload: BitserialConv2d) -> list[Lookup]:
    """Those of the first sum."""
    return planes_of(workload).lookups(workload, 0)


@cache
def _tables(kinds: tuple[str, ...]) -> NDArray[np.uint8]:
    """The tables (kinds, 256, 32); the same array for all kernels, so that a network holds it once."""
    return np.stack([lookup_table(kind) for kind in kinds])

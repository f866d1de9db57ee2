"""A range coder: range asymmetric numeral systems (Duda, *Asymmetric numeral systems*, 2013, section 3).

A state x of 16 to 32 bits takes a symbol of frequency f, out of 2^t, in about t - log2(f) bits:
x -> floor(x / f) 2^t + c + x mod f, with c the sum of the frequencies before it. All sequences share a state,
so that only its end takes bytes of its own, and all numbers are whole: any machine reads the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.formats.coding.base import Coder, Part, Symbols, coders
from runtime.formats.coding.bits import BitReader, BitWriter, read_with_length, with_length
from search_spaces.errors import CodingError

LOW = 1 << 16
"""The least that a state is; it gives off 16 bits at a time."""
SCALES = range(1, 16)
"""Bits of the sum of all frequencies: log2 of it."""
SCALE_BITS = 4
FEWER = 4
"""By how many bits a scale may be less than what tells all counts: fewer frequencies are cheaper to tell."""


@dataclass(frozen=True)
class Table:
    """Frequencies (kinds,) whose sum is 2^scale; 0 for symbols that do not occur."""

    scale: int
    frequencies: NDArray[np.int64]

    def bits(self, counts: NDArray[np.int64]) -> float:
        """What so many of each symbol take; infinite where one of them has no frequency."""
        used = counts > 0
        if (self.frequencies[used] == 0).any():
            return float("inf")
        return float((counts[used] * (self.scale - np.log2(self.frequencies[used]))).sum())


class RangeCoder(Coder):
    """Within a fraction of a percent of the entropy, but for its tables: a sequence has its own or an earlier
    one's, whichever takes less."""

    def encode(self, parts: Sequence[Part], symbols: Sequence[Symbols]) -> bytes:
        """Tables, then the state's bits."""
        writer, known, chosen = BitWriter(), list[Table](), list[Table]()
        for part, own in zip(parts, symbols, strict=True):
            counts = np.bincount(own, minlength=part.kinds)
            chosen.append(_write_table(writer, counts, known))
        return with_length(writer.to_bytes()) + _encoded(symbols, chosen)

    def decode(self, parts: Sequence[Part], data: bytes) -> list[Symbols]:
        """What was encoded."""
        tables, start = read_with_length(data, 0)
        reader, known = BitReader(tables), list[Table]()
        chosen = [_read_table(reader, part, known) for part in parts]
        reader.end()
        return _decoded(parts, chosen, data[start:])


def _write_table(writer: BitWriter, counts: NDArray[np.int64], known: list[Table]) -> Table:
    """Write the table of a sequence, or which of those before it serves."""
    same = [(table.bits(counts), place) for place, table in enumerate(known) if _fits(table, len(counts))]
    own, taken = _best(counts)
    if same and min(same)[0] <= taken:
        place = min(same)[1]
        writer.count(place + 1)
        return known[place]
    writer.count(0)
    _describe(writer, own)
    known.append(own)
    return own


def _best(counts: NDArray[np.int64]) -> tuple[Table, float]:
    """The table that takes the fewest bits in all, and how many."""
    least = max(1, (int((counts > 0).sum()) - 1).bit_length())
    enough = max(least, int(counts.sum()).bit_length())
    scales = [scale for scale in SCALES if least <= scale and enough - FEWER <= scale <= enough]
    tables = [_scaled(counts, scale) for scale in scales or [SCALES[-1]]]
    bits = [table.bits(counts) + _described_bits(table) for table in tables]
    best = int(np.argmin(bits))
    return tables[best], bits[best]


def _scaled(counts: NDArray[np.int64], scale: int) -> Table:
    """Frequencies near the counts' shares, none of them 0 that must not be."""
    total = max(1, int(counts.sum()))
    found = np.where(counts > 0, np.maximum(1, (counts << scale) // total), 0)
    if not counts.any():
        found[0] = 1
    while (lacking := (1 << scale) - int(found.sum())) != 0:
        order = np.argsort(-found, kind="stable")
        if lacking > 0:  # rounded down: less than one for each, so the most frequent get it
            found[order[: min(lacking, int((found > 0).sum()))]] += 1
        else:
            large = order[found[order] > 1][:-lacking]
            found[large] -= 1
    return Table(scale, found)


def _describe(writer: BitWriter, table: Table) -> None:
    """The scale, and each frequency by how it differs from the one before."""
    writer.write(table.scale, SCALE_BITS)
    for step in np.diff(table.frequencies, prepend=0).tolist():
        writer.signed(step)


def _described_bits(table: Table) -> int:
    """What ``_describe`` writes."""
    steps = np.diff(table.frequencies, prepend=0)
    numbers = np.where(steps >= 0, 2 * steps, -2 * steps - 1) + 1
    return SCALE_BITS + int((2 * np.floor(np.log2(numbers)) + 1).sum())


def _read_table(reader: BitReader, part: Part, known: list[Table]) -> Table:
    which = reader.count()
    if which > 0:
        if which > len(known) or not _fits(known[which - 1], part.kinds):
            raise CodingError("it names a table that it does not have")
        return known[which - 1]
    scale = reader.read(SCALE_BITS)
    steps = [reader.signed() for _ in range(part.kinds)]
    found, frequency = [], 0
    for step in steps:
        frequency += step
        found.append(frequency)
    if scale not in SCALES or min(found) < 0 or sum(found) != 1 << scale:
        raise CodingError("its frequencies do not add up")
    known.append(Table(scale, np.array(found, np.int64)))
    return known[-1]


def _fits(table: Table, kinds: int) -> bool:
    return len(table.frequencies) == kinds


def _encoded(symbols: Sequence[Symbols], tables: Sequence[Table]) -> bytes:
    """The state, and the words that it gave off, the last one first: what is written last is read first."""
    state, words = LOW, list[int]()
    for own, table in zip(reversed(symbols), reversed(tables), strict=True):
        scale, frequencies = table.scale, table.frequencies.tolist()
        starts = (np.cumsum(table.frequencies) - table.frequencies).tolist()
        if 1 << scale in frequencies:  # the only symbol: it takes no bits
            continue
        room = LOW >> scale << 16
        for symbol in own[::-1].tolist():
            frequency = frequencies[symbol]
            if state >= room * frequency:
                words.append(state & 0xFFFF)
                state >>= 16
            state = state // frequency * (1 << scale) + starts[symbol] + state % frequency
    return state.to_bytes(4, "little") + np.array(words[::-1], "<u2").tobytes()


def _decoded(parts: Sequence[Part], tables: Sequence[Table], data: bytes) -> list[Symbols]:
    if len(data) < 4 or len(data) % 2:
        raise CodingError("its codes are cut short")
    state = int.from_bytes(data[:4], "little")
    words = np.frombuffer(data, "<u2", offset=4).tolist()
    found, place = list[Symbols](), 0
    if state < LOW:
        raise CodingError("its codes begin with no state")
    for part, table in zip(parts, tables, strict=True):
        scale, frequencies = table.scale, table.frequencies.tolist()
        if 1 << scale in frequencies:
            found.append(np.full(part.count, frequencies.index(1 << scale), np.int64))
            continue
        symbols = np.repeat(np.arange(part.kinds), table.frequencies).tolist()
        starts = (np.cumsum(table.frequencies) - table.frequencies).tolist()
        mask, own = (1 << scale) - 1, list[int]()
        try:
            for _ in range(part.count):
                slot = state & mask
                symbol = symbols[slot]
                own.append(symbol)
                state = frequencies[symbol] * (state >> scale) + slot - starts[symbol]
                if state < LOW:
                    state = state << 16 | words[place]
                    place += 1
        except IndexError:
            raise CodingError("its codes are cut short") from None
        found.append(np.array(own, np.int64))
    if state != LOW or place != len(words):
        raise CodingError("its codes do not end where they should")
    return found


coders.add("range", RangeCoder())

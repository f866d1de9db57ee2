"""Canonical Huffman codes, and sparse sequences by the gaps between what they hold, as Deep Compression does.

Han, Mao and Dally, *Deep Compression* (2016), section 2: of a pruned layer only what is not zero is stored,
each with the number of zeros before it, in 8 bits in convolutions and 5 in dense layers; a longer run of
zeros has a zero of its own put in between (figure 2). Section 4: both sequences are Huffman coded.
"""

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.formats.coding.base import Coder, Part, Symbols, coders
from runtime.formats.coding.bits import BitReader, BitWriter, read_with_length, with_length
from search_spaces.errors import CodingError

LONGEST = 15
"""Bits of a code: all of them are decoded by one table of 2^15 entries."""


class HuffmanCoder(Coder):
    """A whole number of bits a symbol; sparse sequences by their gaps, where that takes less."""

    def encode(self, parts: Sequence[Part], symbols: Sequence[Symbols]) -> bytes:
        """Tables, then all codes."""
        writer, runs = BitWriter(), list[NDArray[np.uint8]]()
        for part, own in zip(parts, symbols, strict=True):
            dense = [(own, part.kinds)]
            sequences = dense
            if part.zero is not None:
                sparse = _sparse(own, part)
                is_sparse = _cost(sparse) < _cost(dense)
                writer.write(int(is_sparse), 1)
                sequences = sparse if is_sparse else dense
                if is_sparse:
                    writer.count(len(sparse[0][0]))
            for each, kinds in sequences:
                lengths = code_lengths(np.bincount(each, minlength=kinds))
                _write_lengths(writer, lengths, int(each[0]) if len(each) else 0)
                runs.append(_bits_of(each, lengths))
        codes = np.packbits(np.concatenate([np.zeros(0, np.uint8), *runs]))
        return with_length(writer.to_bytes()) + codes.tobytes()

    def decode(self, parts: Sequence[Part], data: bytes) -> list[Symbols]:
        """What was encoded."""
        tables, start = read_with_length(data, 0)
        reader, stream = BitReader(tables), _Stream(data[start:])
        found = []
        for part in parts:
            if part.zero is None or not reader.read(1):
                found.append(stream.read(part.count, *_read_lengths(reader, part.kinds)))
                continue
            count = reader.count()
            if count > part.count:
                raise CodingError("it holds more weights than its layer has")
            values = stream.read(count, *_read_lengths(reader, part.kinds))
            gaps = stream.read(count, *_read_lengths(reader, 1 << part.gap_bits))
            found.append(_spread(part, values, gaps))
        reader.end()
        stream.end()
        return found


def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bits of each symbol's code (Huffman, 1952), 0 for those that do not occur, ``LONGEST`` at most.

    Where a code would be longer, counts are brought nearer to each other. An only symbol takes no bits.
    """
    counts = counts.astype(np.int64)
    while True:
        lengths = _unbounded_lengths(counts)
        if lengths.max(initial=0) <= LONGEST:
            return lengths
        counts = (counts + 1) // 2


def _unbounded_lengths(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    lengths = np.zeros(len(counts), np.int64)
    heap = [(int(counts[s]), int(s), [int(s)]) for s in np.flatnonzero(counts)]
    heapq.heapify(heap)
    while len(heap) > 1:
        first, _, low = heapq.heappop(heap)
        second, order, high = heapq.heappop(heap)
        lengths[low + high] += 1
        heapq.heappush(heap, (first + second, order, low + high))
    return lengths


def canonical_codes(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The code of each symbol, as its lengths alone give them (Schwartz and Kallick, 1964)."""
    codes, code, last = np.zeros(len(lengths), np.int64), 0, 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        length = int(lengths[symbol])
        if length:
            code <<= length - last
            codes[symbol], last = code, length
            code += 1
    return codes


def _cost(sequences: Sequence[tuple[Symbols, int]]) -> int:
    """Bits of the codes, without their tables."""
    found = 0
    for symbols, kinds in sequences:
        counts = np.bincount(symbols, minlength=kinds)
        found += int((counts * code_lengths(counts)).sum())
    return found


def _bits_of(symbols: Symbols, lengths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The codes of symbols, a bit a byte."""
    own = lengths[symbols]
    places = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
    codes = np.repeat(canonical_codes(lengths)[symbols], own)
    found: NDArray[np.uint8] = (codes >> (np.repeat(own, own) - 1 - places) & 1).astype(np.uint8)
    return found


def _sparse(symbols: Symbols, part: Part) -> list[tuple[Symbols, int]]:
    """What is not zero, with zeros between that break up long runs, and the number of zeros before each."""
    most = 1 << part.gap_bits
    held = np.flatnonzero(symbols != part.zero)
    gaps = np.diff(held, prepend=-1) - 1
    breaks = gaps // most  # each stands for most - 1 zeros and one of its own
    ends = np.cumsum(breaks + 1) - 1
    values = np.full(len(held) + int(breaks.sum()), part.zero, np.int64)
    found = np.full(len(values), most - 1, np.int64)
    values[ends], found[ends] = symbols[held], gaps % most
    return [(values, part.kinds), (found, most)]


def _spread(part: Part, values: Symbols, gaps: Symbols) -> Symbols:
    places = np.cumsum(gaps + 1) - 1
    if len(places) and places[-1] >= part.count:
        raise CodingError("its gaps lead beyond the end of its layer")
    found = np.full(part.count, part.zero, np.int64)
    found[places] = values
    return found


def _write_lengths(writer: BitWriter, lengths: NDArray[np.int64], first: int) -> None:
    """The lengths by how each differs from the one before; of an only symbol, which it is."""
    writer.write(int(not lengths.any()), 1)
    if not lengths.any():
        writer.count(first)
        return
    for step in np.diff(lengths, prepend=0).tolist():
        writer.signed(step)


def _read_lengths(reader: BitReader, kinds: int) -> tuple[NDArray[np.int64], int]:
    """The lengths, and the only symbol where there are none."""
    found, length = list[int](), 0
    if reader.read(1):
        only = reader.count()
        if only >= kinds:
            raise CodingError("its only code is of no symbol")
        return np.zeros(kinds, np.int64), only
    for _ in range(kinds):
        length += reader.signed()
        if not 0 <= length <= LONGEST:
            raise CodingError("a code is longer than any can be")
        found.append(length)
    lengths = np.array(found, np.int64)
    if (1 << LONGEST - lengths[lengths > 0]).sum() != 1 << LONGEST:
        raise CodingError("its codes do not tell symbols apart")
    return lengths, 0


class _Stream:
    """Codes one after the other, read by tables."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place, self._end = data + bytes(4), 0, 8 * len(data)

    def read(self, count: int, lengths: NDArray[np.int64], only: int) -> Symbols:
        """So many symbols; all are the ``only`` one where no code has a length."""
        used = np.flatnonzero(lengths)
        if not len(used):
            return np.full(count, only, np.int64)
        by_code = used[np.argsort(canonical_codes(lengths)[used] << LONGEST - lengths[used], kind="stable")]
        symbols = np.repeat(by_code, 1 << LONGEST - lengths[by_code]).tolist()
        bits, data, place, found = lengths.tolist(), self._data, self._place, list[int]()
        mask, end = (1 << LONGEST) - 1, self._end
        for _ in range(count):
            start = place >> 3
            window = int.from_bytes(data[start : start + 3], "big") >> 9 - (place & 7)
            symbol = symbols[window & mask]
            found.append(symbol)
            place += bits[symbol]
            if place > end:
                raise CodingError("its codes are cut short")
        self._place = place
        return np.array(found, np.int64)

    def end(self) -> None:
        """Refuse what is left."""
        if self._end - self._place >= 8:
            raise CodingError("it holds more codes than its layers have weights")


coders.add("huffman", HuffmanCoder())

"""Bits one after the other, the highest of each number first; for the tables of codes, not for the codes."""

from search_spaces.errors import CodingError

MOST_BITS = 63
"""Of a number that is read."""


class BitWriter:
    """Collects bits."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def __len__(self) -> int:
        return sum(map(len, self._bits))

    def write(self, value: int, count: int) -> None:
        """``count`` bits of a number below 2^count."""
        if count:
            self._bits.append(f"{value:0{count}b}")

    def count(self, value: int) -> None:
        """A number of 0 or more in about 2 log2 of it bits (Elias, 1975: gamma, of the number plus 1)."""
        length = (value + 1).bit_length()
        self._bits.append("0" * (length - 1) + f"{value + 1:b}")

    def signed(self, value: int) -> None:
        """The same of a number of either sign: 0, -1, 1, -2, 2, ..."""
        self.count(2 * value if value >= 0 else -2 * value - 1)

    def to_bytes(self) -> bytes:
        """All bits, with zeros up to a whole byte."""
        text = "".join(self._bits)
        size = -(-len(text) // 8)
        return int(text.ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")


class BitReader:
    """Gives back what a ``BitWriter`` collected.

    Raises, in each of its methods, CodingError where there are no bits left.
    """

    def __init__(self, data: bytes) -> None:
        self._text = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
        self._place = 0

    def read(self, count: int) -> int:
        """A number of so many bits."""
        if count == 0:
            return 0
        end = self._place + count
        if end > len(self._text):
            raise CodingError("a table is cut short")
        found = int(self._text[self._place : end], 2)
        self._place = end
        return found

    def count(self) -> int:
        """What ``BitWriter.count`` wrote."""
        one = self._text.find("1", self._place)
        length = one - self._place
        if one < 0 or length > MOST_BITS:
            raise CodingError("a table holds a number that is too large")
        self._place = one
        return self.read(length + 1) - 1

    def signed(self) -> int:
        """What ``BitWriter.signed`` wrote."""
        found = self.count()
        return found // 2 if found % 2 == 0 else -(found + 1) // 2

    def end(self) -> None:
        """Refuse what is left but for zeros up to a whole byte."""
        if len(self._text) - self._place >= 8 or "1" in self._text[self._place :]:
            raise CodingError("a table is longer than what it is of")


def varint(value: int) -> bytes:
    """A number of 0 or more, seven bits a byte, the lowest first (as in Protocol Buffers)."""
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """A number, and where what follows begins.

    Raises:
        CodingError: it is cut short or too large.
    """
    value = 0
    for shift in range(0, MOST_BITS, 7):
        if start >= len(data):
            break
        byte = data[start]
        start += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, start
    raise CodingError("a length is cut short")


def with_length(data: bytes) -> bytes:
    """Bytes behind their number."""
    return varint(len(data)) + data


def read_with_length(data: bytes, start: int) -> tuple[bytes, int]:
    """Bytes that stand behind their number, and where what follows begins.

    Raises:
        CodingError: there are fewer.
    """
    length, start = read_varint(data, start)
    if length > len(data) - start:
        raise CodingError("it is cut short")
    return data[start : start + length], start + length

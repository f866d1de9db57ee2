"""Coders give back what they were given, take what entropy says, and refuse bytes that no coder wrote."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.formats.coding import Part, coders, entropy_bits
from runtime.formats.coding.bits import BitReader, BitWriter, read_varint, varint
from runtime.formats.coding.huffman import canonical_codes, code_lengths
from search_spaces.errors import CodingError

CODINGS = ("range", "huffman")


@st.composite
def sequences(draw):
    """A part, and symbols of it: of any frequencies, all the same, or mostly zeros."""
    kinds = draw(st.integers(1, 40))
    count = draw(st.integers(0, 300))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    shares = rng.dirichlet(np.full(kinds, draw(st.sampled_from([0.05, 0.5, 5.0]))))
    zero = draw(st.none() | st.integers(0, kinds - 1))
    symbols = rng.choice(kinds, count, p=shares)
    if zero is not None and draw(st.booleans()):
        symbols[rng.random(count) < 0.97] = zero
    return Part(count, kinds, zero, draw(st.sampled_from([2, 5, 8]))), symbols


@pytest.mark.parametrize("coding", CODINGS)
@settings(max_examples=40, deadline=None)
@given(st.lists(sequences(), max_size=5))
def test_what_is_decoded_is_what_was_encoded(coding, given_sequences):
    parts, symbols = [part for part, _ in given_sequences], [own for _, own in given_sequences]
    data = coders.get(coding).encode(parts, symbols)
    for found, own in zip(coders.get(coding).decode(parts, data), symbols, strict=True):
        np.testing.assert_array_equal(found, own)


@pytest.mark.parametrize("coding", CODINGS)
@settings(max_examples=60, deadline=None)
@given(st.lists(sequences(), min_size=1, max_size=3), st.data())
def test_bytes_of_no_coder_are_refused_or_give_symbols(coding, given_sequences, data):
    """Never another error, and never a symbol that there is not."""
    parts, symbols = [part for part, _ in given_sequences], [own for _, own in given_sequences]
    good = bytearray(coders.get(coding).encode(parts, symbols))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(good) - 1))
        good[place] = data.draw(st.integers(0, 255))
    bad = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        found = coders.get(coding).decode(parts, bad)
    except CodingError:
        return
    for part, own in zip(parts, found, strict=True):
        assert len(own) == part.count
        assert part.count == 0 or (own.min() >= 0 and own.max() < part.kinds)


def weights_of_layers(rng):
    """Like a network's: steps of int8, ternary codes, signs, and few that are not zero."""
    for count in (20_000, 40_000):
        normal = rng.standard_normal(count)
        yield Part(count, 255), np.clip(np.rint(normal * 40), -127, 127).astype(int) + 127
        yield Part(count, 3, zero=1), rng.choice(3, count, p=[0.1, 0.75, 0.15])
        yield Part(count, 2), rng.integers(0, 2, count)
        yield Part(count, 17, zero=8), np.where(rng.random(count) < 0.9, 8, rng.integers(0, 17, count))


def test_the_range_coder_takes_what_entropy_says():
    parts, symbols = zip(*weights_of_layers(np.random.default_rng(0)), strict=True)
    data = coders.get("range").encode(parts, symbols)
    least = sum(map(entropy_bits, symbols)) / 8
    assert least < len(data) <= 1.02 * least


def test_huffman_takes_less_than_a_bit_more_for_each_code():
    parts, symbols = zip(*weights_of_layers(np.random.default_rng(0)), strict=True)
    dense = [Part(part.count, part.kinds) for part in parts]
    taken = [8 * len(coders.get("huffman").encode([p], [s])) for p, s in zip(parts, symbols, strict=True)]
    for part, own, bits in zip(parts, symbols, taken, strict=True):
        tables = 8 * 3 + part.kinds * 5 + (1 << part.gap_bits) * 5
        assert entropy_bits(own) <= bits <= entropy_bits(own) + part.count + tables
    sparse = len(coders.get("huffman").encode(parts, symbols))
    assert sparse < len(coders.get("huffman").encode(dense, symbols)), "gaps pay where most codes are zero"


def test_huffman_codes_are_canonical():
    """Sayood, *Introduction to Data Compression*, example 3.2.1: lengths 1, 2, 3, 4 and 4 of five letters."""
    lengths = code_lengths(np.array([4, 2, 2, 1, 1]))
    assert (lengths * [4, 2, 2, 1, 1]).sum() == 22  # 2.2 bits a letter
    codes = canonical_codes(np.array([2, 1, 3, 3]))
    assert [f"{c:0{n}b}" for c, n in zip(codes, (2, 1, 3, 3), strict=True)] == ["10", "0", "110", "111"]


def test_no_code_is_longer_than_its_table():
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = code_lengths(np.array(fibonacci))
    assert lengths.max() <= 15
    assert (1 << 15 - lengths).sum() == 1 << 15


@given(st.lists(st.integers(-(1 << 30), 1 << 30), max_size=20))
def test_numbers_come_back(numbers):
    writer = BitWriter()
    for number in numbers:
        writer.signed(number)
        writer.write(abs(number) % 8, 3)
    reader = BitReader(writer.to_bytes())
    for number in numbers:
        assert reader.signed() == number
        assert reader.read(3) == abs(number) % 8
    reader.end()
    for number in map(abs, numbers):
        assert read_varint(b"x" + varint(number), 1) == (number, 1 + len(varint(number)))

"""How codes are laid out in memory for the kernels, in numpy: once, when a network is compiled.

Signs are bits: 1 stands for -1 and 0 for +1, as in the sign bit of a float. Bits and two-bit codes fill
uint32 words from the lowest bit up; the unused bits of a last word are zero.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
WORD = 32
QUAD = 4  # bytes that one dot product instruction multiplies


def words(count: int, bits: int = 1) -> int:
    """How many uint32 words hold ``count`` codes of ``bits`` bits."""
    return -(-count * bits // WORD)


def quads(count: int) -> int:
    """How many groups of four hold ``count`` bytes."""
    return -(-count // QUAD)


def pack_quads(weight: Array, lanes: int) -> NDArray[np.int8]:
    """Weights in int8 (O, C, K, K) -> (O / lanes, K, K, quads(C), lanes, 4); missing channels are zero."""
    arranged = lane_layout(weight.astype(np.int8), lanes)  # (O / lanes, K, K, C, lanes)
    *outer, channels, _ = arranged.shape
    padded = np.zeros((*outer, quads(channels) * QUAD, lanes), np.int8)
    padded[..., :channels, :] = arranged
    return np.ascontiguousarray(padded.reshape(*outer, -1, QUAD, lanes).swapaxes(-1, -2))


def pack_ternary_quads(weight: Array, lanes: int) -> NDArray[np.uint32]:
    """Weights in {-1, 0, +1} (O, C, K, K) -> (O / lanes, words, lanes), four quads in a word.

    Byte k of a word holds channel k of four quads, in two bits each, as two's complement.
    """
    quad_codes = pack_quads(weight, lanes).view(np.uint8) & 3  # (O / lanes, K, K, quads, lanes, 4)
    vectors, count = len(quad_codes), int(np.prod(quad_codes.shape[1:4]))
    padded = np.zeros((vectors, quads(count) * QUAD, lanes, QUAD), np.uint32)
    padded[:, :count] = quad_codes.reshape(vectors, count, lanes, QUAD)
    by_word = padded.reshape(vectors, -1, QUAD, lanes, QUAD)
    shifts = 2 * np.arange(QUAD)[:, None, None] + 8 * np.arange(QUAD)
    return np.asarray((by_word << shifts.astype(np.uint32)).sum(axis=(2, 4)), np.uint32)


def pack_codes(codes: Array, bits: int) -> NDArray[np.uint32]:
    """Pack unsigned codes along the last axis: (..., K) -> (..., words(K, bits))."""
    per_word = WORD // bits
    *outer, count = codes.shape
    padded = np.zeros((*outer, words(count, bits) * per_word), np.uint32)
    padded[..., :count] = codes
    shifts = (np.arange(per_word, dtype=np.uint32) * bits).astype(np.uint32)
    grouped = padded.reshape(*outer, -1, per_word) << shifts
    return np.asarray(np.bitwise_or.reduce(grouped, axis=-1), np.uint32)


def pack_signs(values: Array) -> NDArray[np.uint32]:
    """Pack the signs of values in {-1, +1} along the last axis; -1 becomes a set bit."""
    return pack_codes(values < 0, 1)


def lane_layout(weight: Array, lanes: int) -> Array:
    """Convolution weights (O, C, K, K) -> (O / lanes, K, K, C, lanes), one vector of output channels last."""
    out_channels, in_channels, height, width = weight.shape
    vectors = weight.reshape(out_channels // lanes, lanes, in_channels, height, width)
    return np.ascontiguousarray(vectors.transpose(0, 3, 4, 2, 1))


def lane_vectors(values: Array, lanes: int) -> Array:
    """Numbers per output channel (O,) -> (O / lanes, lanes)."""
    return np.ascontiguousarray(values.reshape(-1, lanes))


def pack_lane_codes(codes: Array, bits: int) -> NDArray[np.uint32]:
    """Pack lane-layout codes (O / lanes, K, K, C, lanes) along K*K*C -> (O / lanes, words, lanes)."""
    vectors, *_, lanes = codes.shape
    flat = codes.reshape(vectors, -1, lanes).transpose(0, 2, 1)
    return np.ascontiguousarray(pack_codes(flat, bits).transpose(0, 2, 1))


def level_planes(values: Array, bits: int) -> Array:
    """Levels -(2^n - 1), ..., -1, +1, ..., 2^n - 1 as n planes of signs, the lowest first: (n, ...)."""
    raised = (values.astype(np.int64) + (1 << bits) - 1) >> 1  # 0 to 2^n - 1
    return np.stack([2 * ((raised >> plane) & 1) - 1 for plane in range(bits)])


def pack_levels(values: Array, bits: int) -> NDArray[np.uint32]:
    """Pack levels along the last axis: (..., K) -> (..., words, bits)."""
    return np.ascontiguousarray(np.stack([pack_signs(p) for p in level_planes(values, bits)], axis=-1))


def pack_bitserial_levels(weight: Array, bits: int, lanes: int) -> NDArray[np.uint32]:
    """Weights in levels (O, C, K, K) -> (O / lanes, K, K, words(C), bits, lanes)."""
    planes = [pack_bitserial_binary(plane, lanes) for plane in level_planes(weight, bits)]
    return np.ascontiguousarray(np.concatenate(planes, axis=-2))


def pack_bitserial_binary(weight: Array, lanes: int) -> NDArray[np.uint32]:
    """Weights in {-1, +1} (O, C, K, K) -> (O / lanes, K, K, words(C), 1, lanes)."""
    packed = pack_signs(weight.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)  # (O, words, K, K)
    return np.ascontiguousarray(lane_layout(packed, lanes)[..., None, :])


def pack_bitserial_symmetric(weight: Array, lanes: int) -> NDArray[np.uint32]:
    """Weights in {-1, 0, +1} (O, C, K, K) -> (O / lanes, K, K, words(C), 2, lanes): where not 0, where -1."""
    last = weight.transpose(0, 2, 3, 1)
    planes = [pack_codes(bits, 1).transpose(0, 3, 1, 2) for bits in (last != 0, last < 0)]
    return np.ascontiguousarray(np.stack([lane_layout(plane, lanes) for plane in planes], axis=-2))


def pack_bitserial_ternary(weight: Array, lanes: int) -> NDArray[np.uint32]:
    """Weights in {-1, 0, +1} (O, C, K, K) -> (O / lanes, K, K, words(C), 2, lanes): where +1, where -1."""
    last = weight.transpose(0, 2, 3, 1)
    planes = [lane_layout(pack_codes(last == sign, 1).transpose(0, 3, 1, 2), lanes) for sign in (1, -1)]
    return np.ascontiguousarray(np.stack(planes, axis=-2))


def ternary_codes(values: Array) -> Array:
    """{0, +1, -1} as the two-bit codes 0, 1, 2."""
    return np.where(values < 0, 2, values).astype(np.uint32)

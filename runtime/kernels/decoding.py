"""Decodes packed two-bit and one-bit weights into floats, once a call, for kernels with float inputs."""

from typing import Any


def decode_codes(packed: Any, positive: Any, negative: Any, bits: int, taps: tuple[int, ...]) -> Any:
    """Packed codes (O/lanes, words, lanes) -> float weights of shape ``taps`` (O/lanes, K, K, C, lanes).

    Two-bit codes 0, 1, 2 stand for 0, +W^p, -W^n (TTQ, equation 1); one-bit codes 0, 1 for the latter two.
    """
    from tvm import te, tirx

    _, kernel, _, depth, _ = taps
    per_word = 32 // bits

    def decoded(o: Any, ky: Any, kx: Any, c: Any, i: Any) -> Any:
        position = (ky * kernel + kx) * depth + c
        shifted = packed[o, position // per_word, i] >> (position % per_word * bits).astype("uint32")
        code = shifted & tirx.const((1 << bits) - 1, "uint32")
        is_one, plus, minus = code == tirx.const(1, "uint32"), positive[o, i], -negative[o, i]
        if bits == 1:
            return tirx.Select(is_one, minus, plus)
        unless_plus = tirx.Select(code == tirx.const(2, "uint32"), minus, tirx.const(0, "float32"))
        return tirx.Select(is_one, plus, unless_plus)

    return te.compute(taps, decoded, name="decoded")

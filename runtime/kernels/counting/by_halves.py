"""Counting in words, whose halves are summed apart: see ``runtime.kernels.half_sums``."""

from runtime.kernels import packing
from runtime.kernels.counting.by_words import WordCounting
from runtime.kernels.covering import vectors_of
from runtime.kernels.half_sums import MOST_WORDS, REGISTER, both_halves, half_sum
from runtime.tvm_types import Expr, IterVar
from runtime.workload import BitserialConv2d


class HalfCounting(WordCounting):
    """Weights, the image and tiles are those of words; only the sums are others."""

    def fits(self, workload: BitserialConv2d) -> bool:
        """Whether lanes fill registers, and the bits of half a window's words fit 16 bits."""
        w = workload
        words = w.window.count * packing.words(w.in_channels // w.groups)
        return vectors_of(w).width % REGISTER == 0 and words <= MOST_WORDS

    def summed(self, word: Expr, axis: list[IterVar]) -> Expr:
        """The bits of both halves apart."""
        return half_sum(self.cpu.bit_count, word, axis)

    def number(self, summed: Expr) -> Expr:
        """Those of both halves together."""
        return both_halves(summed)

"""Entropy coding of weights: whole numbers become bytes, as few as their frequencies allow, and come back."""

from runtime.formats.coding.base import Coder, Part, coders, entropy_bits
from runtime.formats.coding.huffman import HuffmanCoder
from runtime.formats.coding.rans import RangeCoder

__all__ = ["Coder", "HuffmanCoder", "Part", "RangeCoder", "coders", "entropy_bits"]

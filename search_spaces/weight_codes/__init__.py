"""The weight codes, one module a code; importing this package registers them all, and no torch."""

from search_spaces.weight_codes import binary, dorefa, float32, int8, lq, ternary
from search_spaces.weight_codes.base import Coded, CodeSet, Inputs, Term, WeightCode, weight_codes

__all__ = [
    "CodeSet",
    "Coded",
    "Inputs",
    "Term",
    "WeightCode",
    "binary",
    "dorefa",
    "float32",
    "int8",
    "lq",
    "ternary",
    "weight_codes",
]

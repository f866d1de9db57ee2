"""What a coder is: it writes several sequences of symbols as one run of bytes, and reads them back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.registry import Registry

Symbols = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A sequence as its reader knows it before it is read.

    Attributes:
        count: symbols in it.
        kinds: symbols are 0 to ``kinds - 1``.
        zero: the symbol that a sparse code skips; None where there is none.
        gap_bits: in how many bits the published sparse code counts what it skips.
    """

    count: int
    kinds: int
    zero: int | None = None
    gap_bits: int = 8


class Coder(ABC):
    """Writes and reads sequences of symbols. Coders hold no state."""

    @abstractmethod
    def encode(self, parts: Sequence[Part], symbols: Sequence[Symbols]) -> bytes:
        """The sequences, each as its part says."""

    @abstractmethod
    def decode(self, parts: Sequence[Part], data: bytes) -> list[Symbols]:
        """What was given to ``encode``, from all of its bytes.

        Raises:
            CodingError: these bytes were not written so.
        """


coders: Registry[Coder] = Registry("coding", "coders", ("runtime.formats.coding",))


def entropy_bits(symbols: NDArray[Any]) -> float:
    """The bits that symbols take at least where each is coded by its frequency alone: n H (Shannon, 1948)."""
    _, counts = np.unique(symbols, return_counts=True)
    return float((counts * np.log2(counts.sum() / counts)).sum())

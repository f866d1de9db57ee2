"""When a space asks for a choice: rules learned from draws, as building candidates to find out is slow."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int16]
"""Choices as whole numbers (n, c): 0 where a choice is dormant, else 1 and more by its options."""
Mask = npt.NDArray[np.bool_]

_LEAST_GAIN = 1e-9


@dataclass(frozen=True)
class Rule:
    """A decision tree: whether a choice is asked for, given what was chosen in those before it.

    ``column`` is the choice that decides, ``by_code`` the rule for each of its codes; a leaf has neither, and
    tells ``is_asked``.
    """

    is_asked: bool
    column: int = -1
    by_code: tuple["Rule", ...] = ()

    def __call__(self, codes: Codes) -> Mask:
        """For each row of codes (n, c): (n,)."""
        if self.column < 0:
            return np.full(len(codes), self.is_asked)
        decides = codes[:, self.column]
        found = self._leaves[decides]
        for code, rule in self._branches:  # of all rows, as picking those that it is for takes longer
            np.copyto(found, rule(codes), where=decides == code)
        return found

    @cached_property
    def _leaves(self) -> Mask:
        return np.array([rule.is_asked for rule in self.by_code])

    @cached_property
    def _branches(self) -> list[tuple[int, "Rule"]]:
        return [(code, rule) for code, rule in enumerate(self.by_code) if rule.column >= 0]


def learned(codes: Codes, sizes: npt.NDArray[np.int64]) -> list[Rule]:
    """A rule for each column, which looks at the columns before it only.

    Args:
        codes: draws (n, c), their columns in an order in which they are asked for.
        sizes: how many options each column has (c,).
    """
    one_hot = np.concatenate(
        [codes[:, [column]] == np.arange(size + 1) for column, size in enumerate(sizes)], axis=1
    ).astype(np.float64)
    ends = np.cumsum(sizes + 1)
    return [
        _grown(one_hot[:, : ends[column - 1] if column else 0], ends, codes[:, column] > 0)
        for column in range(codes.shape[1])
    ]


def _grown(one_hot: npt.NDArray[np.float64], ends: npt.NDArray[np.int64], is_asked: Mask) -> Rule:
    """Split by the column that tells most, until all rows of a leaf agree."""
    share = float(is_asked.mean()) if len(is_asked) else 0.0
    leaf = Rule(share > 0.5)
    if share in (0.0, 1.0) or not one_hot.shape[1]:
        return leaf
    starts = np.concatenate([[0], ends[:-1]])
    columns = int(np.searchsorted(ends, one_hot.shape[1], side="right"))
    count, asked = one_hot.sum(axis=0), is_asked @ one_hot
    impurity = np.add.reduceat(asked * (count - asked) / np.maximum(count, 1), starts[:columns])
    best = int(np.argmin(impurity))
    if impurity[best] > len(is_asked) * share * (1 - share) - _LEAST_GAIN:
        return leaf
    rows_of: Callable[[int], Mask] = lambda place: one_hot[:, place] > 0  # noqa: E731 - told a name for its type
    branches = (
        _grown(one_hot[rows_of(place)], ends, is_asked[rows_of(place)]) if count[place] else leaf
        for place in range(starts[best], ends[best])
    )
    return Rule(leaf.is_asked, best, tuple(branches))

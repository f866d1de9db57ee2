"""Sizes for rows and columns: one number where both agree, or two."""

from typing import TypeVar

from search_spaces.errors import InvalidInput

Pair = int | tuple[int, int]
"""Of rows and of columns; a number where both agree."""

Numbers = TypeVar("Numbers", bound=tuple[int, ...])


def pair(name: str, given: Pair, least: int) -> tuple[int, int]:
    """Of rows and of columns.

    Raises:
        InvalidInput: it is neither a number of ``least`` or more nor two.
    """
    rows, columns = given if isinstance(given, tuple) and len(given) == 2 else (given, given)
    if not isinstance(rows, int) or not isinstance(columns, int) or min(rows, columns) < least:
        problem = f"{given!r} is not one or two whole numbers of {least} or more"
        raise InvalidInput(name, problem, "give rows and columns, or one number for both")
    return rows, columns


def short(given: Numbers) -> int | Numbers:
    """One number where all agree."""
    return given[0] if len(set(given)) == 1 else given

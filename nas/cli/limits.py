"""Limits as they are typed: 0.4ms, 400us, or 0.5x of what the median architecture of a space takes."""

import math
import re
from typing import Any, NamedTuple

import click

_MILLISECONDS = {"": 1.0, "ms": 1.0, "us": 1e-3, "\u00b5s": 1e-3, "\u03bcs": 1e-3, "s": 1e3}
LEAST = 1e-9  # less is no limit that anything keeps
_LIMIT = re.compile(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z\u00b5\u03bc%]*)\s*", re.IGNORECASE)


class LatencyLimit(NamedTuple):
    """A limit in milliseconds, or as a share of the median of a space; the other is None."""

    milliseconds: float | None
    share: float | None


class LatencyLimitType(click.ParamType[LatencyLimit]):
    """Reads ``0.5x``, ``0.4ms``, ``400us``; a number alone is in milliseconds."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> LatencyLimit:
        """What the text says; a click error where it says nothing."""
        if isinstance(value, LatencyLimit):
            return value
        found = _LIMIT.fullmatch(str(value))
        number, unit = (_number(found[1]), found[2].lower()) if found else (None, "")
        if number is None or (unit != "x" and unit not in _MILLISECONDS):
            example = "give a time, such as 0.4ms or 400us, or a share of the space's median, such as 0.5x"
            self.fail(f"'{value}' is no limit of latency; {example}", param, ctx)
        if unit == "x":
            return LatencyLimit(None, number)
        return LatencyLimit(number * _MILLISECONDS[unit], None)


def _number(text: str) -> float | None:
    """A finite number that is not absurdly small."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= LEAST else None

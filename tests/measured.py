"""Measurements that tests make up."""

from typing import Any

from latency import Conditions, Measurement


def timed(milliseconds: float, spread: float = 0.0, samples: int = 12, **conditions: Any) -> Measurement:
    """A time whose samples' interquartile range is that share of it."""
    date = "2026-01-01T00:00:00+00:00"
    return Measurement(
        milliseconds, spread * milliseconds, samples, date, "0", conditions=Conditions(**conditions)
    )


def disturbed(milliseconds: float) -> Measurement:
    """A time that the machine's noise made worthless."""
    return timed(milliseconds, spread=0.7, samples=4, disturbed=34)

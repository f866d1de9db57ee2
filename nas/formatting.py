"""How figures are shown to people: shares, milliseconds, kilobytes, counts; nothing else rounds."""

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

MISSING = "—"  # a figure that is not there; the trial's state says why


def percent(accuracy: float | None) -> str:
    """Such as ``97.2%``."""
    return MISSING if accuracy is None else f"{accuracy:.1%}"


def spread(accuracies: Sequence[float]) -> str:
    """Of repeated trainings, such as ``97.2% +- 0.4% (3 trainings)``: mean and sample deviation."""
    return f"{fmean(accuracies):.1%} ± {stdev(accuracies):.1%} ({len(accuracies)} trainings)"


def milliseconds(value: float | None) -> str:
    """Three digits that count, and never a power of ten: 0.00412, 0.110, 12.3, 153, 1530."""
    if value is None:
        return MISSING
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}" if value >= 1e-4 else f"{value:.6f}"


def interval(low: float | None, high: float | None) -> str:
    """Such as ``0.147 to 0.152``; nothing where there is none."""
    return "" if low is None or high is None else f"{milliseconds(low)} to {milliseconds(high)}"


def kilobytes(value: float | None) -> str:
    """Such as ``12.35``: two decimals."""
    return MISSING if value is None else f"{value:.2f}"


def lasting(seconds: float) -> str:
    """Such as ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def counted(count: int, noun: str) -> str:
    """Such as ``1 kernel`` and ``3 kernels``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def numbered(noun: str, numbers: Iterable[int]) -> str:
    """Such as ``trial 0`` and ``trials 0, 3``."""
    told = [str(number) for number in numbers]
    return f"{noun} {told[0]}" if len(told) == 1 else f"{noun}s {', '.join(told)}"


def told_setting(value: Any) -> str:
    """A setting as it is typed, more or less."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={told_setting(option)}" for name, option in value.items()) or "none"
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)

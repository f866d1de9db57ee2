"""The reference kernel: always the same work, so that a change of its time is a change of the machine."""

from pathlib import Path

from runtime.workload import Conv2d, Workload

REFERENCE: Workload = Conv2d(1, 14, 14, 1, 1, 0, 64, 64, 1, "float", "float")
"""A 1x1 convolution of 64 channels on 14x14 pixels."""


def compile_reference(target: str, library: Path) -> str:
    """Compile it in its most promising schedule; the function's name."""
    from runtime.assembly import link_schedules

    (names,) = link_schedules([REFERENCE], target, 1, library)
    return next(iter(names.values()))

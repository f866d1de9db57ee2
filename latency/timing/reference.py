"""The reference: always the same work, so that a change of its time is a change of the machine.

It does what networks do and what neighbours on a core disturb: arithmetic on data that fit the caches, and
much code that is run through but once.
"""

from pathlib import Path

from runtime.workload import Conv2d, Workload

PROTOCOL = 2
"""Raised when the reference or the way of measuring changes: times by another one are not comparable."""

ARITHMETIC: Workload = Conv2d(1, 7, 7, 1, 1, 0, 64, 64, 1, "float", "float")
"""A 1x1 convolution of 64 channels on 7x7 pixels."""

CODE = tuple(Conv2d(1, 4, 4, 1, 1, 0, 16, 16 * n, 4, "ternary", "float") for n in range(1, 13))
"""1x1 convolutions of 16 channels in 4 groups, unrolled: some 25 kB of code on x86-64."""

REFERENCE: tuple[Workload, ...] = (ARITHMETIC, *CODE)
ENTRY = "reference"


def compile_reference(target: str, library: Path) -> str:
    """Compile it, each kernel in its most promising schedule; the function's name."""
    from runtime.codegen.timed_kernels import link_sequence

    link_sequence(REFERENCE, target, ENTRY, library)
    return ENTRY

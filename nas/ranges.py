"""Refuses numbers that are out of range, in one line."""

from search_spaces.errors import InvalidInput

Range = tuple[float, float]
"""The least and the greatest number that are taken."""

TRAINING: dict[str, Range] = {
    "epochs": (1, 100_000),
    "rate": (1e-9, 1e3),
    "distillation": (0, 1),
    "seed": (0, 2**32 - 1),
}
"""Of what commands ask for that train on what they have changed."""


def check_ranges(settings: object, **ranges: Range) -> None:
    """InvalidInput where an attribute of the settings is out of the range of that name; None is in all."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:  # NaN is in no range
            raise InvalidInput(name, f"{value:g} is out of range", f"give {low:.10g} to {high:.10g}")

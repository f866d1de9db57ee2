"""What commands see that tests start: none of the user's settings, and hardly any patience."""

import os

PATIENCE = {"NAS_PATIENCE": "0.5"}
"""Tests ask whether a time is there and used, not whether it is exact."""


def clean_environment(**more: str) -> dict[str, str]:
    """Variables for a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
    return {**kept, **PATIENCE, **more}

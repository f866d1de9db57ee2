"""How long to wait for a machine that others use to become quiet; NAS_PATIENCE says otherwise."""

import math
import os

from search_spaces.errors import InvalidInput

PATIENCE_VARIABLE = "NAS_PATIENCE"
DEFAULT_PATIENCE_S = 20.0


def patience_s() -> float:
    """Seconds that one measurement may wait, and that may go into batches that are rejected.

    Raises:
        InvalidInput: the variable is not a number of seconds.
    """
    given = os.environ.get(PATIENCE_VARIABLE)
    if not given:
        return DEFAULT_PATIENCE_S
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= 0):
        raise InvalidInput(
            PATIENCE_VARIABLE,
            f"'{given}' is no number of seconds",
            f"unset it, or give 0 to {DEFAULT_PATIENCE_S:g}",
        )
    return found


def affordable(pauses: tuple[float, ...]) -> tuple[float, ...]:
    """As many of the pauses, in seconds, as patience lasts for."""
    left, found = patience_s(), list[float]()
    for pause in pauses:
        left -= pause
        if left < 0:
            break
        found.append(pause)
    return tuple(found)

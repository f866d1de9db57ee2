"""The conditions that a time was measured in: typed here, JSON in tables, files and messages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeGuard

MAX_VALUE = 1e6
"""No time in milliseconds, share or count of these is as large."""

FORMER_KEYS = {"visits": "rounds", "briefly": "brief"}
"""Names that rows of older ledgers have, and what they are called now."""


@dataclass(frozen=True)
class Conditions:
    """How the device was while something was timed; None where it is not known.

    Attributes:
        median_ms: the median of the samples.
        disturbed: how many samples the reference says were disturbed.
        reference_ms: what the reference took beside the samples that count.
        usual_ms: what the reference takes at the speed that the time is given for.
        drift: by what share the device was slower than usual, not corrected for; None unless it was so for
            too long to wait.
        waited: the share of the batch's time in which others had the core, as the system tells.
        brief: whether few samples and few ways of making the kernel were taken.
        rounds: how often the same was measured, at different times.
        repeats_ms: the times of those rounds that were not disturbed, the lowest first.
        governor: the policy that chooses the clock.
        frequency_mhz: the clock of the core.
        load: processes that wanted to run, over the last minute.
        affinity: the cores that the process was kept to.
        space: the search space that a whole network is of.
    """

    median_ms: float | None = None
    disturbed: int = 0
    reference_ms: float | None = None
    usual_ms: float | None = None
    drift: float | None = None
    waited: float | None = None
    brief: bool = False
    rounds: int = 1
    repeats_ms: tuple[float, ...] = ()
    governor: str | None = None
    frequency_mhz: int | None = None
    load: float | None = None
    affinity: str | None = None
    space: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; what is not known is left out."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        known = {f.name: found[f.name] for f in fields(self) if found[f.name] != f.default}
        return {**known, "repeats_ms": list(self.repeats_ms)} if self.repeats_ms else known

    @classmethod
    def from_dict(cls, found: Mapping[str, Any] | None) -> "Conditions":
        """From JSON, of an older version, too: keys that are missing or unknown do no harm.

        Raises:
            ValueError: something that is computed with is no number of its kind; the message names it.
        """
        named = {FORMER_KEYS.get(key, key): value for key, value in (found or {}).items()}
        known = {
            name: read(name, named[name]) for name, read in READERS.items() if named.get(name) is not None
        }
        return cls(**known)


def _time(name: str, value: object) -> float:
    if not _is_number(value) or not 0 < value < MAX_VALUE:
        raise ValueError(f"{name} is no time")
    return float(value)


def _share(name: str, value: object) -> float:
    if not _is_number(value) or not 0 <= value < MAX_VALUE:
        raise ValueError(f"{name} is no share or number")
    return float(value)


def _count(name: str, value: object) -> int:
    return int(_share(name, value))


def _times(name: str, value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} are no times")
    return tuple(_time(name, each) for each in value)


def _shown_text(_name: str, value: object) -> str | None:
    return value if isinstance(value, str) else None


def _shown_number(_name: str, value: object) -> float | None:
    return value if _is_number(value) else None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


READERS: Mapping[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(("median_ms", "reference_ms", "usual_ms"), _time),
    **dict.fromkeys(("drift", "waited"), _share),
    **dict.fromkeys(("disturbed", "rounds"), _count),
    "brief": lambda _, value: bool(value),
    "repeats_ms": _times,
    **dict.fromkeys(("governor", "affinity", "space"), _shown_text),
    **dict.fromkeys(("frequency_mhz", "load"), _shown_number),
}
"""How each is read: what is computed with is checked; what is only shown is left out where it is nonsense."""

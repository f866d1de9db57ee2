"""What is recorded of a worker that was lost in a trial, and when that speaks against the trial."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum, StrEnum
from typing import Any, Self

from nas.formatting import counted

MAX_OWN = 3
"""A trial that ends its worker this often (a crash in compiled code, say) is given up."""
LAST_AFTER, MAX_UNKNOWN = 3, 10
"""After so many workers that were lost at one and the same point of it, nobody knows why, a trial is tried
after all others, and is given up."""


class Cause(StrEnum):
    """Who is to blame that a worker was lost."""

    OWN = "own"
    """The trial: the worker crashed, exited, or took more memory than there is."""
    OUTSIDE = "outside"
    """Never the trial: somebody ended the worker, the process that started it is gone, or its machine."""
    UNKNOWN = "unknown"
    """It was killed, or its lease ran out. Who did that cannot be told."""


class Doubt(IntEnum):
    """How far the losses speak against a trial; the ledger keeps the number."""

    NONE = 0
    LAST = 1
    """It is tried when there is no other trial to run."""
    GIVEN_UP = 2


THEN = {
    Doubt.NONE: "it is tried again by another",
    Doubt.LAST: "it is tried again after all others",
    Doubt.GIVEN_UP: "it is given up",
}
"""What becomes of the trial, in words."""


@dataclass(frozen=True)
class Loss:
    """One worker that was lost in a trial.

    Attributes:
        worker: which, as ``nas.ledger.workers.Worker.to_text`` has it.
        point: how many epochs of the trial were done, None where it was being timed.
        cause: who is to blame.
        how: in words, how the worker ended.
    """

    worker: str
    point: int | None
    cause: Cause
    how: str

    def to_dict(self) -> dict[str, Any]:
        """For a column of JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """What ``to_dict`` gave."""
        return cls(**{**fields, "cause": Cause(fields["cause"])})


def doubt(losses: Sequence[Loss]) -> Doubt:
    """What becomes of a trial in which these workers were lost, one after the other.

    A worker that comes back after its lease ran out, and loses the trial again, counts once.
    """
    own = sum(loss.cause is Cause.OWN for loss in losses)
    places = {(loss.point, loss.worker) for loss in losses if loss.cause is Cause.UNKNOWN}
    again = max(Counter(point for point, _ in places).values(), default=0)
    if own >= MAX_OWN or again >= MAX_UNKNOWN:
        return Doubt.GIVEN_UP
    return Doubt.LAST if again >= LAST_AFTER else Doubt.NONE


def told(losses: Iterable[Loss]) -> str:
    """In one line, how often and how the workers of a trial were lost: it is the trial's error."""
    how = Counter(loss.how for loss in losses)
    times = (f"{each} ({count} times)" if count > 1 else each for each, count in how.items())
    return f"its worker died {counted(how.total(), 'time')} in this trial: {', '.join(times)}"

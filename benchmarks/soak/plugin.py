"""The plug-in of the searches: trials of a few hundredths of a second, and a side log of what workers do.

Each event is a line that is on the disk (fsync) before the worker goes on: ``claimed`` once the ledger has
given a trial, ``result`` before the evaluator hands one over, ``acknowledged`` once the ledger has committed
it. So whoever was killed meanwhile has left what must be true of the ledger.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping
from functools import wraps
from typing import Any

import nas
from benchmarks.soak.processes import LOG
from nas.ledger.claims import Claim, Claims
from nas.ledger.records import TrialState
from search_spaces.search_space import Choose, SearchSpace, spaces

STEP_S = 0.02


class Number:
    """A network of a number."""

    def __init__(self, number: str) -> None:
        self.digest = number

    def to_json(self) -> str:
        """The number."""
        return self.digest


class Numbers(SearchSpace):
    """A million networks."""

    name = "numbers"

    def propose(self, choose: Choose) -> Number:
        """Two choices of a thousand."""
        first, second = (int(choose(name, tuple(range(1000)))) for name in ("first", "second"))
        return Number(str(1000 * first + second))


spaces.add("numbers", Numbers())


def note(event: str, **fields: object) -> None:
    """Append an event to the side log, whole or not at all, and wait until it is on the disk."""
    line = json.dumps({"event": event, "pid": os.getpid(), "time": time.time(), **fields})
    log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(log, f"{line}\n".encode())
        os.fsync(log)
    finally:
        os.close(log)


@nas.evaluator("numbers")
def evaluate(network: Number, budget: int, report: nas.Report) -> Mapping[str, float]:
    """A value that no other evaluation has, so that two results of one trial differ."""
    note("begun", digest=network.digest)
    for step in range(1, budget + 1):
        time.sleep(STEP_S)
        report(step, {"accuracy": 0.5})
    value = secrets.randbits(50) / (1 << 50)
    note("result", digest=network.digest, value=value)
    return {"accuracy": value}


def _noted_claim(method: Any) -> Any:
    @wraps(method)
    def claimed(self: Claims, *args: Any, **more: Any) -> Claim | None:
        found: Claim | None = method(self, *args, **more)
        if found is not None:
            note("claimed", search=found.trial.search, number=found.trial.number, fence=found.fence)
        return found

    return claimed


def _noted_end(finish: Any) -> Any:
    @wraps(finish)
    def acknowledged(self: Claims, claim: Claim, state: TrialState, **result: Any) -> None:
        finish(self, claim, state, **result)
        trial, value = claim.trial, result.get("accuracy")
        note("acknowledged", search=trial.search, number=trial.number, state=state.value, value=value)

    return acknowledged


Claims.claim = _noted_claim(Claims.claim)  # type: ignore[method-assign]
Claims.finish = _noted_end(Claims.finish)  # type: ignore[method-assign]

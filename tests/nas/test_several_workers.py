"""Searches of one's own evaluator where another worker is at it, too: who ends what."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import spaces as toys

from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.measuring.machine_lock import MachineLock
from nas.searching.creating import create
from nas.trials.job import Job
from nas.trials.setup import make_runner
from nas.trials.worker import StoppedError

pytestmark = pytest.mark.usefixtures("toys_are_known")


def made(folder: Path, **settings: Any) -> Job:
    """A search of a space of four networks, and the job of its workers."""
    given = {"space": "two", "data": "", "device": "", "trials": 4, "epochs": 1, "evaluator": "toy"}
    storage = f"sqlite:///{folder}/nas.db"
    create(storage, "mine", SearchConfig(**{**given, **settings}))
    return Job(storage, "mine", poll_s=0.01)


def test_a_limit_that_nothing_keeps_ends_the_search_of_every_worker(tmp_path: Path) -> None:
    """One has just recorded the nearest network, when the other finds the same."""
    job, asked = made(tmp_path, limits={"work": 1}), count()

    def check() -> None:
        if next(asked) > 5000:
            raise StoppedError

    lock = MachineLock(tmp_path / "lock", check)
    with Ledger.open(job.storage) as ledger:
        one, other = (Claims(ledger, "mine", Worker.this_process()) for _ in range(2))
        first, second = one.claim(), other.claim()
        assert first is not None and second is not None
        nearest = toys.Toy((1, 1))
        choices = {"first": 1, "second": 1}
        one.propose(first, choices=choices, architecture=nearest.to_json(), digest=nearest.digest)
        make_runner(job, ledger, other, lock).run(second, check)
        assert ledger.search("mine").ended == "all other architectures of the space were over a limit"
        assert [trial.state for trial in ledger.trials("mine")] == [TrialState.RUNNING], "the first one's"

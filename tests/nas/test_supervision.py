"""Watching over workers: a search whose workers cannot work ends with their reason."""

from dataclasses import replace

import pytest

from nas.executors.base import Ended, Event, Executor
from nas.ledger import Ledger, SearchConfig, Worker
from nas.ledger.claims import Claim, Claims
from nas.searching.supervision import Supervision
from nas.trials.job import Job, Told
from search_spaces.errors import BitnasError


class Hopeless(Executor):
    """Its worker claims a trial, finds that it cannot work, and puts the trial back; then comes the next."""

    name = "hopeless"

    def __init__(self, ledger: Ledger) -> None:
        self._claims = Claims(ledger, "demo", Worker.this_process())
        self._held: Claim | None = None
        self.deaths = 0

    def start(self, job: Job, workers: int) -> None:
        """Nothing to do."""

    def capacity(self) -> int:
        """One worker."""
        return 1

    def poll(self, timeout_s: float) -> list[Event]:
        """A claim, then its end."""
        if self._held is None:
            self._held = self._claims.claim()
            return []
        self._claims.release(self._held)
        self._held = None
        self.deaths += 1
        return [Told(error="node far: no module named 'x'"), Ended(False, "it could not work")]

    def stop(self) -> None:
        """Nothing to do."""


def test_trials_that_are_claimed_and_put_back_are_no_progress(ledger: Ledger, config: SearchConfig) -> None:
    ledger.create_search("demo", replace(config, trials=3))
    executor = Hopeless(ledger)
    watch = Supervision(executor, ledger, "demo", 1, lambda _: None, lambda *_: None)
    with pytest.raises(BitnasError, match="no module named 'x'"):
        watch.until_done()
    assert executor.deaths == 2

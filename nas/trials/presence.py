"""A worker's presence in the ledger: that it works, on what beside trials, and that it lives."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from nas.ledger.leases import LEASE_S
from nas.ledger.roster import STARTING, Roster
from nas.ledger.workers import Worker
from nas.trials.job import Told
from nas.versions import versions
from search_spaces.errors import StorageError

log = logging.getLogger(__name__)


class Presence(threading.Thread):
    """Notes a worker in the roster of its search while the block runs: four times a lease, and on a change.

    A thread of its own writes, so that a worker waits for no database to say what it does.
    """

    def __init__(
        self, roster: Roster, worker: Worker, tell: Callable[[Told], None], lease_s: float = LEASE_S
    ) -> None:
        """``tell`` is what hears of stages beside the roster."""
        super().__init__(name="presence", daemon=True)
        self._roster, self._worker, self._tell = roster, worker, tell
        self._pause_s = lease_s / 4
        self._stage = STARTING
        self._changed, self._ended = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        self._roster.join(self._worker, versions())
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._changed.set()
        self.join()

    def tell(self, told: Told) -> None:
        """Pass on what the worker tells, and note its stage; that a stage goes on is not told again."""
        if told.stage is not None and told.stage != self._stage:
            self._stage = told.stage
            self._changed.set()
        elif told.stage == "":
            return
        self._tell(told)

    def run(self) -> None:
        """Note the worker until it ends, and that it has ended."""
        while not self._ended.is_set():
            self._changed.wait(self._pause_s)
            self._changed.clear()
            if not self._ended.is_set():
                self._try(lambda: self._roster.note(self._worker, self._stage))
        self._try(lambda: self._roster.leave(self._worker))

    def _try(self, write: Callable[[], None]) -> None:
        """What the database refuses now is noted by the next sign of life."""
        try:
            write()
        except StorageError:
            log.debug("the worker's presence is not noted", exc_info=True)

"""Keeps the lease of a trial while somebody works on it."""

import logging
import threading

from latency.timing.fair_lock import Check
from nas.ledger.claims import Claim, Claims
from search_spaces.errors import StaleClaimError, StorageError

log = logging.getLogger(__name__)

AGAIN_S = 1.0
"""After so long a heartbeat that has failed comes again: the lease may run out meanwhile."""


class StoppedError(Exception):
    """The worker was told to stop."""


class Heartbeat(threading.Thread):
    """Renews the lease of one claim until told to end, and notices when the claim is lost."""

    def __init__(self, claims: Claims, claim: Claim, lease_s: float, check: Check) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._claims, self._claim, self._check_worker = claims, claim, check
        self._pause_s = self._usual_pause_s = lease_s / 4  # so that a beat may fail, or come late
        self._ended = threading.Event()
        self._lost: StaleClaimError | None = None

    def run(self) -> None:
        """Beat."""
        while not self._ended.wait(self._pause_s):
            try:
                self._claims.renew(self._claim)
                self._pause_s = self._usual_pause_s
            except StaleClaimError as error:
                self._lost = error
                return
            except StorageError:
                log.debug("a heartbeat failed", exc_info=True)
                self._pause_s = min(self._usual_pause_s, AGAIN_S)

    def check(self) -> None:
        """Raise when there is no point in going on with the trial."""
        if self._lost is not None:
            raise self._lost
        self._check_worker()

    def end(self) -> None:
        """Stop beating."""
        self._ended.set()
        self.join()

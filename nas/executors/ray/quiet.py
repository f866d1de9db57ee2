"""Keeps Ray and Tune from printing, from writing files of results, and from telling anybody of their use."""

import io
import logging
import sys
from typing import IO

log = logging.getLogger(__name__)

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to anybody
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0: no tables
    "RAY_COLOR_PREFIX": "0",
    "RAY_DEDUP_LOGS": "0",  # what evaluators print comes out as it is
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as its warning advises; run_trial hides GPUs itself
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the ledger is what a search goes on from
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000000",
}
"""Settings of Ray and Tune that are the environment's; a process that Ray is imported in has them before."""


class Filter(io.TextIOBase):
    """A stream that leaves out what Ray prints of its own: the search tells of processes and nodes itself."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._is_leaving_out = stream, False

    def write(self, text: str) -> int:
        """Write, unless it begins as Ray's own; ``print`` writes the end of a line apart."""
        if text.startswith(("(raylet", "(autoscaler", "(gcs")):
            self._is_leaving_out = True
        elif text == "\n" and self._is_leaving_out:
            self._is_leaving_out = False
        else:
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._stream.flush()

    def fileno(self) -> int:
        """That of the stream."""
        return self._stream.fileno()


def be_quiet() -> None:
    """Have this process say nothing of Ray, unless it tells everything."""
    if log.isEnabledFor(logging.DEBUG):
        return
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    sys.stdout, sys.stderr = Filter(sys.stdout), Filter(sys.stderr)

"""The trial ledger: the SQL record of every search, trial, epoch, device, measurement and artifact."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from search_spaces.errors import StaleClaimError, StorageError

if TYPE_CHECKING:
    from nas.ledger.claims import Claim
    from nas.ledger.entries import ArtifactRecord, EpochRecord
    from nas.ledger.front import front_of, non_dominated
    from nas.ledger.records import SearchConfig, SearchRecord, TrialRecord, TrialState
    from nas.ledger.store import Ledger
    from nas.ledger.workers import Worker

# Looked up on first use, so that importing the room does not load SQLAlchemy.
_EXPORTS = {
    "ArtifactRecord": "entries",
    "Claim": "claims",
    "EpochRecord": "entries",
    "Ledger": "store",
    "SearchConfig": "records",
    "SearchRecord": "records",
    "TrialRecord": "records",
    "TrialState": "records",
    "Worker": "workers",
    "front_of": "front",
    "non_dominated": "front",
}

__all__ = [  # noqa: RUF022 - what a reader needs first
    "Ledger",
    "SearchRecord",
    "SearchConfig",
    "TrialRecord",
    "TrialState",
    "EpochRecord",
    "ArtifactRecord",
    "Claim",
    "StaleClaimError",
    "StorageError",
    "Worker",
    "front_of",
    "non_dominated",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)

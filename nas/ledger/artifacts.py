"""What was exported from all searches of a ledger, and when it was verified last."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update

from nas.ledger.away import patient
from nas.ledger.entries import ArtifactRecord
from nas.ledger.store import Ledger
from nas.ledger.tables import Artifact, Search, Trial
from search_spaces.errors import InvalidInput


@dataclass(frozen=True)
class Exported:
    """An artifact by its number in the ledger.

    Attributes:
        number: the ledger's.
        record: what was noted when it was written.
        verified_at: when ``nas verify`` last found that all of it holds; None where it never did.
    """

    number: int
    record: ArtifactRecord
    verified_at: datetime | None


@patient
def every_artifact(ledger: Ledger) -> list[Exported]:
    """What was exported from any search, the newest first."""
    with ledger.reading() as session:
        return [_exported(row) for row in session.execute(_ROWS.order_by(Artifact.id.desc()))]


@patient
def find_artifact(ledger: Ledger, number: int) -> Exported:
    """The artifact of a number; InvalidInput where there is none."""
    with ledger.reading() as session:
        row = session.execute(_ROWS.where(Artifact.id == number)).one_or_none()
    if row is None:
        raise InvalidInput("artifact", f"the ledger has no artifact {number}", "choose one that it lists")
    return _exported(row)


def note_verified(ledger: Ledger, path: str, digest: str) -> list[ArtifactRecord]:
    """Note that an artifact holds what it states now; those that are noted.

    Args:
        ledger: where it was noted when it was exported.
        path: its folder, absolute.
        digest: the sha256 hex of its manifest, which the ledger's must be, too.
    """
    mine = Artifact.path == path, Artifact.digest == digest
    with ledger.reading() as session:
        found = [_exported(row).record for row in session.execute(_ROWS.where(*mine).order_by(Artifact.id))]
    if found:
        with ledger.writing() as session:
            session.execute(update(Artifact).where(*mine).values(verified_at=datetime.now(UTC)))
    return found


_ROWS = (
    select(Artifact, Trial.number.label("trial"), Search.name.label("search"))
    .join(Trial, Trial.id == Artifact.trial_id)
    .join(Search, Search.id == Trial.search_id)
)


def _exported(row: Any) -> Exported:
    noted: Artifact = row.Artifact
    record = ArtifactRecord(row.search, row.trial, noted.path, noted.target, noted.digest, noted.created_at)
    return Exported(noted.id, record, noted.verified_at)

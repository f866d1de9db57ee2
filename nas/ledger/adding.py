"""Adds trials that no worker has run: networks that were made of other trials, already trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from nas.ledger.entries import Cost, EpochRecord, check_finite
from nas.ledger.mistakes import Predictions
from nas.ledger.predictions import keep
from nas.ledger.records import TrialState, config_from_dict
from nas.ledger.rows import find_search, measured_columns, next_revision
from nas.ledger.store import Ledger
from nas.ledger.tables import Epoch, Trial, Weights

if TYPE_CHECKING:
    from latency import Measurement


@dataclass(frozen=True)
class Trained:
    """A trained network, as it becomes a complete trial.

    Attributes:
        architecture: its JSON.
        digest: of that.
        accuracy: on the validation split, 0..1.
        cost: what it costs by prediction.
        measured: the time of the whole network.
        epochs: those of its training, from 1.
        epochs_done: how many there were in all, where ``epochs`` are not told.
        weights: its tensors, as a safetensors file.
        predictions: what it gets wrong.
        parents: the trials of the search that it comes from.
        started_at: when work on it began.
    """

    architecture: str
    digest: str
    accuracy: float
    cost: Cost
    measured: "Measurement"
    weights: bytes
    epochs: Sequence[EpochRecord] = ()
    epochs_done: int = 0
    predictions: Predictions | None = None
    parents: tuple[int, ...] = ()
    started_at: datetime | None = None


def add_trained(ledger: Ledger, search: str, trained: Trained) -> int:
    """Add a complete trial to a search, all of it in one transaction; its number.

    Raises:
        InvalidInput: there is no such search.
    """
    check_finite(accuracy=trained.accuracy)
    with ledger.writing() as session:
        row = find_search(session, search)
        revision = next_revision(session, row.id)
        session.refresh(row)
        of_search = Trial.search_id == row.id
        last, there = session.execute(select(func.max(Trial.number), func.count()).where(of_search)).one()
        if there:  # a new search counts its first trial already
            config = config_from_dict(row.config)
            row.config = replace(config, trials=config.trials + 1).to_dict()
        number = 0 if last is None else int(last) + 1
        place = {"search_id": row.id, "number": number, "revision": revision}
        new = session.execute(
            insert(Trial).values(**place, **_columns(trained)).returning(Trial.id)
        ).scalar_one()
        for epoch in trained.epochs:
            session.execute(insert(Epoch), {"trial_id": new, **epoch.to_dict()})
        session.execute(insert(Weights), {"trial_id": new, "tensors": trained.weights})
        if trained.predictions is not None:
            keep(session, new, trained.predictions)
    return number


def _columns(trained: Trained) -> dict[str, Any]:
    costs = {name: value._asdict() for name, value in trained.cost.costs.items()}
    epochs = len(trained.epochs) or trained.epochs_done
    now = datetime.now(UTC)
    return {
        "state": TrialState.COMPLETE,
        "architecture": trained.architecture,
        "digest": trained.digest,
        "accuracy": trained.accuracy,
        **vars(trained.cost),
        "costs": costs,
        **measured_columns(trained.measured),
        "parents": list(trained.parents) or None,
        "budget": epochs or None,
        "epochs_done": epochs or None,
        "started_at": trained.started_at or now,
        "finished_at": now,
    }

"""Reads and writes what the networks of trials get wrong; a table of its own, so that lists stay light."""

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from nas.ledger.away import patient
from nas.ledger.mistakes import Predictions
from nas.ledger.rows import find_trial
from nas.ledger.store import Ledger
from nas.ledger.tables import PredictionsRow


@patient
def predictions_of(ledger: Ledger, search: str, number: int) -> Predictions | None:
    """What a trial's network made of the validation split; None where nobody has kept it.

    Kept are those of complete trials that bitnas has trained; an evaluator of your own tells none.

    Raises:
        InvalidInput: there is no such search or number.
    """
    with ledger.reading() as session:
        trial = find_trial(session, search, number)
        found = select(PredictionsRow.summary).where(PredictionsRow.trial_id == trial.id)
        summary = session.scalar(found)
        return None if summary is None else Predictions.from_dict(summary)


def keep(session: Session, trial_id: int, predictions: Predictions) -> None:
    """Note them with the end of a trial."""
    session.execute(insert(PredictionsRow), {"trial_id": trial_id, "summary": predictions.to_dict()})

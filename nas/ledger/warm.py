"""Starting a search from another: its trials are copied, each marked with where it comes from."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import insert, literal, select
from sqlalchemy.orm import Session

from nas.ledger.records import SearchConfig, TrialState, config_from_dict
from nas.ledger.rows import find_search, next_revision
from nas.ledger.store import AddTrials, Ledger
from nas.ledger.tables import Epoch, PredictionsRow, Trial, Weights
from search_spaces.errors import InvalidInput

SAME = ("space", "data", "image_size", "validation", "evaluator", "device", "fix", "only")
"""Settings that two searches share, or the one's trials say nothing in the other."""
TRAINED_ALIKE = ("epochs", "batch_size", "learning_rate", "repeats", "pretrained")
"""Settings without which results do not compare: trials then inform the search, but are not on its front."""
Schedule = Callable[[SearchConfig], object]
"""The schedule of the trainings of a search: where it differs, results do not compare either."""
_OF_CLAIM = {"owner", "expires_at", "fence", "losses", "doubt"}
_OWN = {"id", "search_id", "number", "parents", "revision", "same_as", *_OF_CLAIM}
"""Columns that a copy has of its own; its parents are trials of the search that it comes from."""


def check_warm(name: str, config: SearchConfig, source: SearchConfig) -> None:
    """InvalidInput where the search ``name`` with settings ``source`` cannot warm one with ``config``."""
    for setting in SAME:
        theirs, ours = (getattr(c, setting, None) for c in (source, config))
        if theirs != ours:
            problem = f"'{name}' has {setting} {theirs!r}, this search {ours!r}"
            raise InvalidInput("warm_start", problem, "start from a search of the same")


def starting_from(sources: Sequence[str], schedule: Schedule) -> AddTrials | None:
    """What adds the trials of other searches to a new one (``Ledger.create_search``)."""

    def add(session: Session, search_id: int, config: SearchConfig) -> int:
        return _copy_trials(session, sources, search_id, config, schedule)

    return add if sources else None


def check_sources(ledger: Ledger, sources: Sequence[str], config: SearchConfig) -> dict[str, str]:
    """Which machines the times of these searches are of, by device: who takes them over keeps to these.

    Raises:
        InvalidInput: a search could not begin with the trials of all these; asked before it is written.
    """
    from latency.hardware.device import same_hardware

    devices: dict[str, str] = {}
    for name in sources:
        try:
            source = ledger.search(name)
        except InvalidInput as error:
            raise error.of("warm_start") from error
        check_warm(name, config, source.config)
        for device, key in source.origin.devices.items():
            if not same_hardware(devices.setdefault(device, key), key):
                problem = f"'{name}' has times of another machine called '{device}' than the others"
                raise InvalidInput("warm_start", problem, "start from searches of one machine")
    return devices


def _copy_trials(
    session: Session, sources: Sequence[str], search_id: int, config: SearchConfig, schedule: Schedule
) -> int:
    """Copy the ended trials of other searches, with all that is kept of them; how many there were."""
    copied, seen = 0, set[str]()
    for name in sources:
        try:
            source = find_search(session, name)
        except InvalidInput as error:
            raise error.of("warm_start") from error
        theirs = config_from_dict(source.config)
        check_warm(name, config, theirs)
        alike = all(getattr(theirs, setting) == getattr(config, setting) for setting in TRAINED_ALIKE)
        alike &= schedule(theirs) == schedule(config)
        ended = [state for state in TrialState if state.finished and state is not TrialState.FAILED]
        wanted = select(Trial).where(Trial.search_id == source.id, Trial.state.in_(ended))
        for row in session.scalars(wanted.order_by(Trial.number)):
            if row.digest is not None and row.digest not in seen:
                seen.add(row.digest)
                _copy(session, row, name, search_id, copied, alike)
                copied += 1
    return copied


def _copy(session: Session, row: Trial, source: str, search_id: int, number: int, alike: bool) -> None:
    columns = [c.key for c in Trial.__table__.columns if c.key not in _OWN]
    values: dict[str, Any] = {name: getattr(row, name) for name in columns}
    if not alike:  # it counts as trained for less, so that it may be trained again
        values["budget"] = row.epochs_done or 1
        values["state"] = TrialState.PRUNED if row.state is TrialState.COMPLETE else row.state
    origin = row.same_as or f"{source}/{row.number}"
    revision = next_revision(session, search_id)
    place = {"search_id": search_id, "number": number, "same_as": origin, "revision": revision}
    new = session.execute(insert(Trial).values(**values, **place).returning(Trial.id)).scalar_one()
    for table in (Epoch, Weights, PredictionsRow):
        others = [c for c in table.__table__.columns if c.key != "trial_id"]
        rows = select(literal(new), *others).where(table.trial_id == row.id)
        session.execute(insert(table).from_select(["trial_id", *(c.key for c in others)], rows))

"""What is done to a search as a whole: more trials, another name, its end."""

from dataclasses import replace

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from nas.ledger import clock
from nas.ledger.records import SearchRecord, TrialState, check_search_name, config_from_dict
from nas.ledger.rows import find_search, next_revision
from nas.ledger.store import Ledger
from nas.ledger.tables import Artifact, Checkpoint, Epoch, PredictionsRow, Search, Trial, Weights, WorkerRow
from nas.ledger.workers import Worker
from search_spaces.errors import BitnasError, InvalidInput, Parameter


def add_trials(ledger: Ledger, name: str, more: int) -> SearchRecord:
    """The search with so many more trials, all queued.

    Raises:
        InvalidInput: there is no such search, no number of trials above 0, or nothing left to try.
    """
    if more < 1:
        raise InvalidInput("more", f"{more} is out of range", "give a whole number above 0")
    with ledger.writing() as session:
        search = _locked(session, name)
        if search.ended is not None:
            fix = "leave it out, or make a new search"
            raise InvalidInput("more", f"'{name}' has ended: {search.ended}", fix)
        config = config_from_dict(search.config)
        try:
            search.config = replace(config, trials=config.trials + more).to_dict()
        except InvalidInput as error:
            raise error.of("more") from error
        last = session.scalar(select(func.max(Trial.number)).where(Trial.search_id == search.id))
        begin = 0 if last is None else last + 1
        numbers = range(begin, begin + more)
        rows = [{"search_id": search.id, "number": n, "state": TrialState.QUEUED} for n in numbers]
        session.execute(insert(Trial), rows)
    return ledger.search(name)


def rename(ledger: Ledger, name: str, new: str) -> None:
    """Call a search otherwise; results that others have taken over from it are still said to be its own.

    Raises:
        InvalidInput: there is no such search, or the new name is malformed or taken.
        BitnasError: workers are at it, which know it by its name.
    """
    check_new_name(ledger, new, "new")
    with ledger.writing() as session:
        search = _locked(session, name)
        _refuse_busy(session, search)
        search.name = new
        begin = f"{name}/"
        taken_over = update(Trial).where(Trial.same_as.startswith(begin, autoescape=True))
        after = func.substr(Trial.same_as, len(begin) + 1)
        told = taken_over.values(same_as=f"{new}/" + after)
        session.execute(told, execution_options={"synchronize_session": False})


def remove(ledger: Ledger, name: str) -> None:
    """Take a search out of the ledger with all that belongs to it; what was measured of devices stays.

    Raises:
        InvalidInput: there is no such search.
        BitnasError: workers are at it.
    """
    with ledger.writing() as session:
        search = _locked(session, name)
        _refuse_busy(session, search)
        trials = select(Trial.id).where(Trial.search_id == search.id)
        for table in (Epoch, Weights, PredictionsRow, Checkpoint, Artifact):
            gone = delete(table).where(table.trial_id.in_(trials))
            session.execute(gone, execution_options={"synchronize_session": False})
        session.execute(
            delete(Trial).where(Trial.search_id == search.id),
            execution_options={"synchronize_session": False},
        )
        session.execute(delete(WorkerRow).where(WorkerRow.search_id == search.id))
        session.delete(search)


def check_new_name(ledger: Ledger, name: str, parameter: str = "name") -> None:
    """InvalidInput where a name is malformed or taken."""
    try:
        check_search_name(name)
    except InvalidInput as error:
        raise error.of(parameter) from error
    with ledger.reading() as session:
        if session.scalar(select(Search.id).where(Search.name == name)) is not None:
            raise InvalidInput(parameter, f"'{name}' is taken", "choose another name")


def _locked(session: Session, name: str) -> Search:
    """The row of a search, which nobody else changes until the transaction ends."""
    search = find_search(session, name)
    next_revision(session, search.id)
    session.refresh(search)
    return search


def _refuse_busy(session: Session, search: Search) -> None:
    held = session.scalars(
        select(Trial).where(Trial.search_id == search.id, Trial.expires_at > clock.now(session))
    )
    workers = {Worker.from_text(trial.owner) for trial in held if trial.owner is not None}
    if names := sorted(worker.label for worker in workers if not worker.is_known_dead()):
        told = f": {', '.join(names)} works on '{search.name}'; stop that first"
        raise BitnasError(Parameter("search"), told)

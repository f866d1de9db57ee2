"""Holds the trials of a search against what it was asked for: numbers, architectures, epochs, and weights."""

import hashlib
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from nas.ledger.checking import NOT_ITS
from nas.ledger.records import TRAINING, SearchConfig, TrialState
from nas.ledger.tables import Epoch, Trial, Weights
from search_spaces.architecture import read_architecture
from search_spaces.errors import InvalidInput


class Flaw(NamedTuple):
    """What is wrong with a trial, by its number, or with the search where that is None."""

    number: int | None
    problem: str


def flaws(
    connection: Connection, search: str, search_id: int, config: SearchConfig, damaged: Collection[int]
) -> Iterator[Flaw]:
    """What is wrong with a search.

    Args:
        connection: to the database.
        search: its name.
        search_id: the key of its row.
        config: what it was asked for.
        damaged: the keys of trials that are left out, as a cell of theirs cannot be read.
    """
    mine = Trial.search_id == search_id
    first, last, count = connection.execute(
        select(func.min(Trial.number), func.max(Trial.number), func.count()).where(mine)
    ).one()
    if count and (first, last) != (0, count - 1):
        yield Flaw(
            None, f"its {count} trials are not numbered from 0 to {count - 1}, but from {first} to {last}"
        )
    trained = select(func.count()).where(Epoch.trial_id == Trial.id).scalar_subquery()
    columns = (Trial.id, Trial.number, Trial.state, Trial.accuracy, Trial.architecture, Trial.digest)
    more = (Trial.epochs_done, Trial.budget, Trial.same_as, Trial.parents, trained.label("trained"))
    which = select(*columns, *more).where(mine, Trial.id.not_in(damaged)).order_by(Trial.number)
    for row in connection.execution_options(yield_per=100).execute(which):
        lost = [parent for parent in row.parents or () if parent == row.number or parent >= count]
        yield from (Flaw(row.number, f"its parent, trial {parent}, is no other trial") for parent in lost)
        yield from (Flaw(row.number, problem) for problem in _of_trial(connection, search, config, row))


def _of_trial(connection: Connection, search: str, config: SearchConfig, row: Row[Any]) -> Iterator[str]:
    epochs = row.budget or config.epochs
    if row.epochs_done is not None and row.epochs_done > epochs:
        yield f"it went through {row.epochs_done} of {epochs} epochs"
    if row.same_as == f"{search}/{row.number}":
        yield "it has taken its result from itself"
    if config.evaluator != TRAINING:
        return
    if row.architecture is not None and (told := _told(row.architecture, row.digest)):
        yield told
    if row.state is not TrialState.COMPLETE or row.same_as is not None:
        return
    if config.repeats == 1 and row.trained < (row.epochs_done or 0):
        yield f"it went through {row.epochs_done} epochs, and has {row.trained}"
    tensors = connection.scalar(select(Weights.tensors).where(Weights.trial_id == row.id))
    if tensors is not None and not _is_safetensors(tensors):
        yield "its weights are no safetensors file"


def _told(architecture: str, digest: str | None) -> str:
    if digest in (None, hashlib.sha256(architecture.encode()).hexdigest()):
        return ""
    try:
        return "" if digest == read_architecture(architecture).digest else NOT_ITS
    except InvalidInput as error:
        return f"its architecture cannot be read ({error})"


def _is_safetensors(tensors: bytes) -> bool:
    from safetensors import SafetensorError, deserialize

    try:
        deserialize(tensors)  # type: ignore[no-untyped-call]  # safetensors has no types
    except SafetensorError:
        return False
    return True

"""Begins a search whose trials one command makes step by step, or finds it there to go on with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.formatting import told_setting
from nas.hints import command as typed
from nas.ledger.origin import Origin
from nas.ledger.records import SearchConfig, SearchRecord, check_search_name
from nas.ledger.store import Ledger
from nas.versions import versions
from search_spaces.errors import BitnasError, InvalidInput, Parameter

_COMMAND, _NETWORK, _OF = "command", "network_digest", "of"
"""What ``Origin.steps`` holds beside settings."""


@dataclass(frozen=True)
class Command:
    """A command and what it was asked for, by which it is known again.

    Attributes:
        name: of the command.
        settings: JSON-able values by the names of parameters, defaults filled in, paths absolute.
        network: a digest of the network that the steps begin with.
        data: a digest of the data set.
        of: what users call the network: a trial as SEARCH/NUMBER, or the name of a file or folder.
    """

    name: str
    settings: Mapping[str, Any]
    network: str
    data: str
    of: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As ``Origin.steps`` has it."""
        return {**self.settings, _COMMAND: self.name, _NETWORK: self.network, _OF: self.of}


def begin(ledger: Ledger, search: str, config: SearchConfig, command: Command) -> SearchRecord:
    """The search of that name: a new one, or the one that this very command has begun.

    ``config.trials`` are the steps that are known of; ``Steps.run`` adds others.

    Raises:
        InvalidInput: the name is malformed, or taken by something else, or a setting is another than before.
        BitnasError: the data, or the network that was begun with, is another by now.
    """
    if not _is_there(ledger, check_search_name(search)):
        origin = Origin(versions(), command.data, steps=command.to_dict())
        try:
            return ledger.create_search(search, config, origin=origin)
        except InvalidInput:
            if not _is_there(ledger, search):
                raise  # else the same command has begun elsewhere in this very moment
    record = ledger.search(search)
    _check_same(record, command)
    return record


def check_name(ledger: Ledger, search: str, command: Command) -> None:
    """Refuse what ``begin`` will refuse, before a device is opened.

    Raises:
        As ``begin``.
    """
    if _is_there(ledger, check_search_name(search)):
        _check_same(ledger.search(search), command)


def _is_there(ledger: Ledger, search: str) -> bool:
    return any(record.name == search for record in ledger.searches())


def _check_same(record: SearchRecord, command: Command) -> None:
    """Refuse to go on with what another command has begun, or this one with other settings."""
    before, now = dict(record.origin.steps), command.to_dict()
    if before.get(_COMMAND) != command.name:
        by = f" by a search of {typed(before[_COMMAND])}" if before else ""
        raise InvalidInput("name", f"'{record.name}' is taken{by}", "choose another name")
    if record.origin.data != command.data:  # settings may follow from it
        raise _begun_with("other data", record)
    for name in command.settings:
        if (was := before.get(name)) != now[name]:
            begun = "without it" if was is None else f"with {told_setting(was)}"
            fix = "give that to go on with it, or another ", Parameter("name")
            raise InvalidInput(name, f"'{record.name}' was begun {begun}", fix)
    if before[_NETWORK] != command.network:
        raise _begun_with("another network", record)


def _begun_with(what: str, record: SearchRecord) -> BitnasError:
    told = f": '{record.name}' was begun with {what} than there is now; choose another name"
    return BitnasError(Parameter("name"), told)

"""What a search begins with: architectures, or choices, that its user names."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nas.algorithms.base import Choices, replay
from search_spaces.architecture import Architecture
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Candidate, SearchSpace

if TYPE_CHECKING:
    from nas.ledger.store import Ledger

CHOICES = "choices"
KINDS = "a JSON file of an architecture or of its choices, or SEARCH/NUMBER"


def read_first(space: SearchSpace, text: str) -> tuple[Candidate, Choices | None]:
    """The candidate that a text of ``first`` stands for, and its choices, if it comes from the space."""
    found = json.loads(text)
    if CHOICES not in found:
        return Architecture.from_json(text), None
    choices: Choices = found[CHOICES]
    return space.propose(lambda name, _: choices[name]), choices


def first_of(names: Iterable[str], space: SearchSpace, ledger: "Ledger | None") -> tuple[str, ...]:
    """What the search's config keeps for what its user names, each checked and once.

    Raises:
        InvalidInput: a file or a trial is not there, or is no architecture for the space's images.
    """
    return tuple(dict.fromkeys(_checked(name, space, ledger) for name in names))


def _checked(name: str, space: SearchSpace, ledger: "Ledger | None") -> str:
    text = _text(name, ledger)
    try:
        found = json.loads(text)
        choices = found.get(CHOICES)
    except (json.JSONDecodeError, AttributeError) as error:
        raise InvalidInput("first", f"'{name}' holds no JSON object", f"name {KINDS}") from error
    if choices is not None:
        return _checked_choices(name, space, choices)
    try:
        architecture = Architecture.from_json(text)
    except InvalidInput as error:
        raise InvalidInput("first", f"'{name}' is no architecture ({error})", f"name {KINDS}") from error
    theirs, ours = (architecture.input_shape, architecture.classes), (space.input_shape, space.classes)
    if theirs != ours:
        problem = f"'{name}' is for {theirs[0]} images of {theirs[1]} classes"
        raise InvalidInput("first", problem, f"name one for {ours[0]} and {ours[1]}")
    return architecture.to_json()


def _checked_choices(name: str, space: SearchSpace, choices: object) -> str:
    taken = replay(space, choices) if isinstance(choices, dict) else None
    if taken is None:
        raise InvalidInput("first", f"'{name}' holds no choices of space '{space.name}'", f"name {KINDS}")
    return json.dumps({CHOICES: {choice: option for choice, (option, _) in taken.items()}})


def _text(name: str, ledger: "Ledger | None") -> str:
    """The JSON of what is named."""
    if name.startswith("{"):  # as a search's settings are shown
        return name
    if (path := Path(name)).is_file():
        return path.read_text(encoding="utf-8")
    search, _, number = name.rpartition("/")
    if not number.isdecimal() or ledger is None:
        raise InvalidInput("first", f"there is no file '{name}'", f"name {KINDS}")
    try:
        trial = ledger.trial(search, int(number))
    except InvalidInput as error:
        raise error.of("first") from error
    if trial.choices:
        return json.dumps({CHOICES: trial.choices})
    if trial.architecture is None:
        raise InvalidInput("first", f"trial {name} has no architecture yet", "name one that was begun")
    return trial.architecture

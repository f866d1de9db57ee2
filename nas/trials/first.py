"""What a search begins with: published networks, architectures or choices that its user names."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nas.algorithms.base import Choices, replay
from nas.ledger.records import TRAINING
from nas.trials.named import KINDS, check_network, named_network
from search_spaces.architecture import Buildable, NamedNetwork, read_architecture
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Candidate, SearchSpace

if TYPE_CHECKING:
    from nas.ledger.store import Ledger

CHOICES = "choices"


def read_first(space: SearchSpace, text: str) -> tuple[Candidate, Choices | None]:
    """The candidate that a text of ``first`` stands for, and its choices, if it comes from the space."""
    found = json.loads(text)
    if CHOICES not in found:
        return read_architecture(text), None
    choices: Choices = found[CHOICES]
    return space.propose(lambda name, _: choices[name]), choices


def first_of(
    names: Iterable[str], space: SearchSpace, ledger: "Ledger | None", evaluator: str = TRAINING
) -> tuple[str, ...]:
    """What the search's config keeps for what its user names, each checked and once.

    Raises:
        InvalidInput: a network, a file or a trial is not there, or is no architecture for the space's images,
            or for the search's evaluator.
    """
    return tuple(dict.fromkeys(_checked(name, space, ledger, evaluator) for name in names))


def _checked(name: str, space: SearchSpace, ledger: "Ledger | None", evaluator: str) -> str:
    try:
        text = _text(name, ledger)
        found = {} if text is None else json.loads(text)
        choices, architecture = found.get(CHOICES), found.get("architecture")
    except (json.JSONDecodeError, AttributeError) as error:
        raise InvalidInput("first", f"'{name}' holds no JSON object", f"name {KINDS}") from error
    if choices is not None:
        return _checked_choices(name, space, choices)
    if not isinstance(space.sample(0), Buildable):
        problem = f"'{name}' is no architecture of space '{space.name}', which has its own"
        raise InvalidInput("first", problem, "name a JSON file of its choices, or SEARCH/NUMBER")
    if text is None:
        _check_evaluator(name, evaluator)
        return _fitting(name, named_network(name, space), space)
    try:  # that of a trial is within what ``nas trial --json`` writes
        read = read_architecture(json.dumps(architecture) if isinstance(architecture, dict) else text)
    except InvalidInput as error:
        raise InvalidInput("first", f"'{name}' is no architecture ({error})", f"name {KINDS}") from error
    if isinstance(read, NamedNetwork):
        _check_evaluator(name, evaluator)
    return _fitting(name, read, space)


def _check_evaluator(name: str, evaluator: str) -> None:
    if evaluator != TRAINING:
        problem = f"'{name}' is a published network, which evaluator '{evaluator}' does not know"
        raise InvalidInput("first", problem, "name an architecture of the space")


def _fitting(name: str, found: Buildable, space: SearchSpace) -> str:
    """The JSON of what is for the space's images; a space for an evaluator of your own may have none."""
    theirs = found.input_shape, found.classes
    ours = getattr(space, "input_shape", theirs[0]), getattr(space, "classes", theirs[1])
    if theirs != ours:
        problem = f"'{name}' is for {theirs[0]} images of {theirs[1]} classes"
        raise InvalidInput("first", problem, f"name one for {ours[0]} and {ours[1]}")
    if isinstance(found, NamedNetwork):
        check_network(found)
    return found.to_json()


def _checked_choices(name: str, space: SearchSpace, choices: object) -> str:
    taken = replay(space, choices) if isinstance(choices, dict) else None
    if taken is None:
        raise InvalidInput("first", f"'{name}' holds no choices of space '{space.name}'", f"name {KINDS}")
    return json.dumps({CHOICES: {choice: option for choice, (option, _) in taken.items()}})


def _text(name: str, ledger: "Ledger | None") -> str | None:
    """The JSON of what is named; None where it can be but a published network."""
    if name.startswith("{"):  # as a search's settings are shown
        return name
    if (path := Path(name)).is_file():
        return path.read_text(encoding="utf-8")
    search, _, number = name.rpartition("/")
    if not search or not number.isdecimal() or ledger is None:
        return None
    try:
        trial = ledger.trial(search, int(number))
    except InvalidInput as error:
        raise error.of("first") from error
    if trial.choices:
        return json.dumps({CHOICES: trial.choices})
    if trial.architecture is None:
        raise InvalidInput("first", f"trial {name} has no architecture yet", "name one that was begun")
    return trial.architecture

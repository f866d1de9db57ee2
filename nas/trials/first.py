"""What a search begins with: published networks, architectures or choices that its user names."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.algorithms.base import Choices, replay
from nas.ledger.records import TRAINING
from nas.trials.named import KINDS, check_name, check_network, named_network
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
    text = _text(name, ledger)
    if text is None:
        check_name(name)
    found = {} if text is None else _object(name, text)
    if found.get(CHOICES) is not None:
        return _checked_choices(name, space, found[CHOICES])
    if not isinstance(space.sample(0), Buildable):
        problem = f"'{name}' is no architecture of space '{space.name}', which has its own"
        raise InvalidInput("first", problem, "name a JSON file of its choices, or SEARCH/NUMBER")
    if text is None:
        _check_evaluator(name, evaluator)
        return _fitting(name, named_network(name, space), space)
    read = _read(name, text, found.get("architecture"))
    if isinstance(read, NamedNetwork):
        _check_evaluator(name, evaluator)
    return _fitting(name, read, space)


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("first", f"'{name}' holds no JSON object", f"name {KINDS}")
    return found


def _read(name: str, text: str, within: object) -> Buildable:
    """The architecture of a text, or the one ``within`` it, where ``nas trial --json`` has written it."""
    try:
        return read_architecture(json.dumps(within) if isinstance(within, dict) else text)
    except InvalidInput as error:
        raise InvalidInput("first", f"'{name}' is no architecture ({error})", f"name {KINDS}") from error


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
    else:
        _check_layers(name, found)
    return found.to_json()


def _check_layers(name: str, found: Buildable) -> None:
    """Refuse an architecture whose blocks, layers or precisions are not there; nothing is computed."""
    import torch

    from search_spaces.builder import build

    try:
        with torch.device("meta"):  # shapes without memory
            build(found)
    except InvalidInput as error:
        raise InvalidInput("first", f"'{name}' cannot be built ({error})", f"name {KINDS}") from error


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
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput("first", f"'{name}' holds no text", f"name {KINDS}") from error
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

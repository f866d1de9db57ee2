"""Checks architectures that come from a file: their JSON, their digests, and the choices that lead there."""

import json

from nas.ledger.lines import TrialLine, damaged
from nas.ledger.records import TRAINING, SearchConfig
from search_spaces.architecture import Buildable, read_architecture
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Candidate, Option, SearchSpace, spaces

NOT_ITS = "the digest is not the architecture's"


class Checks:
    """Checks the trials of one search.

    Attributes:
        unchecked: how many architectures of a space of one's own could be held against nothing, as the space
            is not here, or no longer offers their choices.
    """

    def __init__(self, config: SearchConfig) -> None:
        self._space = spaces.get(config.space) if config.space in spaces else None
        self._is_training = config.evaluator == TRAINING
        self.unchecked = 0

    def check(self, trial: TrialLine, line: int) -> None:
        """InvalidInput, which names the line, where an architecture is none or not what the digest says."""
        if trial.architecture is None:
            if trial.digest is not None or trial.choices is not None:
                raise damaged(line, "it has choices or a digest, and no architecture")
            return
        try:
            stored = json.loads(trial.architecture)
        except ValueError as error:
            raise damaged(line, f"the architecture is no JSON: {error}") from error
        found = None if self._space is None else _chosen(self._space, trial.choices)
        if trial.choices is None or self._is_training or isinstance(found, Buildable):
            architecture = _read(trial.architecture, trial.digest, line)
            found = _fitted(self._space, architecture, trial.choices)
        elif found is None:
            self.unchecked += 1
        if found is not None and json.loads(found.to_json()) != stored:
            raise damaged(line, "its choices lead to another architecture")
        if found is not None and found.digest != trial.digest:
            raise damaged(line, NOT_ITS)


def _read(text: str, digest: str | None, line: int) -> Buildable:
    """An architecture of bitnas's, which is in the file as a whole."""
    try:
        found = read_architecture(text)
    except InvalidInput as error:
        raise damaged(line, str(error)) from error
    if found.digest != digest:
        raise damaged(line, NOT_ITS)
    return found


def _chosen(space: SearchSpace, choices: dict[str, Option] | None) -> Candidate | None:
    """Where choices lead; None where there are none, or the space does not offer them."""

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        if (choices or {})[name] not in options:
            raise KeyError(name)
        return (choices or {})[name]

    try:
        return space.propose(choose)
    except KeyError:
        return None


def _fitted(
    space: SearchSpace | None, architecture: Buildable, choices: dict[str, Option] | None
) -> Candidate | None:
    """Where choices lead for the images that an architecture is for."""
    if space is None:
        return None
    try:
        return _chosen(space.fitted(architecture.input_shape, architecture.classes), choices)
    except InvalidInput:
        return None  # it is for other images now
